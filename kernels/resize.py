"""The antialiased bicubic resize of 8-bit RGB, a = -0.5: what Pillow's BICUBIC gives for squares, to the last bit.

First along x, then along y; Pillow 13 goes the other way round for some tall images. A pixel is a sum of weights over
its support, in integers of 22 bits behind the point, and is rounded to 8 bits after each of the two. Source of the
arithmetic: Pillow, src/libImaging/Resample.c.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import loader
from .pixels import Bytes

A, SUPPORT, BITS = -0.5, 2.0, 22

Weights = tuple[NDArray[np.int32], NDArray[np.int32]]  # [out, 2]: first pixel and how many; [out, most]: their weights


def bicubic(image: Bytes, size: tuple[int, int]) -> Bytes:
    """uint8 [H, W, 3] to uint8 [*size, 3] (height, width)."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size or min(size) < 1:
        raise ValueError(f"The image is {image.dtype} {image.shape}, to become {size}. Expected: uint8 [H, W, 3], not "
                         "empty, and at least one pixel to each side.")  # fmt: skip
    library = loader.library()
    if library is None:
        return bicubic_twin(image, size)
    image = np.ascontiguousarray(image)
    height, width, _ = image.shape
    (spans_y, weights_y), (spans_x, weights_x) = weights(height, size[0]), weights(width, size[1])
    out = np.empty((*size, 3), np.uint8)
    library.degrade_resize(
        image, out, spans_x, weights_x, spans_y, weights_y, height, width, *size, weights_x.shape[1], weights_y.shape[1]
    )
    return out


def bicubic_twin(image: Bytes, size: tuple[int, int]) -> Bytes:
    """The numpy twin of `bicubic`. Products and sums are of integers below 2^53, which float64 holds."""
    height, width, _ = image.shape
    along_x = _rounded(np.matmul(_dense(width, size[1]), image.astype(np.float64)))
    along_y = np.tensordot(_dense(height, size[0]), along_x.astype(np.float64), axes=1)
    return _rounded(along_y)


@lru_cache(maxsize=64)
def weights(length: int, wanted: int) -> Weights:
    """Of each pixel along one axis."""
    scale = length / wanted
    wide = max(scale, 1.0)
    support, narrow = SUPPORT * wide, 1.0 / wide
    spans = np.zeros((wanted, 2), np.int32)
    found = np.zeros((wanted, 2 * int(np.ceil(support)) + 1), np.int32)
    for n in range(wanted):
        center = (n + 0.5) * scale
        first = max(0, int(center - support + 0.5))
        count = min(length, int(center + support + 0.5)) - first
        exact = [_cubic((x + first - center + 0.5) * narrow) for x in range(count)]
        total = sum(exact)
        whole = [one / total * (1 << BITS) for one in exact]
        spans[n] = first, count
        found[n, :count] = [int(one - 0.5 if one < 0 else one + 0.5) for one in whole]
    return spans, found


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1.0:
        return ((A + 2.0) * x - (A + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * A if x < 2.0 else 0.0


def _dense(length: int, wanted: int) -> NDArray[np.float64]:
    spans, some = weights(length, wanted)
    dense = np.zeros((wanted, length))
    for n, (first, count) in enumerate(spans):
        dense[n, first : first + count] = some[n, :count]
    return dense


def _rounded(sums: NDArray[np.float64]) -> Bytes:
    grey: Bytes = np.clip(np.floor((sums + (1 << BITS - 1)) / (1 << BITS)), 0, 255).astype(np.uint8)
    return grey
