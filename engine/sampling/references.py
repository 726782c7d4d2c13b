"""Several references of a pair: each is read by itself, and what they say is put together.

A tensor becomes its mean over the references; one that the kind's page lists under `adds` becomes its sum. This needs
no kernel of its own: with p = 0 and q = 1 the solver's update (kernels/update.py) is x = a·x + b·eps.

The plan gives a photograph one crop wherever it is a further reference. On the host, where each row goes through a
network by itself and so its bytes depend on nothing else, what was read of it is kept. A GPU reads it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Device, HostDevice
from .batch import Bytes

MOST_KEPT = 4096  # references, of a kilobyte each


class References:
    """Buffers, made once. made: the tensors that the parts of a reference fill; adds: those of them that add up."""

    def __init__(self, device: Device, made: Mapping[str, Any], adds: tuple[str, ...]) -> None:
        self._device, self._made = device, made
        self._sums = [_Sum(device, tensor, name in adds) for name, tensor in made.items()]
        self._kept: dict[bytes, dict[str, NDArray[Any]]] = {}

    def read(self, images: Bytes, one: Callable[[Bytes], dict[str, int]]) -> dict[str, int]:
        """images: u8 [n, m, h, w, 3], m references of each pair. one: reads u8 [n, h, w, 3], one reference of each,
        fills the tensors, and returns how often its parts ran. Returns the same of all."""
        m = images.shape[1]
        calls = one(images[:, 0])
        for j in range(1, m):
            for each in self._sums:
                each.keep(j)
            for name, count in self._read_once(images[:, j], one).items():
                calls[name] += count
        if m > 1:
            for each in self._sums:
                each.keep(m)
                each.give()
        return calls

    def _read_once(self, images: Bytes, one: Callable[[Bytes], dict[str, int]]) -> dict[str, int]:
        """Of images that have been read before, what was read then."""
        if not isinstance(self._device, HostDevice):
            return one(images)
        names = [hashlib.sha256(image.tobytes()).digest() for image in images]
        if all(name in self._kept for name in names):
            for tensor_name, tensor in self._made.items():
                tensor[: len(names)] = [self._kept[name][tensor_name] for name in names]
            return {}
        calls = one(images)
        if len(self._kept) > MOST_KEPT:
            self._kept.clear()
        for at, name in enumerate(names):
            self._kept[name] = {tensor_name: tensor[at].copy() for tensor_name, tensor in self._made.items()}
        return calls


class _Sum:
    """Of one tensor."""

    def __init__(self, device: Device, tensor: Any, adds: bool) -> None:
        self._device, self._tensor, self._adds = device, tensor, adds
        rows = len(tensor)
        self._sum, self._scratch = (device.allocate(tensor.shape, np.float32) for _ in range(2))
        self._coefficients = device.allocate((1, rows, 6), np.float32)
        self._timesteps, self._step = device.allocate((1, rows), np.int32), device.allocate((1,), np.int32)
        self._words = device.allocate((rows,), np.uint32)

    def keep(self, count: int) -> None:
        """Take what the tensor holds now: it is of reference number `count`, counted from 1."""
        if count == 1:  # what lies in the sum may be anything
            self._device.launch("tile", source=self._tensor, out=self._sum)
            return
        a, b = (1.0, 1.0) if self._adds else ((count - 1) / count, 1 / count)
        row = np.array([0, 1, a, b, 0, 0], np.float32)
        self._device.upload(self._coefficients, np.tile(row, (1, len(self._tensor), 1)))
        self._device.launch(
            "update", x=self._sum, eps=self._tensor, x0_prev=self._scratch, coefficients=self._coefficients,
            timesteps=self._timesteps, step=self._step, clip=False, seed=0, pairs=self._words, candidates=self._words,
        )  # fmt: skip

    def give(self) -> None:
        """Put the result where the tensor is."""
        self._device.launch("tile", source=self._sum, out=self._tensor)
