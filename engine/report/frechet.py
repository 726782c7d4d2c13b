"""The Fréchet distance of two Gaussians fitted to feature vectors (eq. 3 of the binned paper; Heusel et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .measures import FEWEST, bounds

Float64 = NDArray[np.float64]
TIMES, HALVES = 100, 10  # draws of an interval; divisions into halves


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The fit to n vectors of c features: mean mu [c], and A [min(n, c), c] with Sigma = A^T A."""

    mu: Float64
    root: Float64  # A: the centred vectors over sqrt(n - 1), or the triangle of their QR decomposition


def fit(features: NDArray[Any]) -> Gaussian:
    """features: [n, c]; the covariance is the unbiased one (zero for n = 1)."""
    x = np.asarray(features, np.float64)
    mu = x.mean(axis=0)
    root = (x - mu) / np.sqrt(max(1, len(x) - 1))
    return Gaussian(mu, np.asarray(np.linalg.qr(root, mode="r")) if len(root) > root.shape[1] else root)


def squared_distance(a: Gaussian, b: Gaussian) -> float:
    """D_F² = |mu_a - mu_b|² + tr(S_a + S_b - 2 (S_a^½ S_b S_a^½)^½).

    The last trace is the sum of the singular values of A B^T, which has the squares of S_a^½ S_b S_a^½'s roots for
    eigenvalues: exact also where n < c, without a root of a singular matrix.
    """
    cross = np.linalg.svd(a.root @ b.root.T, compute_uv=False).sum()
    traces = np.square(a.root).sum() + np.square(b.root).sum()
    return float(np.square(a.mu - b.mu).sum() + traces - 2 * cross)


def frechet(a: NDArray[Any], b: NDArray[Any]) -> float:
    """D_F² of two sets of feature vectors, [n, c] and [m, c]."""
    return squared_distance(fit(a), fit(b))


class Moments:
    """Sums over the places of each image, so that any draw of images is fitted without going through its places.
    features: [n, places, c]."""

    def __init__(self, features: NDArray[Any]) -> None:
        x = features.astype(np.float64)
        self.centre = x.mean((0, 1))
        x -= self.centre
        self.places, self.sums = x.shape[1], x.sum(1)
        self.squares = x.transpose(0, 2, 1) @ x

    def gaussian(self, rows: NDArray[np.intp]) -> Gaussian:
        """The fit to the images `rows`, any of them more than once."""
        n = len(rows) * self.places
        mu = self.sums[rows].sum(0) / n
        sigma = (self.squares[rows].sum(0) - n * np.outer(mu, mu)) / (n - 1)
        values, vectors = np.linalg.eigh(sigma)
        return Gaussian(mu + self.centre, np.sqrt(values.clip(0))[:, None] * vectors.T)


@dataclass(frozen=True)
class Distance:
    """A distance with its 95 % interval; None for fewer than `measures.FEWEST` photographs of one side. drawn: the
    bootstrap's, around the distance; none without an interval."""

    value: float
    interval: tuple[float, float] | None
    drawn: Float64

    def against(self, other: Distance) -> tuple[float, float] | None:
        """95 % interval of this distance less another's, of the same photographs and seed."""
        return bounds(self.drawn - other.drawn) if self.interval and other.interval else None


def distance(one: Moments, of_one: Sequence[str], other: Moments, of_other: Sequence[str], seed: int) -> Distance:
    """The Fréchet distance of two sets of images that show different photographs, each named for each image."""

    def between(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
        return squared_distance(one.gaussian(a), other.gaussian(b))

    return redrawn(between, of_one, of_other, seed)


def redrawn(
    between: Callable[[NDArray[np.intp], NDArray[np.intp]], float], of_one: Sequence[str], of_other: Sequence[str],
    seed: int,
) -> Distance:  # fmt: skip
    """Any distance of images of one set and images of another. Photographs are drawn with replacement, all images of
    one together; the interval lies around the distance, since drawing twice adds to it. The same seed and photographs
    give the same draws."""
    sides = [_by_name(of_one), _by_name(of_other)]
    value = between(*(np.concatenate(groups) for groups in sides))
    if min(len(groups) for groups in sides) < FEWEST:
        return Distance(value, None, np.empty(0))
    dice, drawn = np.random.default_rng(seed), []
    for _ in range(TIMES):
        rows = [np.concatenate([groups[at] for at in dice.integers(0, len(groups), len(groups))]) for groups in sides]
        drawn.append(between(*rows))
    around = np.array(drawn) - np.mean(drawn) + value
    low, high = bounds(around)
    return Distance(value, (max(0.0, low), high), around)


def between(moments: Moments, one: NDArray[np.intp], other: NDArray[np.intp]) -> float:
    """The distance of some images of a set and of others."""
    return squared_distance(moments.gaussian(one), moments.gaussian(other))


def halves(photographs: Sequence[str], seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Images of two halves of the photographs, divided at random HALVES times; none where a half has fewer than
    FEWEST."""
    groups, dice, found = _by_name(photographs), np.random.default_rng(seed), []
    for _ in range(HALVES if len(groups) >= 2 * FEWEST else 0):
        order = dice.permutation(len(groups)).tolist()
        parts = order[: len(order) // 2], order[len(order) // 2 :]
        one, other = (np.concatenate([groups[at] for at in part]) for part in parts)
        found.append((one, other))
    return found


def _by_name(names: Sequence[str]) -> list[NDArray[np.intp]]:
    """The places of each name."""
    whole = np.array(names)
    return [np.flatnonzero(whole == name) for name in sorted(set(names))]
