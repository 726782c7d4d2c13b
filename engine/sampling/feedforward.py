"""A kind without steps (lway): two network calls make a batch of pairs.

    references -> degradation -> f_deg        contents, f_deg -> reconstruction -> x (+ white noise) -> bytes

What `Sampler.run` returns, with one candidate and no score: the same buffers-first order, one copy back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import Device
from ..errors import DegradeError
from .batch import Batch, BatchResult, Bytes, Model, Runner, check_batch
from .filter import Scores
from .noise import WhiteNoise
from .references import References

if TYPE_CHECKING:
    from ..executors import Executor


class FeedForward(Runner):
    """Networks, buffers and bindings for one size, made once; `begin` takes batch after batch. x: float32 [B, 3, h, w],
    the LR before quantisation, its noise included."""

    def __init__(self, device: Device, executors: Mapping[str, Executor], model: Model, *, candidates: int = 1) -> None:
        if candidates != 1:
            raise DegradeError(f"candidates is {candidates}", wanted="1: without steps they are all alike")
        planes = executors["reconstruction"].shapes["image"]
        self.batch, _, self.height, self.width = planes
        self._device, self._executors, self._model = device, executors, model
        image = (self.batch, self.height, self.width, 3)
        self._bytes, self._lr_bytes = (device.allocate(image, np.uint8) for _ in range(2))
        self._content, self._reference, self.x = (device.allocate(planes, np.float32) for _ in range(3))
        self._f_deg = device.allocate(executors["degradation"].shapes["f_deg"], np.float32)
        self._references = References(device, {"f_deg": self._f_deg}, ())
        self._scores = Scores(device, 1, self.batch)
        self._noise, self._pairs = WhiteNoise(device, self.batch), device.allocate((self.batch,), np.uint32)
        self.bind()

    def bind(self) -> None:
        """Points the networks at these buffers."""
        for name, tensor, buffer in (
            ("degradation", "image", self._reference), ("degradation", "f_deg", self._f_deg),
            ("reconstruction", "content", self._content), ("reconstruction", "f_deg", self._f_deg),
            ("reconstruction", "image", self.x),
        ):  # fmt: skip
            self._executors[name].bind(tensor, buffer)

    def begin(self, batch: Batch, *, filter: bool = True, inspect: bool = True) -> Callable[[], BatchResult]:
        """See Runner. Errors and scores are NaN, the start image is the result without noise. Raises DegradeError for
        shapes that do not fit the engine, a tau above 0, a start image, and for filter=True: there is one candidate.
        """
        check_batch(batch, self._model, self, filter)
        assert batch.reference is not None  # checked
        device, n, image = self._device, len(batch.content), (self.height, self.width, 3)

        def upload(images: Bytes, planes: Any) -> None:
            padded = np.full((self.batch, *image), 128, np.uint8)
            padded[:n] = images
            device.upload(self._bytes, padded)
            device.launch("to_planar", images=self._bytes, out=planes)

        def one(images: Bytes) -> dict[str, int]:
            upload(images, self._reference)
            self._executors["degradation"].enqueue(device.stream)
            return {"degradation": 1}

        upload(batch.content, self._content)
        if batch.noise:
            self._noise.upload(batch.noise)
            device.upload(self._pairs, np.pad(batch.pairs, (0, self.batch - n)))
        several = batch.reference if batch.reference.ndim == 5 else batch.reference[:, None]
        calls = self._references.read(several, one) | {"reconstruction": 1}
        self._executors["reconstruction"].enqueue(device.stream)
        self._scores.skip(self.x)
        device.launch("to_bytes", x=self.x, out=self._bytes)
        wanted = [self._bytes]
        if batch.noise:
            self._noise.add(self.x, self._content, self._reference, batch.seed, self._pairs)
            device.launch("to_bytes", x=self.x, out=self._lr_bytes)
            wanted = [self._lr_bytes, self._bytes] if inspect else [self._lr_bytes]
        fetched = device.fetch(self._scores.finite, *wanted)

        def result() -> BatchResult:
            finite, made, *plain = fetched()
            shown: Bytes = (plain[0] if plain else made)[: n if inspect else 0]
            nothing = np.full((1, n), np.nan, np.float32)
            return BatchResult(
                lr=made[:n], start=shown, candidates=shown[None], degradation_error=nothing, content_error=nothing,
                score=nothing, kept=np.zeros(n, np.int32), finite=finite[0, :n], row_steps=0, executed_row_steps=0,
                calls=calls,
            )  # fmt: skip

        return result
