"""The CUDA grids on this CPU, launched with guarded buffers."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from degrade_engine.kernels.grids import KERNELS, THREADS, Grid

MARGIN = 64
"""Bytes before and after a buffer, all ones: NaN to whoever reads them as floats or halves."""

# One row of each kind a solver has: waiting, DDPM, DDIM without noise, DPM-Solver++(2M), everything at once.
TABLE = np.array(
    [
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        [1.2, -0.66, 0.9, 0.1, 0.0, 0.05],
        [1.2, -0.66, 0.4, 0.6, 0.0, 0.0],
        [1.2, -0.66, 0.4, 0.7, -0.1, 0.0],
        [1.7, -1.37, 0.3, 0.9, -0.2, 0.11],
    ],
    dtype=np.float32,
)


class Buffer:
    """A copy of values between two margins. shift: elements by which it lies off a 64-byte boundary."""

    def __init__(self, values: NDArray, shift: int = 0) -> None:
        before = MARGIN + shift * values.itemsize
        raw = np.full(before + values.nbytes + 2 * MARGIN, 0xFF, np.uint8)
        raw = raw[-raw.ctypes.data % MARGIN :]
        raw[before : before + values.nbytes] = np.frombuffer(values.tobytes(), np.uint8)
        self._before, self._after = raw[:before], raw[before + values.nbytes :]
        self.values = raw[before : before + values.nbytes].view(values.dtype).reshape(values.shape)

    def assert_guarded(self) -> None:
        assert (self._before == 0xFF).all() and (self._after == 0xFF).all(), "a kernel wrote outside its buffer"


class GridsOnHost:
    """Launches by name, with the arguments of `degrade_engine.kernels.grids`: Buffers, numbers, None for null."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def launch(self, name: str, grid: Grid | None = None, **arguments: Any) -> None:
        kernel = KERNELS[name]
        assert list(arguments) == list(kernel.arguments), "arguments in the kernel's order"
        plain = {
            key: value.values.ctypes.data if isinstance(value, Buffer) else value or 0
            for key, value in arguments.items()
        }
        boxes = [kind(plain[key]) for key, kind in kernel.arguments.items()]
        addresses = (ctypes.c_void_p * len(boxes))(*(ctypes.addressof(box) for box in boxes))
        x, y = grid or kernel.grid(plain)
        assert self.library.launch_on_host(name.encode(), x, y, THREADS, addresses) == 0
        for value in arguments.values():
            if isinstance(value, Buffer):
                value.assert_guarded()


@pytest.fixture(scope="session")
def grids(grids_library: ctypes.CDLL) -> GridsOnHost:
    return GridsOnHost(grids_library)
