"""Crops that show next to nothing: sky, a wall, the dark. A reference of one says little of a camera's blur."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

SMALLEST = 16  # pixels of a side: smaller crops are not judged
FLAT = 3.0  # grey levels; of 700 crops of small cameras, nine tenths of those below have no edge that shows a blur
BLOCK = 4  # pixels: over so many a side noise is averaged away
LUMA = np.array([77, 150, 29], np.int64)  # ITU-R 601, in 1/256


def relief(crop: NDArray[np.uint8]) -> float:
    """Of uint8 [h, w, 3]: the standard deviation, in grey levels, of luma's means over blocks around a fitted plane.
    So neither noise nor a sky's gradient counts.

    All sums are of whole numbers: every machine has the same one.
    """
    rows, columns = (side // BLOCK for side in crop.shape[:2])
    blocks = crop[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, 3)
    luma = blocks.sum(axis=(1, 3), dtype=np.int64) @ LUMA
    total, squares = int(luma.sum()), int(np.square(luma).sum())
    left = squares - total * total / luma.size
    for values, others in ((luma.sum(axis=1), columns), (luma.sum(axis=0), rows)):
        ramp = 2 * np.arange(len(values), dtype=np.int64) - (len(values) - 1)
        along = int(ramp @ values)
        left -= along * along / (others * int(ramp @ ramp))
    return sqrt(max(0.0, left) / luma.size) / (256 * BLOCK * BLOCK)


def is_flat(crop: NDArray[np.uint8]) -> bool:
    """Whether a crop shows too little for a reference."""
    return min(crop.shape[:2]) >= SMALLEST and relief(crop) < FLAT
