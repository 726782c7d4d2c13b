"""Bytes to network values and back: the two ends of every batch.

Images are uint8, height x width x RGB; networks work on float32 planes in [-1, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import loader
from .philox import Floats, check_rows

Bytes = NDArray[np.uint8]
HALF = np.float32(127.5)
ONE = np.float32(1.0)


def to_planar(images: Bytes, *, threads: int = 1) -> Floats:
    """u8 / 127.5 - 1. images: uint8 [B, H, W, 3]; returns float32 [B, 3, H, W] in [-1, 1]."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"Images are {images.dtype} {images.shape}. Expected: uint8 [B, H, W, 3].")
    library = loader.library()
    if library is None:
        return to_planar_twin(images)
    images = np.ascontiguousarray(images)
    batch, height, width, _ = images.shape
    out = np.empty((batch, 3, height, width), dtype=np.float32)
    library.degrade_to_planar(images, out, batch, height * width, threads)
    return out


def to_planar_twin(images: Bytes) -> Floats:
    """The numpy twin of `to_planar`."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32) / HALF - ONE


def to_bytes(x: Floats, *, threads: int = 1) -> Bytes:
    """clip(rint((x + 1)·127.5), 0, 255), ties to even, NaN to 0.

    x: float32 [B, 3, H, W]; returns uint8 [B, H, W, 3].
    """
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(f"Planes are {x.shape}. Expected: [B, 3, H, W].")
    x = np.ascontiguousarray(x)
    check_rows("x", x, x.shape)
    library = loader.library()
    if library is None:
        return to_bytes_twin(x)
    batch, _, height, width = x.shape
    out = np.empty((batch, height, width, 3), dtype=np.uint8)
    library.degrade_to_bytes(x, out, batch, height * width, threads)
    return out


def to_bytes_twin(x: Floats) -> Bytes:
    """The numpy twin of `to_bytes`."""
    scaled = (x + ONE) * HALF
    # fmax takes the number when the other is NaN.
    grey = np.rint(np.fmin(np.fmax(scaled, np.float32(0.0)), np.float32(255.0))).astype(np.uint8)
    return np.ascontiguousarray(grey.transpose(0, 2, 3, 1))
