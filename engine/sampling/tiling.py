"""Where the tiles of a large image lie, and what each counts for: aggregation sampling.

StableSR (Wang et al. 2024, section 3.3; UDDM's base) runs its networks on overlapping tiles and averages what they say
of a pixel by Gaussian weights around each tile's middle, before every step of the whole image. So neighbours agree at
every step, and no tile's edge shows.

    w(u) = exp(-(u - m)² / (2 · 0.01 · S²))      u = 0 .. S - 1 within the tile, m = (S - 1)/2, S the tile's size

as in StableSR's code, whose middle in y is half a pixel off. At its edge a tile counts 4·10⁻⁶ of its middle, so its
padding is of no account. The two-dimensional weight is w(y)·w(x), and so is its sum over all tiles: weights are made,
and divided by their sum, an axis at a time. Where one tile lies alone its weight is exactly 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...kernels.tiles import Axis
from ..errors import DegradeError
from ..scalars import whole
from ..spec import TensorSpec, read_dimension

VARIANCE = 0.01  # of the weights, in tile sizes squared (StableSR)


@dataclass(frozen=True)
class Line:
    """The tiles along one axis of the LR: starts in LR pixels, increasing, the first 0, the last flush with the end."""

    size: int
    tile: int
    starts: tuple[int, ...]

    def axis(self, word: str | int) -> Axis:
        """Places and weights on the grid of a tensor whose dimension is `word`, such as "4*height". A whole number, a
        tensor without that axis: every tile gives all of it, and all count alike."""
        n = len(self.starts)
        found = None if isinstance(word, int) else read_dimension(word)
        if found is None:
            return Axis(np.zeros(n, np.int32), np.array([[0, n]], np.int32), np.full((n, 1), 1 / n, np.float32))
        _, times, by = found
        if any(times * place % by for place in (self.size, self.tile, *self.starts)):
            fact = f"Tiles of {self.tile} in {self.size} LR pixels do not fit a tensor of {word}"
            raise DegradeError(fact, wanted=f"multiples of {by}")
        size, tile = (times * length // by for length in (self.size, self.tile))
        return _weighted([times * start // by for start in self.starts], size, tile)


@dataclass(frozen=True)
class Grid:
    """The tiles of an image: rows of them along y, columns along x. overlap: the least that was asked for."""

    y: Line
    x: Line
    overlap: int

    @property
    def tiles(self) -> int:
        """Tiles of an image."""
        return len(self.y.starts) * len(self.x.starts)

    def axes(self, tensor: TensorSpec) -> tuple[Axis, Axis]:
        """(y, x) of a tensor: [batch, channels, height, width] on any grid, or one without places."""
        words = (*tensor.shape, 1, 1, 1)[2:4]
        return self.y.axis(words[0]), self.x.axis(words[1])

    def images(self, batch: int) -> int:
        """How many images to run at once on networks that take `batch` tiles: the fewest whose tiles fill nine tenths
        of the rows. `batch` images always fill all."""
        return next(n for n in range(1, batch + 1) if 10 * n * self.tiles >= 9 * batch * self.calls(n, batch))

    def calls(self, images: int, batch: int) -> int:
        """Network calls for all tiles of so many images."""
        return -(-images * self.tiles // batch)


def grid(height: int, width: int, tile: int, overlap: int | None = None) -> Grid:
    """Tiles of tile × tile over height × width LR pixels. overlap: the least that neighbours share, in LR pixels; None
    = a quarter of the tile. Raises DegradeError for sizes that do not fit.
    """
    if overlap is None:
        overlap = default_overlap(tile)
    for name, size in (("height", height), ("width", width)):
        if size < tile:
            raise DegradeError(f"The LR {name} is {size}", wanted=f"{tile} or more, the size of the engine's networks")
    if not 0 < overlap < tile:
        raise DegradeError(f"The tile overlap is {overlap}", wanted=f"1 to {tile - 1} LR pixels")
    y, x = (_line(size, tile, overlap) for size in (height, width))
    return Grid(y, x, overlap)


def grid_of(lr_size: int | tuple[int, int] | None, tile: int, overlap: int | None) -> Grid | None:
    """The grid for an LR of that side, or (height, width); None where it is one tile. Raises as `grid`."""
    sides = lr_size if isinstance(lr_size, tuple | list) else (tile if lr_size is None else lr_size,) * 2
    if len(sides) != 2:
        raise DegradeError(f"lr_size is {lr_size!r}", wanted="a side, or (height, width)")
    height, width = (whole("lr_size", side, 1) for side in sides)
    overlap = None if overlap is None else whole("tile_overlap", overlap, 1)
    if height == width == tile:
        if overlap is not None:
            fact = f"The tile overlap is {overlap}, and an LR of {tile} pixels, the engine's own size, is a single tile"
            raise DegradeError(fact, mend="leave it out, or ask for a larger LR size")
        return None
    return grid(height, width, tile, overlap)


def pairs_a_batch(rows: int, candidates: int, grid: Grid | None) -> int:
    """Pairs that an engine of so many rows takes at a time, with so many candidates each, on tiles or on none."""
    return rows // candidates if grid is None else grid.images(rows // candidates)


def default_overlap(tile: int) -> int:
    """A quarter of the tile, LR pixels."""
    return tile // 4


def _line(size: int, tile: int, overlap: int) -> Line:
    """As few tiles as the overlap allows, as evenly as may be.

    Starts lie on multiples of 16, or of as large a power of 2 as sizes and overlap leave: so a network's coarser grids
    fall on the same pixels in every tile.
    """
    unit = next(u for u in (16, 8, 4, 2, 1) if u == 1 or size % u == tile % u == 0 and 4 * u <= tile - overlap)
    room, step = (size - tile) // unit, (tile - overlap) // unit
    gaps = -(-room // step)
    return Line(size, tile, tuple(unit * (i * room // gaps) for i in range(gaps + 1)) if gaps else (0,))


def _weighted(starts: list[int], size: int, tile: int) -> Axis:
    u = np.arange(tile) - (tile - 1) / 2
    bell = np.exp(-(u**2) / (2 * VARIANCE * tile**2))
    sums: NDArray[np.float64] = np.zeros(size)
    cover = np.empty((size, 2), np.int32)
    for i, start in enumerate(starts):
        sums[start : start + tile] += bell
        cover[start : start + tile, 1] = i + 1
    for i, start in reversed(list(enumerate(starts))):
        cover[start : start + tile, 0] = i
    weights = np.stack([bell / sums[start : start + tile] for start in starts])
    return Axis(np.array(starts, np.int32), cover, weights.astype(np.float32))
