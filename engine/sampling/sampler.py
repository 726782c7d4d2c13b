"""The life of one batch: B pairs, K candidates of each, from their pixels to the candidate that is kept.

    once a reference   f_deg = E_deg(reference)
    once a pair        f_cont = E_cont(content), condition = M(f_cont, f_deg);
                       and Rec_lr(f_cont, f_deg), if that is the start image
    once a step        eps = denoiser(x_t, t, condition) for all R = K·B rows, update    (Algorithm 2)
    at the end         the filter or the fusion, the kept rows, white noise on them if asked for, bytes

Rows are candidate-major, row = k·B + pair. All rows end together; a pair with fewer steps than the longest
of the batch joins late and is left untouched (identity coefficients) until then. Everything that the host
decides, coefficients, timesteps and noise counters of every step and row, is uploaded before the first
launch; the loop allocates nothing, reads nothing back, and each of its steps is the same few launches, so a
graph device can replay one. What is read back is the result, once, after the last launch.

So it is with RealDGen; a kind of model with fewer parts (spec.PARTS) does without their lines. UDDM's second branch,
P-DDM, runs once a pair, on the HR itself and on noise; the end is then the weighted sum of both (fusion.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Device
from ..errors import DegradeError
from ..executors import Executor
from ..schedule import Schedule, SolverTable
from ..spec import EXTRACTORS, FilterWeights, PartSpec, can_filter, fuses, hr_scale, reads_reference
from .filter import Filter
from .fusion import Fusion
from .layout import lay_out
from .noise import WhiteNoise, check_noise

Bytes = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """n pairs, 1 <= n <= B; the rows up to B are padding.

    content    u8 [n, h, w, 3]: the HR brought to LR size
    reference  u8 [n, h, w, 3]: the crop whose degradation is wanted; None for a kind that reads none
    pairs      uint32 [n]: numbers of the pairs within the run, the noise counters
    tables     n SolverTables; their number of steps may differ, clip is common
    start      u8 [n, h, w, 3], or None for Rec_lr, the model's own reconstruction (float, not quantised)
    seed       of the run, 0..2^64-1
    valid      bool [n], None = all: a pair that failed keeps its place, so that its neighbours' bytes do not
               change; its pixels may be anything and its result is meaningless
    hr         u8 [n, r·h, r·w, 3]: the HR itself, for a kind that reads it; else None
    fusion_weight  w of UDDM's eq. 1, 0..1, for a kind that fuses; else None
    noise      standard deviation of the white noise that the LR gets at the end, grey levels; 0 = none
    """

    content: Bytes
    reference: Bytes | None
    pairs: NDArray[np.uint32]
    tables: Sequence[SolverTable]
    start: Bytes | None = None
    seed: int = 0
    valid: NDArray[np.bool_] | None = None
    hr: Bytes | None = None
    fusion_weight: float | None = None
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class BatchResult:
    """Of n pairs. Errors and scores have no unit; without the filter they are NaN.

    lr                  u8 [n, h, w, 3]: the kept candidates, with the batch's noise
    start               u8 [n, h, w, 3]: the start image, quantised; no row unless inspected
    candidates          u8 [K, n, h, w, 3], without that noise; no row unless inspected
    degradation_error   float32 [K, n]: ||f_deg - target||² / ||target||²
    content_error       float32 [K, n]: the same of f_cont
    score               float32 [K, n]: their weighted sum; infinite for a candidate with a pixel that is no number
    kept                int32 [n]: which candidate, of those that were to be chosen from
    finite              bool [n]: whether the kept candidate is all numbers; if not, the pair failed
    row_steps           network rows that moved a valid pair
    executed_row_steps  all network rows of the denoiser, padding and waiting included
    calls               how often each part ran
    """

    lr: Bytes
    start: Bytes
    candidates: Bytes
    degradation_error: Float32
    content_error: Float32
    score: Float32
    kept: NDArray[np.int32]
    finite: NDArray[np.bool_]
    row_steps: int
    executed_row_steps: int
    calls: dict[str, int]


class Sampler:
    """Networks, buffers and bindings for one size, made once; `run` takes batch after batch."""

    def __init__(
        self,
        device: Device,
        executors: dict[str, Executor],
        parts: dict[str, PartSpec],
        schedule: Schedule,
        weights: FilterWeights,
        *,
        batch: int,
        candidates: int,
        height: int,
        width: int,
    ) -> None:
        self.batch, self.candidates, self.rows = batch, candidates, batch * candidates
        self.height, self.width = height, width
        self._device, self._executors, self._parts, self._schedule = device, executors, parts, schedule
        rows, planes, bytes_ = self.rows, (3, height, width), (height, width, 3)

        def floats(*shape: int) -> Any:
            return device.allocate(shape, np.float32)

        self._loop = device.loop()
        self._bytes, self._lr_bytes, self._start_bytes = (
            device.allocate((count, *bytes_), np.uint8) for count in (rows, batch, batch)
        )
        self._content, self._reference = floats(batch, *planes), floats(batch, *planes)
        self._x_start, self.x = floats(rows, *planes), floats(rows, *planes)
        self._eps, self._x0_prev, self._kept = (
            floats(rows, *planes),
            floats(rows, *planes),
            floats(batch, *planes),
        )

        steps = schedule.T
        self._coefficients, self._starts = floats(steps, rows, 6), floats(rows, 2)
        self._timesteps = device.allocate((steps, rows), np.int32)
        self._t, self._step = device.allocate((rows,), np.int32), device.allocate((1,), np.int32)
        self._pairs, self._numbers = (device.allocate((rows,), np.uint32) for _ in range(2))
        device.upload(self._numbers, np.repeat(np.arange(candidates, dtype=np.uint32), batch))

        self._scale = hr_scale(parts)
        if self._scale is not None:
            side = (self._scale * height, self._scale * width)
            self._hr_bytes, self._hr = device.allocate((batch, *side, 3), np.uint8), floats(batch, 3, *side)
        self._fusion = Fusion(device, rows, planes, schedule.T) if fuses(parts) else None
        self._noise = WhiteNoise(device, batch)
        self.tensors = self._allocate_tensors()
        self._filter = Filter(
            device,
            {name: executors[name] for name in EXTRACTORS} if can_filter(parts) else {},
            weights,
            batch=batch,
            candidates=candidates,
        )
        self._bind_denoiser()

    def run(
        self, batch: Batch, *, filter: bool = True, candidates: int | None = None, inspect: bool = True
    ) -> BatchResult:
        """Runs a batch. filter=False keeps candidate 0; candidates: the filter keeps one of the first so many,
        None = of all; inspect=False leaves start image and candidates on the device. Raises DegradeError for
        shapes that do not fit the engine.
        """
        if candidates is not None and not 1 <= candidates <= self.candidates:
            raise DegradeError(
                f"One of {candidates} candidates was to be kept", wanted=f"1 to {self.candidates}, as the engine makes"
            )
        if filter and not can_filter(self._parts):
            raise DegradeError("This kind of engine has nothing to filter by", mend="run it with filter=False")
        valid = self._check(batch)
        launch = self._device.launch
        tables = [table if good else None for table, good in zip(batch.tables, valid, strict=True)]
        steps, clip = self._upload_tables(tables)
        self._upload_pairs(batch.pairs)
        calls = dict.fromkeys(self._parts, 0)

        small = self._bytes[: self.batch]
        self._upload_images(batch.content, small, self._content)
        if batch.reference is not None:
            self._upload_images(batch.reference, small, self._reference)
        if batch.start is not None:
            self._upload_images(batch.start, small, self._x_start[: self.batch])
        if batch.hr is not None:
            self._upload_images(batch.hr, self._hr_bytes, self._hr)
        fusion, noise = self._fusion, (batch.seed, self._pairs, self._numbers)
        if fusion is not None and batch.fusion_weight is not None:
            fusion.upload(batch.fusion_weight)
            fusion.draw(self._x_start, *noise)
        if batch.noise:
            self._noise.upload(batch.noise)
        for name, part in self._parts.items():
            if part.runs in ("reference", "pair") and not (name == "reconstruction" and batch.start is not None):
                self._bind_once(name, part)
                self._executors[name].enqueue(self._device.stream)
                calls[name] += 1
        for name in self._tiled:
            launch("tile", source=self.tensors[name][: self.batch], out=self.tensors[name])
        launch("tile", source=self._x_start[: self.batch], out=self._x_start)

        launch(
            "start", x=self.x, x_start=self._x_start, coefficients=self._starts, seed=batch.seed,
            pairs=self._pairs, candidates=self._numbers,
        )  # fmt: skip
        self._loop.run(lambda: self._run_step(batch.seed, clip), steps, (batch.seed, clip))
        calls["denoiser"] += steps
        if fusion is not None:
            fusion.run(self.x, self.tensors["lr_pddm"], self._x_start, *noise)

        if filter:
            f_deg, f_cont = (self.tensors[name][: self.batch] for name in ("f_deg", "f_cont"))
            self._filter.run(self.x, f_deg, f_cont, candidates)
            for name in EXTRACTORS:
                calls[name] += self.candidates
        else:
            self._filter.skip(self.x)
        useful = self.candidates * sum(len(table) for table in tables if table is not None)
        return self._download(batch, inspect, useful, steps * self.rows, calls)

    def _run_step(self, seed: int, clip: bool) -> None:
        """The loop's body: no allocation, no decision, no value from the host that changes from step to
        step.
        """
        launch = self._device.launch
        launch("load", t=self._t, timesteps=self._timesteps, step=self._step)
        self._executors["denoiser"].enqueue(self._device.stream)
        launch(
            "update", x=self.x, eps=self._eps, x0_prev=self._x0_prev, coefficients=self._coefficients,
            timesteps=self._timesteps, step=self._step, clip=clip, seed=seed, pairs=self._pairs,
            candidates=self._numbers,
        )  # fmt: skip
        launch("advance", step=self._step)

    # ------------------------------------------------------------------------------- before the first launch

    def _allocate_tensors(self) -> dict[str, Any]:
        """A buffer for every named tensor between parts; those that the denoiser and the fusion read have room for
        all R rows.
        """
        denoiser = self._parts["denoiser"]
        self._conditions = [t.name for t in denoiser.inputs if t.name not in ("x_t", "t")]
        self._tiled = self._conditions + (["lr_pddm"] if self._fusion else [])
        tensors = {}
        for name, part in self._parts.items():
            for output in part.outputs:
                if part.runs in ("reference", "pair") and output.name != "image":
                    shape = self._executors[name].shapes[output.name]
                    rows = self.rows if output.name in self._tiled else self.batch
                    tensors[output.name] = self._device.allocate((rows, *shape[1:]), np.float32)
        return tensors

    def _bind_once(self, name: str, part: PartSpec) -> None:
        """Binds a part that runs once a reference or pair. Every time: the filter points two of them
        elsewhere.
        """
        executor = self._executors[name]
        outer = {"image": self._reference if part.runs == "reference" else self._content}
        if self._scale is not None:
            outer["hr"] = self._hr
        if self._fusion is not None:
            outer["z"] = self._fusion.z[: self.batch]
        for tensor in part.inputs:
            source = outer[tensor.name] if tensor.name in outer else self.tensors[tensor.name][: self.batch]
            executor.bind(tensor.name, source)
        for tensor in part.outputs:
            target = self._x_start if tensor.name == "image" else self.tensors[tensor.name]
            executor.bind(tensor.name, target[: self.batch])

    def _bind_denoiser(self) -> None:
        denoiser = self._executors["denoiser"]
        for name, buffer in (("x_t", self.x), ("t", self._t), ("eps", self._eps)):
            denoiser.bind(name, buffer)
        for name in self._conditions:
            denoiser.bind(name, self.tensors[name])

    def _upload_tables(self, tables: Sequence[SolverTable | None]) -> tuple[int, bool]:
        """Coefficients and timesteps of every step and row, and the start's; returns the number of steps
        and clip.
        """
        clips = {table.clip for table in tables if table is not None}
        if len(clips) > 1:
            raise DegradeError("A batch mixes tables that clip with tables that do not", wanted="one kind a batch")
        coefficients, timesteps = lay_out(tables, self.batch, self.candidates)
        starts = np.zeros((self.batch, 2), np.float32)
        starts[:, 0] = 1  # tau = 0 and padding: the start image itself
        for i, table in enumerate(tables):
            if table is not None:
                starts[i] = self._schedule.start(table.tau)
        steps = len(coefficients)
        self._device.upload(self._coefficients[:steps], coefficients)
        self._device.upload(self._timesteps[:steps], timesteps)
        self._device.upload(self._starts, np.tile(starts, (self.candidates, 1)))
        self._device.upload(self._step, np.zeros(1, np.int32))
        return steps, clips == {True}

    def _upload_pairs(self, pairs: NDArray[np.uint32]) -> None:
        padded = np.zeros(self.batch, np.uint32)
        padded[: len(pairs)] = pairs
        self._device.upload(self._pairs, np.tile(padded, self.candidates))

    def _upload_images(self, images: Bytes, through: Any, planes: Any) -> None:
        """Through a buffer of bytes into float32 planes; missing rows are mid-gray."""
        padded = np.full(through.shape, 128, np.uint8)
        padded[: len(images)] = images
        self._device.upload(through, padded)
        self._device.launch("to_planar", images=through, out=planes)

    def _check(self, batch: Batch) -> NDArray[np.bool_]:
        n, image, r = len(batch.content), (self.height, self.width, 3), self._scale or 1
        if not 1 <= n <= self.batch:
            raise DegradeError(f"A batch of {n} pairs came", wanted=f"1 to {self.batch} pairs, the engine's batch")
        if batch.hr is not None and self._scale is None:
            raise DegradeError("A batch came with HR images", wanted="none: this kind of engine reads no HR")
        named = {"content": batch.content, "reference": batch.reference, "start": batch.start, "hr": batch.hr}
        for name, images in named.items():
            shape = (n, *image) if name != "hr" else (n, r * self.height, r * self.width, 3)
            if images is not None and (images.shape != shape or images.dtype != np.uint8):
                raise DegradeError(f"{name} is {images.dtype} {images.shape}", wanted=f"uint8 {shape}")
        if len(batch.tables) != n or batch.pairs.shape != (n,) or batch.pairs.dtype != np.uint32:
            raise DegradeError(
                f"{n} images, {len(batch.tables)} tables, pairs {batch.pairs.dtype} {batch.pairs.shape} came",
                wanted="one table and one uint32 number a pair",
            )
        for name, images, needed in (
            ("reference images", batch.reference, reads_reference(self._parts)),
            ("start images", batch.start, "reconstruction" not in self._parts),
            ("HR images", batch.hr, self._scale is not None),
        ):
            if images is None and needed:
                raise DegradeError(f"A batch came without {name}", wanted=f"{name}: this kind of engine needs them")
        w = batch.fusion_weight
        if (w is None) != (self._fusion is None) or w is not None and not 0 <= w <= 1:
            wanted = "a number from 0 to 1" if self._fusion else "None: this kind of engine fuses nothing"
            raise DegradeError(f"The fusion weight is {w}", wanted=wanted)
        check_noise(batch.noise)
        valid = np.ones(n, np.bool_) if batch.valid is None else batch.valid
        if valid.shape != (n,) or valid.dtype != np.bool_:
            raise DegradeError(f"valid is {valid.dtype} {valid.shape}", wanted=f"bool ({n},)")
        return valid

    # ---------------------------------------------------------------------------------------------- after

    def _download(self, batch: Batch, inspect: bool, useful: int, executed: int, calls: dict[str, int]) -> BatchResult:
        """Quantises what is asked for, then reads it back: the only values that come from the device."""
        launch, found, image = self._device.launch, self._filter, (self.height, self.width, 3)
        n = len(batch.content)
        launch("gather", x=self.x, kept=found.kept, out=self._kept)
        if batch.noise:
            scratch, pairs = self._x0_prev[: self.batch], self._pairs[: self.batch]
            self._noise.add(self._kept, self._content, scratch, batch.seed, pairs)
        launch("to_bytes", x=self._kept, out=self._lr_bytes)
        images = [self._lr_bytes]
        if inspect:
            launch("to_bytes", x=self._x_start[: self.batch], out=self._start_bytes)
            launch("to_bytes", x=self.x, out=self._bytes)
            images += [self._start_bytes, self._bytes]
        figures = (found.degradation, found.content, found.score, found.finite, found.kept)
        degradation, content, score, finite, kept, lr, *more = self._device.download(*figures, *images)
        kept = kept[:n]
        start, candidates = more if more else (lr[:0], lr[:0])
        return BatchResult(
            lr=lr[:n],
            start=start[:n],
            candidates=candidates.reshape(self.candidates, -1, *image)[:, :n],
            degradation_error=degradation[:, :n],
            content_error=content[:, :n],
            score=score[:, :n],
            kept=kept,
            finite=finite[kept, np.arange(n)],
            row_steps=useful,
            executed_row_steps=executed,
            calls=calls,
        )
