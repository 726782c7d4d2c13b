"""Standard normals of numpy's own stream, in a fifth of its time; ziggurat.h says how.

Its twin is numpy. numpy does not promise its streams for ever, and other processors' builds of it may round otherwise:
the compiled loop draws on x86-64 alone, and only where it is seen to draw what this numpy draws.
"""

from __future__ import annotations

import platform
from functools import cache

import numpy as np
from numpy.typing import NDArray

from . import loader

Floats = NDArray[np.float32]

CHECKED = 1 << 16  # normals, half a millisecond: both ways out of each layer, and the tail


def standard_normal(dice: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """What `dice.standard_normal(shape, dtype=np.float32)` gives, and the dice where that leaves them."""
    if isinstance(dice.bit_generator, np.random.SFC64) and agrees():
        return _compiled(dice.bit_generator, shape)
    return dice.standard_normal(shape, dtype=np.float32)


@cache
def agrees() -> bool:
    """Whether there is a compiled loop that draws what numpy draws."""
    if loader.library() is None or platform.machine() not in ("x86_64", "AMD64"):
        return False
    drawn = np.random.Generator(np.random.SFC64(0)).standard_normal(CHECKED, dtype=np.float32)
    return np.array_equal(_compiled(np.random.SFC64(0), (CHECKED,)), drawn)


def _compiled(bits: np.random.SFC64, shape: tuple[int, ...]) -> Floats:
    state = bits.state
    words = np.array([*state["state"]["state"], state["has_uint32"], state["uinteger"]], np.uint64)
    out = np.empty(shape, np.float32)
    library = loader.library()
    assert library is not None
    library.degrade_ziggurat(words, out, out.size)
    state["state"]["state"], state["has_uint32"], state["uinteger"] = words[:4], int(words[4]), int(words[5])
    bits.state = state
    return out
