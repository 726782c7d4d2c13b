"""How the CUDA kernels of the fatbin are called: arguments in order, threads a block, blocks.

The table is for whoever launches them through the driver, and it is what the tests hold against the .cu files.
Every kernel loops over what its grid does not cover, so the blocks below are a matter of speed, not of result;
the block size is not: `degrade_squared_l2` adds in LANES lanes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

THREADS = 256
"""Threads a block, of every kernel."""

MOST_X, MOST_Y = 2**31 - 1, 65535
"""The most blocks that CUDA allows along x and y."""

Grid = tuple[int, int]

_pointer, _int, _long, _word, _float = (
    ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_uint32, ctypes.c_float,
)  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """One kernel. arguments: name to C type, in order; a pointer is a device address, 0 = not wanted.

    grid: blocks along (x, y) from the arguments by name; each is at least 1.
    """

    arguments: dict[str, Any]
    grid: Callable[[dict[str, Any]], Grid]


def over_rows(rows: int, items: int, width: int) -> Grid:
    """Rows along y; along x blocks of threads that take `width` items of a row each."""
    blocks = -(-items // (width * THREADS))
    return min(max(blocks, 1), MOST_X), min(max(rows, 1), MOST_Y)


def over_items(count: int) -> Grid:
    """A thread for each of a few items."""
    return over_rows(1, count, 1)


PARTS = 8
"""Blocks that share a row of `degrade_squared_l2` and `degrade_finite`: kParts of select.h."""


def blocks(count: int, y: int = 1) -> Grid:
    """So many whole blocks along x."""
    return min(max(count, 1), MOST_X), y


def _arguments(pointers: str, **others: Any) -> dict[str, Any]:
    return dict.fromkeys(pointers.split(), _pointer) | others


# key low and high, then the counter words that every row carries
_NOISE = {"k0": _word, "k1": _word, "pairs": _pointer, "candidates": _pointer}
_ROWS = {"rows": _long, "elements": _long}

_SIZES = dict.fromkeys("images channels height width tile_height tile_width down across".split(), _long)

_PIXELS = Kernel(_arguments("images out", batch=_long, pixels=_long), lambda a: over_rows(a["batch"], a["pixels"], 4))

KERNELS: dict[str, Kernel] = {
    "degrade_to_planar": _PIXELS,
    # kept = 0: every image of x
    "degrade_to_bytes": Kernel(_arguments("x kept out", batch=_long, pixels=_long), _PIXELS.grid),
    "degrade_start": Kernel(
        _arguments("x x_start coefficients", **_ROWS, **_NOISE), lambda a: over_rows(a["rows"], a["elements"], 4)
    ),
    "degrade_update": Kernel(
        _arguments("x eps x0_prev coefficients timesteps step", clip=_int, **_ROWS, **_NOISE),
        lambda a: over_rows(a["rows"], a["elements"], 4),
    ),
    "degrade_load": Kernel(_arguments("t timesteps step", rows=_long), lambda a: over_items(a["rows"])),
    "degrade_advance": Kernel(_arguments("step"), lambda a: (1, 1)),
    # features_1 = 0: the first target alone
    "degrade_squared_l2": Kernel(
        _arguments("features_0 target_0 lanes_0", elements_0=_long)
        | _arguments("features_1 target_1 lanes_1", elements_1=_long, rows=_long, batch=_long),
        lambda a: blocks(PARTS * a["rows"], 2 if a["features_1"] else 1),
    ),
    "degrade_finite": Kernel(_arguments("x parts", **_ROWS), lambda a: blocks(PARTS * a["rows"])),
    # lanes_0 = 0: nothing was measured
    "degrade_choose": Kernel(
        _arguments("lanes_0 lanes_1 parts", w_0=_float, w_1=_float)
        | _arguments("error_0 error_1 score finite kept", candidates=_long, batch=_long),
        lambda a: blocks(a["batch"]),
    ),
    "degrade_gather": Kernel(
        _arguments("x kept out", batch=_long, row_bytes=_long),
        lambda a: over_rows(a["batch"], a["row_bytes"], 16),
    ),
    "degrade_tile": Kernel(
        _arguments("source out", rows=_long, batch=_long, row_bytes=_long),
        lambda a: over_rows(a["rows"], a["row_bytes"], 16),
    ),
    "degrade_cut": Kernel(
        _arguments("source out tops lefts", first=_long, slots=_long) | _SIZES,
        lambda a: over_rows(a["slots"], a["channels"] * a["tile_height"] * a["tile_width"], 1),
    ),
    "degrade_blend": Kernel(
        _arguments("tiles out tops cover_y weights_y lefts cover_x weights_x") | _SIZES,
        lambda a: over_rows(a["images"], a["channels"] * a["height"] * a["width"], 1),
    ),
}
