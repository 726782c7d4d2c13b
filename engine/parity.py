"""The parity gate: no engine is accepted before it has agreed with FP32 ONNX Runtime on real photographs.

The reference is the bundle's FP32 file with every graph optimisation off. Compared are each part alone on
the reference's own inputs, the whole batch end to end with the same noise, and the engine with itself: rows that
were fed the same twice, and a row by itself. For that, batch 1 is held against batch N; where a plan has one batch
size, row 0 keeps its pair and every other row gets something else. Silently wrong engines exist (docs/design.md,
section 5); this is where they stop.

Tolerances for FP32, and where they come from:

Images, in grey levels of 0..255. A value whose error is e grey levels changes its byte with probability |e|
(its distance to a rounding border is uniform), so a mean error of 0.001 is at most 0.1 % of the bytes off:
what the project promises between batch sizes. No byte may be off by more than one: the maximum is 0.5.

Features, relative to their root mean square. Two orders of summing n products differ by about
sqrt(n)·2^-24; n is at most about 5000 (3·3·512 channels), 4e-6 a layer, and some 25 layers in quadrature
make 2e-5. A maximum over a million values of a heavy-tailed error is allowed fifty times that.

FP16, against the reference: the FP32 tolerance and TYPED times the error of the yardstick, which is the bundle's own
FP16 graph through the same CPU runtime. That one rounds weights and inputs to FP16 and computes between roundings in
FP32: on the bundled model its RMS is a fifth to a fortieth of the bound of section 7, twice the error of a plain FP16
implementation (bundle.json, card.parity). Ten is a choice: it makes 0.3 to 1.9 times that bound, part by part, measured
on what is compared.

bf16: FP16's tolerance with eight times the yardstick's error, since its significand has three bits fewer, and end to
end a mean of half a grey level at most, the project's limit for a precision (calib/precision).

INT8 and FP8, in which only the denoiser is: every other part is held to the tolerance of its own precision, FP32 on a
CPU and FP16 on a GPU. There is no yardstick, since the
bound is one of pixels. End to end, by the recommended recipe (its noise is stronger than the usual run's, so an error
of eps weighs more), the mean is the project's limit. A normal error of that mean has its 99th percentile at 3.2 times
it, and among a million values its largest at six times; sixteen are allowed, since clipped values make the tail
heavier. The denoiser alone is held to the same grey levels: an error e of eps moves the x_0 that x_t shows by sqrt((1
- abar)/abar)·e. Where noise is the stronger, that factor is taken as one: the calls that follow correct what is above.

The engine with itself is held to the FP32 tolerance in any precision: equal rows are computed by the same kernels. A
row whose neighbours alone change is computed by the same threads; there the tolerance is zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..kernels import pixels
from . import sampling
from .bundle import Bundle
from .devices import Device, HostDevice
from .engine_spec import Against, Bound, Measure, Parity, Unit
from .errors import DegradeError
from .executors import Executor
from .executors.onnxruntime import OnnxRuntimeExecutor
from .sampling.batch import Batch
from .schedule import SolverTable, table
from .spec import IMAGE_SHAPE, QUANTISED, Precision, hr_scale, makes_image, quantised

Float32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]
OpenPart = Callable[[str, int], Executor]  # (part, rows) -> its executor

GREY: Unit = "grey levels"
RELATIVE: Unit = "relative"
PROBE = Path(__file__).parent / "probe"
GREY_FP32 = Bound(mean=1e-3, p99=1e-2, max=0.5)
RELATIVE_FP32 = Bound(mean=2e-5, p99=1e-4, max=1e-3)
SAME = Bound(mean=0.0, p99=0.0, max=0.0)
TYPED = 10
COARSER: dict[Precision, int] = {"fp16": 1, "bf16": 8}  # a rounding error over FP16's: 2^-8 over 2^-11
MOST_MEAN = 0.5  # grey levels, end to end
GREY_INT8 = Bound(mean=MOST_MEAN, p99=1.6, max=8.0)
TAU, STEPS, SEED, FUSION_WEIGHT = 30, 3, 20240, 0.5
DISTINCT = 4  # pairs that differ; the rest of the batch repeats them


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: the device that its networks read and write, and how they are opened."""

    device: Device
    open: OpenPart


def check(
    bundle: Bundle, engine: Side, *, lr_size: int, batch: int, candidates: int, precision: Precision = "fp32",
    fixed_batch: bool = False, rest: Precision | None = None,
) -> Parity:  # fmt: skip
    """Compares the engine, part by part and as a whole, with the bundle's FP32 reference; takes a few denoiser calls.

    precision: in which the engine computes. fixed_batch: its parts can be opened at their own number of rows alone.
    rest: in which the parts beside a quantised one are, None where that is FP32.
    """
    began = time.perf_counter()
    distinct = max(1, min(DISTINCT, batch // 2))
    names, of_pairs = probe(bundle, lr_size, distinct)

    def on_the_cpu(precision: Precision) -> Side:
        def open_part(name: str, rows: int) -> Executor:
            part, path = bundle.spec.parts[name], bundle.file(name, precision)
            return OnnxRuntimeExecutor(path, part, batch=rows, height=lr_size, width=lr_size, optimise=False)

        return Side(HostDevice(), open_part)

    rest = rest or precision
    exact, yardstick = on_the_cpu("fp32"), on_the_cpu("fp16") if rest in COARSER else None
    engine = Side(engine.device, cache(engine.open))  # a plan and its memory are large: each is opened once
    measures = _parts(bundle, exact, engine, yardstick, of_pairs, batch, candidates, fixed_batch, precision, rest)

    way = recommended(bundle) if precision in QUANTISED else usual(bundle)
    pairs = np.arange(batch, dtype=np.uint32) % distinct
    whole = partial(end_to_end, bundle, way=way, candidates=candidates, lr_size=lr_size)
    of_rows = of_pairs.map(lambda values: values[pairs])
    found, wanted = whole(engine, of_rows), whole(exact, of_pairs)
    tolerance = GREY_INT8 if precision in QUANTISED else GREY_FP32
    if yardstick is not None and precision not in QUANTISED:
        error = measure("end to end", "reference", whole(yardstick, of_pairs), wanted, GREY_FP32, GREY)
        tolerance = _typed(error, precision)
        tolerance = replace(tolerance, mean=min(tolerance.mean, MOST_MEAN))
    measures += [measure("end to end", "reference", found, wanted[:, pairs], tolerance, GREY)]
    if batch > distinct:
        measures += [measure("end to end", "duplicate rows", found, found[:, pairs], GREY_FP32, GREY)]
    if fixed_batch and batch > 1:
        others = whole(engine, of_rows.map(neighbours))
        measures += [measure("end to end", "other neighbours", others[:, :1], found[:, :1], SAME, GREY)]
    return Parity(
        "passed" if all(m.passed for m in measures) else "failed",
        probe=names,
        tau=way.solver.tau,
        steps=len(way.solver),
        measures=tuple(measures),
        seconds=round(time.perf_counter() - began, 3),
    )


def _parts(
    bundle: Bundle, exact: Side, engine: Side, yardstick: Side | None, probe: Rows, batch: int,
    candidates: int, fixed_batch: bool, precision: Precision, rest: Precision,
) -> list[Measure]:  # fmt: skip
    """Each part alone: reference, duplicate rows, a row by itself. The inputs are the reference's outputs, not the
    engine's.
    """
    distinct, schedule = len(probe.content), bundle.spec.schedule
    images = {"reference": pixels.to_planar(probe.reference), "pair": pixels.to_planar(probe.content)}
    last = recommended(bundle).solver.tau if precision in QUANTISED else schedule.T  # beyond, there are no scales
    t = np.linspace(1, last, distinct).round().astype(np.int32)
    rng = np.random.default_rng(SEED)
    noise = rng.standard_normal(images["pair"].shape)
    s, n = (np.sqrt(v)[:, None, None, None] for v in (schedule.alphas_bar[t], 1 - schedule.alphas_bar[t]))
    known: dict[str, Float32 | NDArray[np.int32]] = {
        "content": images["pair"], "t": t, "x_t": (s * images["pair"] + n * noise).astype(np.float32),
        "z": noise.astype(np.float32),
    }  # fmt: skip
    if probe.hr is not None:
        known["hr"] = pixels.to_planar(probe.hr)
    for tensor in (tensor for part in bundle.spec.parts.values() for tensor in part.inputs):
        if tensor.name in bundle.spec.model_kind.drawn and tensor.name not in known:
            shape = tensor.resolve(*(noise.shape[axis] for axis in (0, 2, 3)))
            known[tensor.name] = rng.standard_normal(shape).astype(np.float32)
    measures = []
    for name, part in bundle.spec.parts.items():
        inputs = {i.name: images[part.runs] if i.name == "image" else known[i.name] for i in part.inputs}
        rows = batch * candidates if part.runs == "step" else batch
        which = np.arange(rows) % batch % distinct
        fed = {key: values[which] for key, values in inputs.items()}
        wanted, found = run_part(exact, name, inputs), run_part(engine, name, fed)
        if fixed_batch:
            against: Against = "other neighbours"
            alone = run_part(engine, name, {key: neighbours(values) for key, values in fed.items()})
        else:
            against, alone = "batch 1", run_part(engine, name, {key: values[:1] for key, values in inputs.items()})
        typed = wanted if yardstick is None else run_part(yardstick, name, inputs)
        for output in part.outputs:
            a, b, c = found[output.name], wanted[output.name], alone[output.name]
            pixel = output.shape == IMAGE_SHAPE and part.runs != "step"  # not eps
            fp32, unit = (GREY_FP32, GREY) if pixel else (RELATIVE_FP32, RELATIVE)
            error = measure(name, "reference", typed[output.name], b, fp32, unit)
            tolerance = fp32 if yardstick is None else _typed(error, rest)
            if quantised(precision, part):
                shown = np.minimum(n / s, 1)[which]  # what an error of eps is in x_0
                measures.append(measure(name, "reference", a * shown, b[which] * shown, GREY_INT8, GREY))
            else:
                measures.append(measure(name, "reference", a, b[which], tolerance, unit))
            if rows > distinct:
                measures.append(measure(name, "duplicate rows", a, a[which], fp32, unit))
            if rows > 1:
                by_itself = SAME if fixed_batch else fp32
                measures.append(measure(name, against, c[:1], a[:1], by_itself, unit))
            known[output.name] = b
    return measures


def neighbours(values: NDArray[Any]) -> NDArray[Any]:
    """The same row 0, and in every other row something else of the same kind: mirrored about its range's middle."""
    others = values.copy()
    if values.dtype == np.uint8:
        others[1:] = 255 - values[1:]
    elif values.dtype.kind == "f":
        others[1:] = -values[1:]
    else:  # timesteps and numbers of pairs
        others[1:] = values.max() + 1 - values[1:]
    return others


def _typed(yardstick: Measure, precision: Precision) -> Bound:
    """The tolerance of a rounded precision, from the FP16 graph's own error."""
    allowed, error, times = yardstick.tolerance, yardstick.error, TYPED * COARSER[precision]
    return Bound(*(getattr(allowed, k) + times * getattr(error, k) for k in ("mean", "p99", "max")))


def run_part(side: Side, name: str, inputs: dict[str, NDArray[Any]]) -> dict[str, Float32]:
    """Runs a part once on host arrays, at their number of rows; returns its outputs by name."""
    executor, device = side.open(name, len(next(iter(inputs.values())))), side.device
    buffers = {}
    for tensor, shape in executor.shapes.items():
        given = inputs.get(tensor)
        buffers[tensor] = device.allocate(shape, np.float32 if given is None else given.dtype)
        if given is not None:
            device.upload(buffers[tensor], given)
        executor.bind(tensor, buffers[tensor])
    executor.enqueue(device.stream)
    outputs = [tensor for tensor in executor.shapes if tensor not in inputs]
    return dict(zip(outputs, device.download(*(buffers[tensor] for tensor in outputs)), strict=True))


@dataclass(frozen=True, eq=False)
class Rows:
    """What a batch is made of, as in sampler.Batch; rows of one pair have its number, and so the same noise."""

    content: Bytes
    reference: Bytes
    hr: Bytes | None
    pairs: NDArray[np.uint32]

    def map(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Rows:
        """The same with each of its arrays changed."""
        hr = None if self.hr is None else change(self.hr)
        return Rows(change(self.content), change(self.reference), hr, change(self.pairs))


@dataclass(frozen=True)
class Way:
    """How pairs are made end to end. from_content: whether the start image is the HR at LR size, not Rec_lr."""

    solver: SolverTable
    from_content: bool


def usual(bundle: Bundle) -> Way:
    """DDPM from a small tau, and the model's own start image where it has one."""
    tau = min(TAU, bundle.spec.schedule.T) if bundle.spec.model_kind.has_steps else 0
    own = any(makes_image(part) for part in bundle.spec.parts.values())
    return Way(table(bundle.spec.schedule, "ddpm", tau, STEPS), not own)


def recommended(bundle: Bundle, calls: int = 1) -> Way:
    """The recommended recipe of the bundle's kind. calls: at least so many."""
    recipe, schedule = bundle.spec.model_kind.recipes["recommended"], bundle.spec.schedule
    recipe = recipe.but(steps=None if recipe.steps is None else max(recipe.steps, calls))
    return Way(recipe.table(schedule, min(recipe.tau[1], schedule.T)), recipe.start != "reconstruction")


def end_to_end(bundle: Bundle, side: Side, rows: Rows, way: Way, *, candidates: int, lr_size: int) -> Float32:
    """float32 [K, batch, 3, h, w]: all candidates before quantisation."""
    spec, kind, batch = bundle.spec, bundle.spec.model_kind, len(rows.pairs)
    executors = {
        name: side.open(name, batch * candidates if part.runs == "step" else batch) for name, part in spec.parts.items()
    }
    sampler = sampling.open(side.device, executors, spec, candidates=candidates)
    made = Batch(
        rows.content, rows.reference, rows.pairs, [way.solver] * batch, seed=SEED, hr=rows.hr,
        start=rows.content if way.from_content else None,
        fusion_weight=FUSION_WEIGHT if kind.fuses else None,
    )  # fmt: skip
    sampler.run(made, filter=kind.can_filter, inspect=False)
    return side.device.download(sampler.x)[0].reshape(candidates, batch, 3, lr_size, lr_size)


def measure(part: str, against: Against, found: Float32, wanted: Float32, tolerance: Bound, unit: Unit) -> Measure:
    """Mean, 99th percentile and maximum of |found - wanted|, in the unit. Not finite in either = failed."""
    grey = unit == GREY
    good = np.isfinite(found) & np.isfinite(wanted)
    difference = np.abs(found.astype(np.float64) - wanted)[good]
    if grey:
        difference *= 127.5
    else:
        difference /= max(
            float(np.sqrt(np.mean(np.square(wanted[good], dtype=np.float64)))) if good.any() else 0, 1e-12
        )
    error = Bound(0.0, 0.0, 0.0)
    if difference.size:
        error = Bound(float(difference.mean()), float(np.percentile(difference, 99)), float(difference.max()))
    bad = int(found.size - good.sum())
    within = error.mean <= tolerance.mean and error.p99 <= tolerance.p99 and error.max <= tolerance.max
    return Measure(part, against, unit, error, tolerance, bad, within and not bad)


def failures(parity: Parity) -> str:
    """One line a failed comparison: what was off, by how much, and the tolerance that would have passed."""
    lines = []
    for m in parity.measures:
        if not m.passed:
            bad = f"{m.not_finite} values are not finite; " if m.not_finite else ""
            error, allowed = (f"mean {b.mean:.3g}, p99 {b.p99:.3g}, max {b.max:.3g}" for b in (m.error, m.tolerance))
            lines.append(f"{m.part} against {m.against}: {bad}{error} {m.unit} would pass; allowed: {allowed}")
    return "\n".join(lines)


def probe(bundle: Bundle, lr_size: int, count: int) -> tuple[tuple[str, ...], Rows]:
    """(names of the probe photographs, `count` pairs of them as the bundle reads them)."""
    names, content, reference = probe_pairs(lr_size, count)
    scale = hr_scale(bundle.spec.parts)
    hr = None if scale is None else probe_pairs(scale * lr_size, count)[1]
    return names, Rows(content, reference, hr, np.arange(count, dtype=np.uint32))


def probe_pairs(lr_size: int, count: int, folder: Path = PROBE) -> tuple[tuple[str, ...], Bytes, Bytes]:
    """(names, content u8 [count, s, s, 3], reference u8 [count, s, s, 3]) from the photographs hr-*.png and
    reference-*.png: an HR brought to LR size (its centre square), and a crop of a reference (repeated if it
    is small).
    """
    found = [sorted(folder.glob(f"{kind}-*.png")) for kind in ("hr", "reference")]
    if not all(found):
        raise DegradeError(f"{folder} lacks the probe photographs", mend="install degrade-engine again")
    squares = [_square(path).resize((lr_size, lr_size), Image.Resampling.BICUBIC) for path in found[0]]
    crops = [_crop(np.asarray(Image.open(path).convert("RGB")), lr_size) for path in found[1]]
    content = np.stack([np.asarray(squares[i % len(squares)]) for i in range(count)])
    reference = np.stack([crops[(i // len(squares) + i) % len(crops)] for i in range(count)])
    return tuple(path.name for paths in found for path in paths), content, reference


def _square(path: Path) -> Image.Image:
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _crop(image: Bytes, side: int) -> Bytes:
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0)), mode="symmetric")
    return padded[:side, :side]
