"""A kind without steps (lway): two network calls make a batch of pairs.

    references -> degradation -> f_deg        contents, f_deg -> reconstruction -> x (+ white noise) -> bytes

What `Sampler.run` returns, with one candidate and no score: the same buffers-first order, one copy back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import Device
from ..errors import DegradeError
from ..executors import Executor
from ..schedule import Schedule
from ..spec import FilterWeights, PartSpec, has_steps
from .noise import WhiteNoise, check_noise
from .sampler import Batch, BatchResult, Bytes, Sampler


class FeedForward:
    """Networks, buffers and bindings for one size, made once; `run` takes batch after batch. x: float32 [B, 3, h, w],
    the LR before quantisation, its noise included."""

    def __init__(self, device: Device, executors: dict[str, Executor], *, batch: int, height: int, width: int) -> None:
        self.batch, self.height, self.width = batch, height, width
        self._device, self._executors = device, executors
        planes = (batch, 3, height, width)
        self._bytes, self._lr_bytes = (device.allocate((batch, height, width, 3), np.uint8) for _ in range(2))
        content, reference, self.x = (device.allocate(planes, np.float32) for _ in range(3))
        f_deg = device.allocate(executors["degradation"].shapes["f_deg"], np.float32)
        self._finite = device.allocate((1, batch), np.bool_)
        self._content, self._reference = content, reference
        self._noise, self._pairs = WhiteNoise(device, batch), device.allocate((batch,), np.uint32)
        for name, tensor, buffer in (
            ("degradation", "image", reference), ("degradation", "f_deg", f_deg),
            ("reconstruction", "content", content), ("reconstruction", "f_deg", f_deg),
            ("reconstruction", "image", self.x),
        ):  # fmt: skip
            executors[name].bind(tensor, buffer)

    def run(
        self, batch: Batch, *, filter: bool = True, candidates: int | None = None, inspect: bool = True
    ) -> BatchResult:
        """Runs a batch. Errors and scores are NaN, the start image is the result without noise. Raises DegradeError for
        shapes that do not fit the engine, a tau above 0, a start image, and for filter=True: there is one candidate.
        """
        if filter:
            raise DegradeError("This kind of engine has nothing to filter by", mend="run it with filter=False")
        if candidates not in (None, 1):
            raise DegradeError(f"One of {candidates} candidates was to be kept", wanted="1, as the engine makes")
        reference = self._check(batch)
        device, n, image = self._device, len(batch.content), (self.height, self.width, 3)
        for images, planes in ((batch.content, self._content), (reference, self._reference)):
            padded = np.full((self.batch, *image), 128, np.uint8)
            padded[:n] = images
            device.upload(self._bytes, padded)
            device.launch("to_planar", images=self._bytes, out=planes)
        if batch.noise:
            self._noise.upload(batch.noise)
            device.upload(self._pairs, np.pad(batch.pairs, (0, self.batch - n)))
        for name in ("degradation", "reconstruction"):
            self._executors[name].enqueue(device.stream)
        device.launch("finite", x=self.x, out=self._finite)
        device.launch("to_bytes", x=self.x, out=self._bytes)
        wanted = [self._bytes]
        if batch.noise:
            self._noise.add(self.x, self._content, self._reference, batch.seed, self._pairs)
            device.launch("to_bytes", x=self.x, out=self._lr_bytes)
            wanted = [self._lr_bytes, self._bytes] if inspect else [self._lr_bytes]
        finite, made, *plain = device.download(self._finite, *wanted)
        lr: Bytes = made[:n]
        shown: Bytes = (plain[0] if plain else made)[: n if inspect else 0]
        nothing = np.full((1, n), np.nan, np.float32)
        return BatchResult(
            lr=lr, start=shown, candidates=shown[None], degradation_error=nothing, content_error=nothing,
            score=nothing, kept=np.zeros(n, np.int32), finite=finite[0, :n], row_steps=0, executed_row_steps=0,
            calls={"degradation": 1, "reconstruction": 1},
        )  # fmt: skip

    def _check(self, batch: Batch) -> Bytes:
        """The references of a batch that fits."""
        n, wanted = len(batch.content), (len(batch.content), self.height, self.width, 3)
        if not 1 <= n <= self.batch:
            raise DegradeError(f"A batch of {n} pairs came", wanted=f"1 to {self.batch} pairs, the engine's batch")
        if batch.reference is None:
            raise DegradeError("A batch came without reference images", wanted="one a pair")
        for name, images in (("content", batch.content), ("reference", batch.reference)):
            if images.shape != wanted or images.dtype != np.uint8:
                raise DegradeError(f"{name} is {images.dtype} {images.shape}", wanted=f"uint8 {wanted}")
        if batch.fusion_weight is not None:
            fact = f"The fusion weight is {batch.fusion_weight}"
            raise DegradeError(fact, wanted="None: this kind of engine fuses nothing")
        if batch.pairs.shape != (n,) or batch.pairs.dtype != np.uint32:
            fact = f"{n} images and pairs {batch.pairs.dtype} {batch.pairs.shape} came"
            raise DegradeError(fact, wanted="one uint32 number a pair")
        check_noise(batch.noise)
        if taus := {table.tau for table in batch.tables} - {0}:
            raise DegradeError(f"tau is {max(taus)}, and this kind of engine has no steps", wanted="tau 0")
        if batch.start is not None:
            raise DegradeError("A start image came to an engine without steps", wanted="start reconstruction")
        return batch.reference


def open_sampler(
    device: Device, executors: dict[str, Executor], parts: dict[str, PartSpec], schedule: Schedule,
    weights: FilterWeights, *, batch: int, candidates: int, height: int, width: int,
) -> Any:  # fmt: skip
    """What runs the batches of an engine: a Sampler, or a FeedForward where there are no steps."""
    if not has_steps(parts):
        return FeedForward(device, executors, batch=batch, height=height, width=width)
    return Sampler(device, executors, parts, schedule, weights, batch=batch, candidates=candidates, height=height,
                   width=width)  # fmt: skip
