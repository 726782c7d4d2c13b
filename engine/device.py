"""Where buffers lie and kernels run: one small interface, so that one sampler drives every backend.

A step of the denoising loop is four launches without a number from the host: which step it is lies in a
device buffer (`step`, int32 [1]), and the tables of all steps are indexed with it. So a graph device can
capture one step and replay it.

    load      t[r] = timesteps[step, r]
    (network)
    update    x, x0_prev by coefficients[step, r]; noise of (seed, pair, candidate, timesteps[step, r])
    advance   step += 1

Kernels outside the loop: to_planar, to_bytes, start, squared_l2, finite, score, choose, gather, tile.
`HostDevice` runs them through `degrade_engine.kernels` on numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..kernels import pixels, select, update
from .errors import DegradeError

Array = NDArray[Any]


class Device(Protocol):
    """Buffers have a shape and a dtype and can be sliced along their first axis without a copy."""

    name: str

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A buffer of zeros."""
        ...

    def upload(self, buffer: Any, values: Array) -> None:
        """Host values into the buffer; shape and dtype must match."""
        ...

    def download(self, buffer: Any) -> Array:
        """The buffer's values as a new host array, after everything launched so far has ended."""
        ...

    def launch(self, kernel: str, **arguments: Any) -> None:
        """Runs a kernel by name; the arguments are buffers and plain numbers, as in `HostDevice`."""
        ...


class HostDevice:
    """numpy buffers and the host kernels. threads: for the kernels, not for the networks."""

    def __init__(self, threads: int = 1) -> None:
        self.name = "host"
        self._threads = threads
        self._kernels: dict[str, Callable[..., None]] = {
            "to_planar": self._to_planar,
            "to_bytes": self._to_bytes,
            "start": self._start,
            "load": update.load,
            "update": self._update,
            "advance": update.advance,
            "squared_l2": self._squared_l2,
            "finite": self._finite,
            "score": _score,
            "choose": _choose,
            "gather": self._gather,
            "tile": select.tile,
        }

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.zeros(shape, dtype)

    def upload(self, buffer: Array, values: Array) -> None:
        if buffer.shape != values.shape or buffer.dtype != values.dtype:
            raise DegradeError(
                f"{values.dtype} {values.shape} was to be uploaded", wanted=f"{buffer.dtype} {buffer.shape}"
            )
        buffer[...] = values

    def download(self, buffer: Array) -> Array:
        return buffer.copy()

    def launch(self, kernel: str, **arguments: Any) -> None:
        self._kernels[kernel](**arguments)

    def _to_planar(self, images: Array, out: Array) -> None:
        """u8 [n, H, W, 3] to float32 [n, 3, H, W] in [-1, 1]."""
        out[...] = pixels.to_planar(images, threads=self._threads)

    def _to_bytes(self, x: Array, out: Array) -> None:
        """float32 [n, 3, H, W] to u8 [n, H, W, 3]."""
        out[...] = pixels.to_bytes(x, threads=self._threads)

    def _start(self, x: Array, x_start: Array, coefficients: Array, seed: int, pairs: Array, candidates: Array) -> None:
        """x = s·x_start + n·z; coefficients float32 [R, 2]."""
        update.start(x, x_start, coefficients, seed, pairs, candidates, threads=self._threads)

    def _update(
        self, x: Array, eps: Array, x0_prev: Array, coefficients: Array, timesteps: Array, step: Array,
        clip: bool, seed: int, pairs: Array, candidates: Array,
    ) -> None:  # fmt: skip
        """One step of every row; coefficients float32 [S, R, 6], timesteps int32 [S, R], step int32 [1]."""
        now = int(step[0])
        counters = timesteps[now].view(np.uint32)
        update.update(
            x, eps, x0_prev, coefficients[now], clip, seed, pairs, candidates, counters, threads=self._threads
        )

    def _squared_l2(self, features: Array, target: Array, out: Array) -> None:
        """float32 [K·B, ...] against [B, ...] into [K, B]."""
        out[...] = select.squared_l2(features, target, threads=self._threads)

    def _finite(self, x: Array, out: Array) -> None:
        """bool [K, B]: whether every pixel of the candidate is a number."""
        out[...] = select.finite(x, threads=self._threads).reshape(out.shape)

    def _gather(self, x: Array, kept: Array, out: Array) -> None:
        """[K·B, ...] into [B, ...]: the kept candidate of each pair."""
        out[...] = select.gather(x, kept, threads=self._threads)


def _score(degradation: Array, content: Array, finite: Array, weights: tuple[float, float], out: Array) -> None:
    """out[k, b] = w_d·degradation + w_c·content; infinite where that is NaN or the candidate is not finite."""
    out[...] = select.score(degradation, content, finite, weights)


def _choose(scores: Array, kept: Array) -> None:
    kept[...] = select.choose(scores)
