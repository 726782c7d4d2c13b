"""Where buffers lie and kernels run: one small interface, so that one sampler drives every backend.

A step of the denoising loop is four launches without a number from the host: which step it is lies in a
device buffer (`step`, int32 [1]), and the tables of all steps are indexed with it. So a graph device can
capture one step and replay it (`Loop`).

    load      t[r] = timesteps[step, r]
    (network)
    update    x, x0_prev by coefficients[step, r]; noise of (seed, pair, candidate, timesteps[step, r])
    advance   step += 1

Kernels outside the loop: to_planar, to_bytes, start, select, keep_first, gather, kept_to_bytes, tile. Around
networks that see an image in tiles (tiled.py): cut, tile, blend.
`HostDevice` runs them through `degrade_engine.kernels` on numpy arrays; `CudaDevice` (cuda.py) runs the
same ones from the fatbin, with the arguments that launches.py writes out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...kernels import pixels, select, tiles, update
from ..errors import DegradeError

Array = NDArray[Any]


class Loop(Protocol):
    """A step that is run many times over; made once, by whoever has the step."""

    def run(self, step: Callable[[], None], times: int, constants: Hashable) -> None:
        """Runs the step `times` times. A graph device may record it and replay the record, so the step has to be
        the same launches on the same buffers each time; constants are the numbers that go into them, and a change
        of these makes a new record.
        """
        ...


class Device(Protocol):
    """Buffers have a shape and a dtype and can be sliced along their first axis without a copy.

    stream is what executors enqueue on, None on the host; overlaps: whether a launch returns before its work has ended;
    notes are sentences for the user about how it runs.
    """

    name: str
    stream: Any
    overlaps: bool
    notes: tuple[str, ...]

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A buffer of zeros."""
        ...

    def upload(self, buffer: Any, values: Array) -> None:
        """Host values into the buffer; shape and dtype must match."""
        ...

    def fetch(self, *buffers: Any) -> Callable[[], tuple[Array, ...]]:
        """The buffers as they are after everything launched so far, whatever is launched next. What it gives waits for
        them, and gives them as new host arrays."""
        ...

    def download(self, *buffers: Any) -> tuple[Array, ...]:
        """The same, waited for."""
        ...

    def launch(self, kernel: str, **arguments: Any) -> None:
        """Runs a kernel by name; the arguments are buffers and plain numbers, as in `HostDevice`."""
        ...

    def loop(self) -> Loop:
        """A loop of its own for a step."""
        ...

    def close(self) -> None:
        """Gives back what it holds; nothing of it may be used afterwards."""
        ...


class PlainLoop:
    """Runs the step as often as it is told."""

    def run(self, step: Callable[[], None], times: int, constants: Hashable) -> None:
        for _ in range(times):
            step()


class HostDevice:
    """numpy buffers and the host kernels. threads: for the kernels, not for the networks."""

    overlaps = False

    def __init__(self, threads: int = 1) -> None:
        self.name = "host"
        self.stream = None
        self.notes: tuple[str, ...] = ()
        self._threads = threads
        self._kernels: dict[str, Callable[..., None]] = {
            "to_planar": self._to_planar,
            "to_bytes": self._to_bytes,
            "start": self._start,
            "load": update.load,
            "update": self._update,
            "advance": update.advance,
            "select": self._select,
            "keep_first": self._keep_first,
            "gather": self._gather,
            "kept_to_bytes": self._kept_to_bytes,
            "tile": select.tile,
            "cut": self._cut,
            "blend": self._blend,
        }

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Array:
        try:
            return np.zeros(shape, dtype)
        except MemoryError as error:
            fact = f"There is no memory for a buffer of {shape}"
            raise DegradeError(fact, mend="a smaller LR size, or an engine with a smaller --batch") from error

    def upload(self, buffer: Array, values: Array) -> None:
        check_fit(buffer, values)
        buffer[...] = values

    def fetch(self, *buffers: Array) -> Callable[[], tuple[Array, ...]]:
        found = self.download(*buffers)
        return lambda: found

    def download(self, *buffers: Array) -> tuple[Array, ...]:
        return tuple(buffer.copy() for buffer in buffers)

    def launch(self, kernel: str, **arguments: Any) -> None:
        self._kernels[kernel](**arguments)

    def loop(self) -> Loop:
        return PlainLoop()

    def close(self) -> None:
        pass

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

    def _select(
        self, features_0: Array, target_0: Array, lanes_0: Any, features_1: Array, target_1: Array, lanes_1: Any,
        x: Array, parts: Any, weights: tuple[float, float], error_0: Array, error_1: Array, score: Array, finite: Array,
        kept: Array,
    ) -> None:  # fmt: skip
        """What is known of the candidates: each error, float32 [K, B], of features float32 [K·B, ...] against a target
        [B, ...]; finite, bool [K, B]: whether all pixels of x, float32 [K·B, ...], are numbers; score, the errors'
        weighted sum; kept, int32 [B]: the best candidate. lanes and parts are a GPU's own, float32 [K·B, 2, LANES] and
        uint8 [K·B, PARTS]."""
        error_0[...] = select.squared_l2(features_0, target_0, threads=self._threads)
        error_1[...] = select.squared_l2(features_1, target_1, threads=self._threads)
        finite[...] = select.finite(x, threads=self._threads).reshape(finite.shape)
        score[...] = select.score(error_0, error_1, finite, weights)
        kept[...] = select.choose(score)

    def _keep_first(
        self, x: Array, parts: Any, error_0: Array, error_1: Array, score: Array, finite: Array, kept: Array
    ) -> None:
        """The same where nothing is measured: errors and scores are NaN, candidate 0 is kept."""
        finite[...] = select.finite(x, threads=self._threads).reshape(finite.shape)
        for buffer in (error_0, error_1, score):
            buffer[...] = np.nan
        kept[...] = 0

    def _kept_to_bytes(self, x: Array, kept: Array, out: Array) -> None:
        """The kept candidate of each pair: float32 [K·B, 3, H, W] to u8 [B, H, W, 3]."""
        out[...] = pixels.to_bytes(select.gather(x, kept, threads=self._threads), threads=self._threads)

    def _gather(self, x: Array, kept: Array, out: Array) -> None:
        """[K·B, ...] into [B, ...]: the kept candidate of each pair."""
        out[...] = select.gather(x, kept, threads=self._threads)

    def _cut(self, source: Array, out: Array, tops: Array, lefts: Array, first: int) -> None:
        """Tiles first, first + 1, ... of [images, C, H, W] into [slots, C, h, w]; tops, lefts int32 [n]."""
        tiles.cut(source, out, tops, lefts, first, threads=self._threads)

    def _blend(
        self, tiled: Array, out: Array, tops: Array, cover_y: Array, weights_y: Array, lefts: Array, cover_x: Array,
        weights_x: Array,
    ) -> None:  # fmt: skip
        """All tiles [images·tiles or more, C, h, w] into [images, C, H, W]; tables as in `tiles.Axis`."""
        y, x = tiles.Axis(tops, cover_y, weights_y), tiles.Axis(lefts, cover_x, weights_x)
        tiles.blend(tiled, out, y, x, threads=self._threads)


def check_fit(buffer: Any, values: Array) -> None:
    """DegradeError unless the values have the buffer's shape and dtype."""
    if buffer.shape != values.shape or buffer.dtype != values.dtype:
        raise DegradeError(f"{values.dtype} {values.shape} was to be uploaded", wanted=f"{buffer.dtype} {buffer.shape}")
