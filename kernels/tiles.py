"""Tiles of images larger than a network: cut out of them, and blended into them again by weights.

Tiles lie in rows of `across`; those of an image follow each other, image after image. Places and weights come from
engine/sampling/tiling.py, an axis at a time. A pixel is the sum of its tiles' values in their order, so its bytes
depend neither on how many tiles a network takes at a time nor on the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import loader
from .philox import Floats, check_rows

Places = NDArray[np.int32]


@dataclass(frozen=True)
class Axis:
    """The n tiles of one axis. starts: int32 [n]; cover: int32 [size, 2], the first tile over an element and the one
    after the last; weights: float32 [n, tile size], of which those over an element add up to 1."""

    starts: Places
    cover: Places
    weights: Floats


def planes(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(images, channels, height, width) of a tensor [images], [images, channels] or [images, channels, h, w]."""
    images, channels, height, width = (*shape, 1, 1, 1)[:4]
    return images, channels, height, width


def sizes(images: tuple[int, ...], tiles: tuple[int, ...], down: int, across: int) -> dict[str, int]:
    """What both kernels are told, by the names of grids.py. ValueError where the tiles cannot lie in the images."""
    (count, channels, height, width), (_, like, tile_height, tile_width) = planes(images), planes(tiles)
    if channels != like or tile_height > height or tile_width > width or not down * across:
        raise ValueError(
            f"images {images}, tiles {tiles}, {down} by {across} of them. Expected: tiles of these images."
        )
    if channels * height * width >= 2**32:
        raise ValueError(f"An image of {images[1:]} came. Expected: less than 2^32 elements.")
    return {"images": count, "channels": channels, "height": height, "width": width, "tile_height": tile_height,
            "tile_width": tile_width, "down": down, "across": across}  # fmt: skip


def cut(source: NDArray[Any], out: NDArray[Any], tops: Places, lefts: Places, first: int, *, threads: int = 1) -> None:
    """Tiles first, first + 1, ... of all that the images have into out; beyond the last comes the last again.

    source: [images, C, H, W], or without the last axes; out: [slots, C, h, w]; both of one dtype of four bytes,
    C-contiguous. tops, lefts: int32, a start an axis's tile. Raises ValueError for another layout.
    """
    about = sizes(source.shape, out.shape, len(tops), len(lefts))
    if source.dtype != out.dtype or source.itemsize != 4 or not (source.flags.c_contiguous and out.flags.c_contiguous):
        raise ValueError(f"source {source.dtype}, out {out.dtype}. Expected: one dtype of four bytes, C-contiguous.")
    _check_starts(tops, about["height"] - about["tile_height"])
    _check_starts(lefts, about["width"] - about["tile_width"])
    library = loader.library()
    if library is None:
        cut_twin(source, out, tops, lefts, first)
        return
    library.degrade_cut(source, out, tops, lefts, first, len(out), *about.values(), threads)


def cut_twin(source: NDArray[Any], out: NDArray[Any], tops: Places, lefts: Places, first: int) -> None:
    """The numpy twin of `cut`."""
    images, to = source.reshape(planes(source.shape)), out.reshape(planes(out.shape))
    height, width = to.shape[2:]
    for slot in range(len(to)):
        tile = min(first + slot, len(images) * len(tops) * len(lefts) - 1)
        image, p = divmod(tile, len(tops) * len(lefts))
        top, left = tops[p // len(lefts)], lefts[p % len(lefts)]
        to[slot] = images[image, :, top : top + height, left : left + width]


def blend(tiles: Floats, out: Floats, y: Axis, x: Axis, *, threads: int = 1) -> None:
    """Fills out with the weighted sums of the tiles over each pixel.

    tiles: float32 [images·down·across or more, C, h, w], or without the last axes; out: float32 [images, C, H, W]; both
    C-contiguous. NaN under any weight stays NaN. Raises ValueError for another layout.
    """
    down, across = len(y.starts), len(x.starts)
    about = sizes(out.shape, tiles.shape, down, across)
    check_rows("tiles", tiles, tiles.shape)
    check_rows("out", out, out.shape)
    if len(tiles) < len(out) * down * across:
        raise ValueError(f"{len(tiles)} tiles came. Expected: {len(out)} times {down} by {across}, or more.")
    _check_axis(y, about["height"], about["tile_height"])
    _check_axis(x, about["width"], about["tile_width"])
    library = loader.library()
    if library is None:
        blend_twin(tiles, out, y, x)
        return
    tables = (y.starts, y.cover, y.weights, x.starts, x.cover, x.weights)
    library.degrade_blend(tiles, out, *tables, *about.values(), threads)


def blend_twin(tiles: Floats, out: Floats, y: Axis, x: Axis) -> None:
    """The numpy twin of `blend`: tile after tile, which is each pixel's order, too."""
    images, down, across = planes(out.shape), len(y.starts), len(x.starts)
    rows = tiles[: math.prod((images[0], down, across))].reshape(images[0], down, across, *planes(tiles.shape)[1:])
    height, width = rows.shape[-2:]
    sums = out.reshape(images)
    sums[...] = 0
    for i, top in enumerate(y.starts):
        for j, left in enumerate(x.starts):
            weight = y.weights[i][:, None] * x.weights[j]
            sums[:, :, top : top + height, left : left + width] += weight * rows[:, i, j]


def _check_starts(starts: Places, most: int) -> None:
    if starts.dtype != np.int32 or not starts.flags.c_contiguous or starts.min() < 0 or starts.max() > most:
        raise ValueError(f"starts are {starts.dtype} {starts.tolist()}. Expected: int32 from 0 to {most}.")


def _check_axis(axis: Axis, size: int, tile: int) -> None:
    _check_starts(axis.starts, size - tile)
    check_rows("weights", axis.weights, (len(axis.starts), tile))
    if axis.cover.dtype != np.int32 or axis.cover.shape != (size, 2) or not axis.cover.flags.c_contiguous:
        raise ValueError(f"cover is {axis.cover.dtype} {axis.cover.shape}. Expected: int32 ({size}, 2), C-contiguous.")
