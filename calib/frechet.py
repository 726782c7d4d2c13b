"""The Fréchet distance of two Gaussians fitted to feature vectors (eq. 3 of the binned paper; Heusel et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


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
