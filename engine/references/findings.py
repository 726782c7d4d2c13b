"""What is wrong with a reference, in plain words, and which of them are degraded alike.

A rule that has no limit of its own compares a photograph with its folder: beyond FAR robust standard deviations (1.4826
times the median of the distances to the median) it is unlike the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..weights import Cluster
from .look import Shot

Floats = NDArray[np.float64]

CLIPPED = 0.2  # share of the pixels
ALIKE = 6  # bits of 64 in which the marks of two takes of one photograph may differ
STRUCTURE, EMPTY = 20.0, -6.0  # dB: there is structure, and nothing beside rounding in one of the finest bands
FAR = 3.5  # Iglewicz and Hoaglin 1993: the usual limit of a robust z-score
SOFTER = 0.75  # of the folder's sharpness: a smaller difference is not called a blur
FEWEST = 8  # photographs, to be compared with one another
MOST_CLUSTERS, SOME = 8, 0.25  # Kaufman and Rousseeuw 1990: a silhouette below shows no structure
CHOSEN_ON = 1000  # photographs that the number of clusters is chosen on
WORDS = {
    "flat": "flat all over", "clipped": "clipped", "empty": "made larger or blurred", "blurred": "blurred",
    "duplicate": "near-duplicate", "camera": "another camera", "unlike": "unlike the others",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """kind: a key of WORDS; said: a sentence."""

    kind: str
    said: str


@dataclass(frozen=True)
class Judged:
    """A photograph, what was found, and the cluster of those without findings, from 1; None of the others."""

    shot: Shot
    found: list[Finding]
    cluster: Cluster = None

    @property
    def weight(self) -> int:
        """How often it is to be drawn."""
        return 0 if self.found else 1


def judge(shots: Sequence[Shot]) -> list[Judged]:
    """Every photograph, in order."""
    found = [list(_by_itself(shot)) for shot in shots]
    _duplicates(shots, found)
    _cameras(shots, found)
    _blurred(shots, found)
    clean = [at for at, some in enumerate(found) if not some]
    space = standardised(shots)
    for at in _outliers(space[clean]):
        said = "F_deg lies far from the other photographs': another camera, other settings, or unusual light"
        found[clean[at]].append(Finding("unlike", said))
    clean = [at for at, some in enumerate(found) if not some]
    named: dict[int, Cluster] = dict(zip(clean, clusters(space[clean]), strict=True))
    return [Judged(shot, found[at], named.get(at)) for at, shot in enumerate(shots)]


def _by_itself(shot: Shot) -> list[Finding]:
    found = []
    if all(shot.flat):
        said = f"each of {len(shot.flat)} crops is flat, so it shows no blur" if len(shot.flat) > 1 else "it is flat"
        found.append(Finding("flat", said))
    if shot.clipped > CLIPPED:
        found.append(Finding("clipped", f"{100 * shot.clipped:.0f} % of the pixels are white or black"))
    if shot.middle >= STRUCTURE and shot.top < EMPTY:
        found.append(Finding("empty", "nothing is left of the finest detail, not even noise: it was made larger, or "
                             "is very blurred"))  # fmt: skip
    return found


def _duplicates(shots: Sequence[Shot], found: list[list[Finding]]) -> None:
    """Later takes of a photograph, by their marks; flat ones have no mark that says anything."""
    first: list[int] = []
    for at, shot in enumerate(shots):
        if all(shot.flat):
            continue
        twin = next((one for one in first if (shots[one].mark ^ shot.mark).bit_count() <= ALIKE), None)
        if twin is None:
            first.append(at)
        else:
            found[at].append(Finding("duplicate", f"nearly the same as {shots[twin].path}"))


def _cameras(shots: Sequence[Shot], found: list[list[Finding]]) -> None:
    """Those of another camera than most, where EXIF names most of their cameras."""
    (usual, count), *_ = Counter(shot.camera for shot in shots).most_common(1)
    if usual and 2 * count > len(shots):
        for shot, some in zip(shots, found, strict=True):
            if shot.camera not in ("", usual):
                some.append(Finding("camera", f"taken with {shot.camera}, most others with {usual}"))


def _blurred(shots: Sequence[Shot], found: list[list[Finding]]) -> None:
    """Softer than the folder: out of focus, shaken, or made larger a little."""
    told = [at for at, shot in enumerate(shots) if not found[at] and not np.isnan(shot.sharpness)]
    if len(told) < FEWEST:
        return
    slopes = np.array([shots[at].sharpness for at in told])
    usual = float(np.median(slopes))
    for at, far in zip(told, robust(slopes), strict=True):
        slope = shots[at].sharpness
        if far < -FAR and slope < SOFTER * usual:
            found[at].append(Finding("blurred", f"its edges have a slope of {slope:.0f} %, the others {usual:.0f} %"))


def robust(values: Floats) -> Floats:
    """How many robust standard deviations each lies from the median."""
    apart: Floats = values - float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(apart)))
    scaled: Floats = apart / (spread or float("inf"))
    return scaled


def standardised(shots: Sequence[Shot]) -> Floats:
    """The mean F_deg of each photograph, [n, c], in units of what the crops of one photograph differ by; where each has
    one crop, of what photographs differ by."""
    means = np.stack([shot.features.mean(axis=0, dtype=np.float64) for shot in shots])
    rest = np.concatenate([shot.features - mean for shot, mean in zip(shots, means, strict=True)])
    free = len(rest) - len(shots)
    spread = np.sqrt(np.square(rest).sum(axis=0) / free) if free else means.std(axis=0)
    return np.asarray(np.divide(means, spread, out=np.zeros_like(means), where=spread > 0), np.float64)


def _outliers(space: Floats) -> list[int]:
    """By the distance to the median, of which the logarithm is compared: distances are skewed."""
    if len(space) < FEWEST:
        return []
    apart = np.sqrt(np.square(space - np.median(space, axis=0)).mean(axis=1))
    return [int(at) for at in np.flatnonzero(robust(np.log(np.maximum(apart, 1e-9))) > FAR)]


def clusters(space: Floats) -> list[int]:
    """The cluster of each photograph, the largest is 1. k-means, from centres that are each the farthest from those
    before; k is the one with the largest mean silhouette (Rousseeuw 1987), and 1 where that shows no structure."""
    if len(space) < FEWEST:
        return [1] * len(space)
    some = space[np.linspace(0, len(space) - 1, min(len(space), CHOSEN_ON)).astype(int)]
    apart = np.sqrt(np.maximum(0, _squares(some, some)))
    best, labels = SOME, np.zeros(len(space), int)
    for k in range(2, min(MOST_CLUSTERS, len(some) // 3) + 1):
        mine, centres = _means(some, k)
        if (score := silhouette(apart, mine)) > best:
            best, labels = score, _squares(space, centres).argmin(axis=1)
    order = {label: n for n, (label, _) in enumerate(Counter(labels.tolist()).most_common(), 1)}
    return [order[label] for label in labels.tolist()]


def _means(space: Floats, k: int) -> tuple[NDArray[np.intp], Floats]:
    """Labels and centres."""
    near = _squares(space, space.mean(axis=0, keepdims=True)).ravel()
    centres = [int(near.argmin())]
    for _ in range(1, k):
        centres.append(int(_squares(space, space[centres]).min(axis=1).argmax()))
    first = _squares(space, space[centres]).argmin(axis=1).astype(np.int32)[:, None]
    ends = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-6)
    _, labels, found = cv2.kmeans(space.astype(np.float32), k, first, ends, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    return labels.ravel().astype(np.intp), found.astype(np.float64)


def silhouette(apart: Floats, labels: NDArray[np.intp]) -> float:
    """Mean over all of (b - a) / max(a, b): a is the mean distance to the others of the own cluster, b to those of the
    nearest other one. apart: [n, n]."""
    member = np.stack([labels == label for label in np.unique(labels)])
    sums, sizes = apart @ member.T, member.sum(axis=1)
    own = member.T
    a = (sums * own).sum(axis=1) / np.maximum(1, (own * (sizes - 1)).sum(axis=1))
    b = np.where(own, np.inf, sums / sizes).min(axis=1)
    alone = (own * sizes).sum(axis=1) == 1
    return float(np.where(alone, 0, (b - a) / np.maximum(np.maximum(a, b), 1e-12)).mean())


def _squares(one: Floats, other: Floats) -> Floats:
    """Squared distances, [n, m]."""
    both = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
    return np.asarray(both - 2 * one @ other.T)
