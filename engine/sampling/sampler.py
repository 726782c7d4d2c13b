"""The life of one batch: B pairs, K candidates of each, from their pixels to the candidate that is kept.

    once a reference or pair   the parts that run so: features, condition, the model's own start image
    once a step                eps = denoiser(x_t, t, condition) for all R rows, update    (Algorithm 2)
    at the end                 what the kind does (the filter, the fusion), the kept rows, white noise on them if asked
                               for, bytes

Rows are candidate-major, row = k·B + pair. An engine of R rows takes B = R // K pairs at a time; R - K·B rows idle. A
part that runs once a pair takes its own number of rows at a time, so it is called as often as B pairs need.

All rows end together; a pair with fewer steps than the longest of the batch joins late and is left untouched (identity
coefficients) until then. Everything that the host decides, coefficients, timesteps and noise counters of every step and
row, is uploaded before the first launch; the loop allocates nothing, reads nothing back, and each of its steps is the
same few launches, so a graph device can replay one. What is read back is the result, once, after the last launch. On a
GPU `begin` waits for none of this, so that the next batch can be begun meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Device
from ..errors import DegradeError
from ..schedule import SolverTable
from ..spec import Runs, hr_scale, makes_image
from .batch import Batch, BatchResult, Bytes, Model, Runner, check_batch
from .filter import Scores
from .layout import lay_out
from .noise import WhiteNoise
from .references import References

if TYPE_CHECKING:
    from ..executors import Executor


class Sampler(Runner):
    """Networks, buffers and bindings for one size and one K, made once; `begin` takes batch after batch.

    A kind of model that does more than run its networks has a subclass on its page, with tensors of its own to draw
    for them (`draw`) and a say at the end (`end`).

    tensors: by name, those between parts. x_start, x: float32 [R, 3, h, w]. wide: outputs of parts that run once a pair
    and that `end` reads for every row.
    """

    wide: tuple[str, ...] = ()

    def __init__(self, device: Device, executors: Mapping[str, Executor], model: Model, *, candidates: int) -> None:
        self.rows, _, self.height, self.width = executors["denoiser"].shapes["x_t"]
        self.candidates, self.batch = candidates, self.rows // candidates
        self.device, self.executors, self.model = device, executors, model
        self._used = candidates * self.batch
        once = [executors[name] for name, part in model.parts.items() if part.runs != "step"]
        # Pairs that there is room for: whole calls of the parts that run once a pair.
        self._room = max([self.batch, *(-(-self.batch // rows_taken(one)) * rows_taken(one) for one in once)])
        rows, planes, bytes_ = self.rows, (3, self.height, self.width), (self.height, self.width, 3)

        def floats(*shape: int) -> Any:
            return device.allocate(shape, np.float32)

        self._loop = device.loop()
        self._bytes, self._lr_bytes, self._start_bytes = (
            device.allocate((count, *bytes_), np.uint8) for count in (rows, self.batch, self.batch)
        )
        content, self._reference = floats(self._room, *planes), floats(self._room, *planes)
        self.x_start, self.x = floats(rows, *planes), floats(rows, *planes)
        self._eps, self._x0_prev = floats(rows, *planes), floats(rows, *planes)
        self._kept = floats(self.batch, *planes)

        steps = model.schedule.T
        self._coefficients, self._starts = floats(steps, rows, 6), floats(rows, 2)
        self._timesteps = device.allocate((steps, rows), np.int32)
        self._t, self._step = device.allocate((rows,), np.int32), device.allocate((1,), np.int32)
        self._pairs, self._numbers = (device.allocate((rows,), np.uint32) for _ in range(2))
        numbers = np.repeat(np.arange(candidates, dtype=np.uint32), self.batch)
        device.upload(self._numbers, np.pad(numbers, (0, rows - self._used)))

        self.tensors = {"content": content} | self._allocate_tensors()
        if (scale := hr_scale(model.parts)) is not None:
            side = (scale * self.height, scale * self.width)
            self._hr_bytes = device.allocate((self._room, *side, 3), np.uint8)
            self.tensors["hr"] = floats(self._room, 3, *side)
        self._noise = WhiteNoise(device, self.batch)
        read = [t.name for part in model.parts.values() if part.runs == "reference" for t in part.outputs]
        self._references = References(device, {name: self.tensors[name] for name in read}, model.model_kind.adds)
        self.scores = Scores(device, candidates, self.batch)
        self.bind()

    def bind(self) -> None:
        """Points the denoiser at these buffers."""
        denoiser = self.executors["denoiser"]
        for name, buffer in (("x_t", self.x), ("t", self._t), ("eps", self._eps)):
            denoiser.bind(name, buffer)
        for name in self._conditions:
            denoiser.bind(name, self.tensors[name])

    def begin(self, batch: Batch, *, filter: bool = True, inspect: bool = True) -> Callable[[], BatchResult]:
        """See Runner."""
        valid = check_batch(batch, self.model, self, filter)
        launch = self.device.launch
        tables = [table if good else None for table, good in zip(batch.tables, valid, strict=True)]
        steps, clip = self._upload_tables(tables, batch.temperature)
        self._upload(batch)
        calls = self._read_references(batch)
        self.draw(batch)
        calls |= self._run_once("pair", batch)
        pairs, used = self.batch, self._used
        for name in self._spread:
            launch("tile", source=self.tensors[name][:pairs], out=self.tensors[name][:used])
        launch("tile", source=self.x_start[:pairs], out=self.x_start[:used])

        launch(
            "start", x=self.x, x_start=self.x_start, coefficients=self._starts, seed=batch.seed,
            pairs=self._pairs, candidates=self._numbers,
        )  # fmt: skip
        self._loop.run(lambda: self._run_step(batch.seed, clip), steps, (batch.seed, clip))
        calls["denoiser"] = steps
        for name, count in self.end(batch, filter).items():
            calls[name] += count
        useful = self.candidates * sum(len(table) for table in tables if table is not None)
        return self._fetch(batch, inspect, useful, steps * self.rows, calls)

    def _run_step(self, seed: int, clip: bool) -> None:
        """The loop's body: no allocation, no decision, no value from the host that changes from step to
        step.
        """
        launch = self.device.launch
        launch("load", t=self._t, timesteps=self._timesteps, step=self._step)
        self.executors["denoiser"].enqueue(self.device.stream)
        launch(
            "update", x=self.x, eps=self._eps, x0_prev=self._x0_prev, coefficients=self._coefficients,
            timesteps=self._timesteps, step=self._step, clip=clip, seed=seed, pairs=self._pairs,
            candidates=self._numbers,
        )  # fmt: skip
        launch("advance", step=self._step)

    # ------------------------------------------------------------------------------------- what a kind adds

    def draw(self, batch: Batch) -> None:
        """Between the parts that run once a reference and those that run once a pair: the tensors of `drawn` are made
        here, of what the reference says too."""

    def end(self, batch: Batch, filter: bool) -> dict[str, int]:
        """After the last step: x becomes the candidates, `scores` says which is kept. Returns network calls by part."""
        self.scores.skip(self.x[: self._used])
        return {}

    def counters(self, batch: Batch) -> tuple[int, Any, Any]:
        """Of every row, for what draws noise: the seed, pairs and candidates, uint32 [R]."""
        return batch.seed, self._pairs, self._numbers

    # ------------------------------------------------------------------------------- before the first launch

    def _allocate_tensors(self) -> dict[str, Any]:
        """A buffer for every named tensor between parts; those that are read for every row have room for all R."""
        self._conditions = [t.name for t in self.model.parts["denoiser"].inputs if t.name not in ("x_t", "t")]
        self._spread = (*self._conditions, *self.wide)
        tensors = {}
        for name, part in self.model.parts.items():
            for output in part.outputs:
                if part.runs in ("reference", "pair") and output.name != "image":
                    shape = self.executors[name].shapes[output.name]
                    rows = self.rows if output.name in self._spread else self._room
                    tensors[output.name] = self.device.allocate((rows, *shape[1:]), np.float32)
        return tensors

    def _run_once(self, runs: Runs, batch: Batch) -> dict[str, int]:
        """Each part that runs so, as many pairs at a time as it takes; bound every time, since pairs and filter point
        it elsewhere. Returns their calls."""
        tensors = self.tensors | {"image": self._reference if runs == "reference" else self.tensors["content"]}
        parts = {name: part for name, part in self.model.parts.items() if part.runs == runs}
        calls = dict.fromkeys(parts, 0)
        for name, part in parts.items():
            if makes_image(part) and batch.start is not None:
                continue
            executor = self.executors[name]
            for first in range(0, len(batch.content), rows_taken(executor)):
                rows = slice(first, first + rows_taken(executor))
                for tensor in part.inputs:
                    executor.bind(tensor.name, tensors[tensor.name][rows])
                for tensor in part.outputs:
                    target = self.x_start if tensor.name == "image" else self.tensors[tensor.name]
                    executor.bind(tensor.name, target[rows])
                executor.enqueue(self.device.stream)
                calls[name] += 1
        return calls

    def _read_references(self, batch: Batch) -> dict[str, int]:
        """The parts that run once a reference, on each reference of the pairs. Returns their calls."""
        if batch.reference is None:
            return {}

        def one(images: Bytes) -> dict[str, int]:
            self._upload_images(images, self._bytes[: self._room], self._reference)
            return self._run_once("reference", batch)

        several = batch.reference if batch.reference.ndim == 5 else batch.reference[:, None]
        return self._references.read(several, one)

    def _upload_tables(self, tables: Sequence[SolverTable | None], temperature: float) -> tuple[int, bool]:
        """Coefficients and timesteps of every step and row, and the start's, its noise times the temperature; returns
        the number of steps and clip.
        """
        clips = {table.clip for table in tables if table is not None}
        if len(clips) > 1:
            raise DegradeError("A batch mixes tables that clip with tables that do not", wanted="one kind per batch")
        coefficients, timesteps = lay_out(tables, self.batch, self.candidates, self.rows)
        starts = np.zeros((self.batch, 2), np.float32)
        starts[:, 0] = 1  # tau = 0 and padding: the start image itself
        for i, table in enumerate(tables):
            if table is not None:
                starts[i] = self.model.schedule.start(table.tau)
        starts[:, 1] *= np.float32(temperature)
        steps = len(coefficients)
        self.device.upload(self._coefficients[:steps], coefficients)
        self.device.upload(self._timesteps[:steps], timesteps)
        self.device.upload(self._starts, self._of_rows(starts))
        self.device.upload(self._step, np.zeros(1, np.int32))
        return steps, clips == {True}

    def _upload(self, batch: Batch) -> None:
        """The pairs' numbers, the images, and the strength of the noise."""
        self.device.upload(self._pairs, self._of_rows(np.pad(batch.pairs, (0, self.batch - len(batch.pairs)))))
        small = self._bytes[: self._room]
        self._upload_images(batch.content, small, self.tensors["content"])
        if batch.start is not None:
            self._upload_images(batch.start, small, self.x_start[: self._room])
        if batch.hr is not None:
            self._upload_images(batch.hr, self._hr_bytes, self.tensors["hr"])
        if batch.noise:
            self._noise.upload(batch.noise)

    def _of_rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """[B, ...] of the pairs as [R, ...] of the rows; zeros for those that idle."""
        each = np.zeros((self.rows, *values.shape[1:]), values.dtype)
        each[: self._used].reshape(self.candidates, *values.shape)[:] = values
        return each

    def _upload_images(self, images: Bytes, through: Any, planes: Any) -> None:
        """Through a buffer of bytes into float32 planes; missing rows are mid-gray."""
        padded = np.full(through.shape, 128, np.uint8)
        padded[: len(images)] = images
        self.device.upload(through, padded)
        self.device.launch("to_planar", images=through, out=planes)

    # ---------------------------------------------------------------------------------------------- after

    def _fetch(
        self, batch: Batch, inspect: bool, useful: int, executed: int, calls: dict[str, int]
    ) -> Callable[[], BatchResult]:
        """Quantises what is asked for, then reads it back: the only values that come from the device."""
        launch, found, image = self.device.launch, self.scores, (self.height, self.width, 3)
        n, pairs = len(batch.content), self.batch
        if batch.noise:
            launch("gather", x=self.x[: self._used], kept=found.kept, out=self._kept)
            scratch, finite = self._x0_prev[:pairs], self.tensors["content"][:pairs]
            self._noise.add(self._kept, finite, scratch, batch.seed, self._pairs[:pairs])
            launch("to_bytes", x=self._kept, out=self._lr_bytes)
        else:
            launch("kept_to_bytes", x=self.x[: self._used], kept=found.kept, out=self._lr_bytes)
        images = [self._lr_bytes]
        if inspect:
            launch("to_bytes", x=self.x_start[:pairs], out=self._start_bytes)
            launch("to_bytes", x=self.x, out=self._bytes)
            images += [self._start_bytes, self._bytes[: self._used]]
        figures = (found.degradation, found.content, found.score, found.finite, found.kept)
        fetched = self.device.fetch(*figures, *images)

        def result() -> BatchResult:
            degradation, content, score, finite, kept, lr, *more = fetched()
            start, candidates = more if more else (lr[:0], lr[:0])
            kept = kept[:n]
            return BatchResult(
                lr=lr[:n], start=start[:n], candidates=candidates.reshape(self.candidates, -1, *image)[:, :n],
                degradation_error=degradation[:, :n], content_error=content[:, :n], score=score[:, :n], kept=kept,
                finite=finite[kept, np.arange(n)], row_steps=useful, executed_row_steps=executed, calls=calls,
            )  # fmt: skip

        return result


def rows_taken(executor: Executor) -> int:
    """Rows of one call."""
    return next(iter(executor.shapes.values()))[0]
