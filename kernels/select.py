"""The filter's arithmetic: a distance to every candidate, the smallest one, and the rows it names.

RealDGen, section 2.3 and A.6: the candidate whose re-extracted representation lies nearest to its target is
kept. Rows are candidate-major: row = k·B + pair. Sums run in 256 float32 lanes and then down a tree, which is
the order of a block of 256 GPU threads, so that a near tie falls the same way on every device.
"""

from __future__ import annotations

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
    if (
        target.ndim < 1
        or len(target) == 0
        or len(features) % len(target)
        or features.shape[1:] != target.shape[1:]
    ):
        raise ValueError(
            f"features {features.shape}, target {target.shape}. Wanted: [K·B, ...] and [B, ...]."
        )
    check_rows("features", features, features.shape)
    check_rows("target", target, target.shape)
    library = loader.library()
    if library is None:
        return squared_l2_twin(features, target)
    batch, rows = len(target), len(features)
    scores = np.empty((rows // batch, batch), dtype=np.float32)
    library.degrade_squared_l2(
        features.ctypes.data,
        target.ctypes.data,
        scores.ctypes.data,
        rows,
        batch,
        target.size // batch,
        threads,
    )
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


def choose(scores: Floats) -> NDArray[np.int32]:
    """The best candidate of each pair. scores: float32 [K, B], smaller is better; returns int32 [B].

    The lowest index wins a tie; NaN counts as infinity, so a pair whose scores are all NaN gets candidate 0.
    """
    if scores.ndim != 2 or scores.shape[0] == 0:
        raise ValueError(f"scores {scores.shape} came. Wanted: [K, B] with at least one candidate.")
    return np.argmin(np.where(np.isnan(scores), np.float32(np.inf), scores), axis=0).astype(np.int32)


def gather(x: NDArray, kept: NDArray[np.int32]) -> NDArray:
    """The kept candidate of each pair. x: any dtype [K·B, ...], candidate-major; kept: int32 [B]; returns [B,
    ...].

    Raises ValueError for an index outside 0..K-1.
    """
    batch = len(kept)
    if batch == 0 or len(x) % batch or kept.min() < 0 or int(kept.max()) >= len(x) // batch:
        raise ValueError(
            f"x {x.shape}, kept {kept.tolist()}. Wanted: [K·B, ...] and B indices from 0 to K - 1."
        )
    return x[kept.astype(np.int64) * batch + np.arange(batch)]
