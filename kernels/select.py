"""The filter's arithmetic: a distance to every candidate, the smallest one, and the rows it names.

RealDGen, section 2.3 and A.6: the candidate whose re-extracted representation lies nearest to its target is
kept. Rows are candidate-major: row = k·B + pair. Sums run in 256 float32 lanes and then down a tree, which is
the order of a block of 256 GPU threads, so that a near tie falls the same way on every device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import loader
from .philox import Floats, check_rows

LANES = 256
TINY = np.float32(1e-12)
"""The least squared norm a target is divided by, so that an all-zero target gives a finite score."""


def squared_l2(features: Floats, target: Floats, *, threads: int = 1) -> Floats:
    """||f - target||² / max(||target||², TINY) for every candidate.

    features: float32 [K·B, ...], candidate-major; target: float32 [B, ...]; both C-contiguous. Returns
    float32 [K, B], no unit. NaN in a row gives NaN. Raises ValueError when shapes do not fit.
    """
    if target.ndim < 1 or len(target) == 0 or len(features) % len(target) or features.shape[1:] != target.shape[1:]:
        raise ValueError(f"features {features.shape}, target {target.shape}. Expected: [K·B, ...] and [B, ...].")
    check_rows("features", features, features.shape)
    check_rows("target", target, target.shape)
    library = loader.library()
    if library is None:
        return squared_l2_twin(features, target)
    batch, rows = len(target), len(features)
    scores = np.empty((rows // batch, batch), dtype=np.float32)
    library.degrade_squared_l2(features, target, scores, rows, batch, target.size // batch, threads)
    return scores


def squared_l2_twin(features: Floats, target: Floats) -> Floats:
    """The numpy twin of `squared_l2`."""
    batch, rows = len(target), len(features)
    flat, wanted = features.reshape(rows, -1), target.reshape(batch, -1)
    norms = [np.maximum(_lane_sum(row * row), TINY) for row in wanted]
    scores = np.empty(rows, dtype=np.float32)
    for i in range(rows):
        difference = flat[i] - wanted[i % batch]
        scores[i] = _lane_sum(difference * difference) / norms[i % batch]
    return scores.reshape(rows // batch, batch)


def _lane_sum(values: Floats) -> np.float32:
    """Lane j adds elements j, j + 256, ... in order; then the upper half is added to the lower."""
    lanes = np.zeros(LANES, dtype=np.float32)
    for first in range(0, values.size, LANES):
        piece = values[first : first + LANES]
        lanes[: piece.size] += piece
    while lanes.size > 1:
        half = lanes.size // 2
        lanes = lanes[:half] + lanes[half:]
    return np.float32(lanes[0])


def finite(x: Floats, *, threads: int = 1) -> NDArray[np.bool_]:
    """Whether a row is all numbers, no infinity and no NaN. x: float32 [R, ...], C-contiguous; returns bool [R]."""
    check_rows("x", x, x.shape)
    library = loader.library()
    if library is None:
        return finite_twin(x)
    out = np.empty(len(x), dtype=np.bool_)
    library.degrade_finite(x, out, len(x), x.size // max(len(x), 1), threads)
    return out


def finite_twin(x: Floats) -> NDArray[np.bool_]:
    """The numpy twin of `finite`."""
    return np.asarray(np.isfinite(x).all(axis=tuple(range(1, x.ndim))))


def score(degradation: Floats, content: Floats, finite: NDArray[np.bool_], weights: tuple[float, float]) -> Floats:
    """w_d·degradation + w_c·content, smaller is better; infinite where that is NaN or the candidate is not finite.

    degradation, content: float32 [K, B]; finite: bool [K, B]; weights: (w_d, w_c), rounded to float32. Returns
    float32 [K, B]. The pixels have their own say: a network with a ReLU can turn a NaN image into finite
    features. Raises ValueError when shapes or dtypes do not fit.
    """
    check_rows("degradation", degradation, degradation.shape)
    check_rows("content", content, degradation.shape)
    if finite.dtype != np.bool_ or finite.shape != degradation.shape or not finite.flags.c_contiguous:
        raise ValueError(f"finite is {finite.dtype} {finite.shape}. Expected: bool {degradation.shape}, C-contiguous.")
    library = loader.library()
    if library is None:
        return score_twin(degradation, content, finite, weights)
    out = np.empty_like(degradation)
    library.degrade_score(degradation, content, finite, *weights, out, out.size)
    return out


def score_twin(degradation: Floats, content: Floats, finite: NDArray[np.bool_], weights: tuple[float, float]) -> Floats:
    """The numpy twin of `score`."""
    sums = np.float32(weights[0]) * degradation + np.float32(weights[1]) * content
    return np.where(finite & ~np.isnan(sums), sums, np.float32(np.inf))


def choose(scores: Floats) -> NDArray[np.int32]:
    """The best candidate of each pair. scores: float32 [K, B], smaller is better; returns int32 [B].

    The lowest index wins a tie; NaN counts as infinity, so a pair whose scores are all NaN gets candidate 0.
    """
    if scores.ndim != 2 or scores.shape[0] == 0:
        raise ValueError(f"scores {scores.shape} came. Expected: [K, B] with at least one candidate.")
    scores = np.ascontiguousarray(scores)
    check_rows("scores", scores, scores.shape)
    library = loader.library()
    if library is None:
        return choose_twin(scores)
    kept = np.empty(scores.shape[1], dtype=np.int32)
    library.degrade_choose(scores, kept, *scores.shape)
    return kept


def choose_twin(scores: Floats) -> NDArray[np.int32]:
    """The numpy twin of `choose`."""
    kept: NDArray[np.int32] = np.argmin(np.where(np.isnan(scores), np.float32(np.inf), scores), axis=0).astype(np.int32)
    return kept


def gather(x: NDArray[Any], kept: NDArray[np.int32], *, threads: int = 1) -> NDArray[Any]:
    """The kept candidate of each pair. x: any dtype [K·B, ...], candidate-major, C-contiguous; kept: int32 [B];
    returns [B, ...].

    Raises ValueError for another layout or dtype, and for an index outside 0..K-1.
    """
    batch = len(kept)
    if batch == 0 or len(x) % batch or kept.min() < 0 or int(kept.max()) >= len(x) // batch:
        raise ValueError(f"x {x.shape}, kept {kept.tolist()}. Expected: [K·B, ...] and B indices from 0 to K - 1.")
    if not x.flags.c_contiguous or kept.dtype != np.int32:
        raise ValueError(f"x {x.shape}, kept {kept.dtype}. Expected: x C-contiguous, kept int32.")
    library = loader.library()
    if library is None or x.dtype.hasobject:
        return gather_twin(x, kept)
    kept = np.ascontiguousarray(kept)
    out = np.empty((batch, *x.shape[1:]), dtype=x.dtype)
    library.degrade_gather(x, kept, out, batch, out.nbytes // batch, threads)
    return out


def gather_twin(x: NDArray[Any], kept: NDArray[np.int32]) -> NDArray[Any]:
    """The numpy twin of `gather`."""
    batch = len(kept)
    chosen: NDArray[Any] = x[kept.astype(np.int64) * batch + np.arange(batch)]
    return chosen


def tile(source: NDArray[Any], out: NDArray[Any]) -> None:
    """Every pair's row into each candidate's slice, a copy that numpy does as fast as a loop of ours.

    source: any dtype [B, ...]; out: [K·B, ...]. The source may be the first slice of `out` itself.
    """
    batch = len(source)
    for first in range(0, len(out), batch):
        target = out[first : first + batch]
        if not np.shares_memory(source, target):
            target[...] = source
