"""The parity gate: no engine is accepted before it has agreed with FP32 ONNX Runtime on real photographs.

The reference is the bundle's FP32 file with every graph optimisation off. Compared are each part alone on
the reference's own inputs, the whole batch end to end with the same noise, rows that were fed the same
twice, and batch 1 against batch N. Silently wrong engines exist (docs/design.md, section 5); this is where
they stop.

Tolerances for FP32, and where they come from:

Images, in grey levels of 0..255. A value whose error is e grey levels changes its byte with probability |e|
(its distance to a rounding border is uniform), so a mean error of 0.001 is at most 0.1 % of the bytes off:
what the project promises between batch sizes. No byte may be off by more than one: the maximum is 0.5.

Features, relative to their root mean square. Two orders of summing n products differ by about
sqrt(n)·2^-24; n is at most about 5000 (3·3·512 channels), 4e-6 a layer, and some 25 layers in quadrature
make 2e-5. A maximum over a million values of a heavy-tailed error is allowed fifty times that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..kernels import pixels
from .device import HostDevice
from .engine_spec import Against, Bound, Measure, Parity
from .errors import DegradeError
from .executor import Executor, OnnxRuntimeExecutor
from .sampler import Batch, Sampler
from .schedule import table
from .spec import Bundle

Float32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]
OpenPart = Callable[[str, int], Executor]  # (part, batch) -> the engine's executor

PROBE = Path(__file__).parent / "probe"
GREY_FP32 = Bound(mean=1e-3, p99=1e-2, max=0.5)
RELATIVE_FP32 = Bound(mean=2e-5, p99=1e-4, max=1e-3)
TAU, STEPS, SEED = 30, 3, 20240
DISTINCT = 4  # pairs that differ; the rest of the batch repeats them


def check(bundle: Bundle, open_part: OpenPart, *, lr_size: int, batch: int, candidates: int) -> Parity:
    """Compares the engine, part by part and as a whole, with the bundle's FP32 reference; takes a few
    denoiser calls.
    """
    began = time.perf_counter()
    distinct = max(1, min(DISTINCT, batch // 2))
    names, content, reference = probe_pairs(lr_size, distinct)

    def open_reference(name: str, rows: int) -> Executor:
        part = bundle.spec.parts[name]
        path = bundle.file(name, "fp32")
        return OnnxRuntimeExecutor(path, part, batch=rows, height=lr_size, width=lr_size, optimise=False)

    measures = _parts(bundle, open_reference, open_part, content, reference, batch, candidates)
    tau = min(TAU, bundle.spec.schedule.T)
    found, wanted = (
        _end_to_end(bundle, opener, content, reference, rows, candidates, lr_size, tau)
        for opener, rows in ((open_part, batch), (open_reference, distinct))
    )
    which = np.arange(batch) % distinct
    measures += [measure("end to end", "reference", found, wanted[:, which], GREY_FP32)]
    if batch > distinct:
        measures += [measure("end to end", "duplicate rows", found, found[:, which], GREY_FP32)]
    return Parity(
        "passed" if all(m.passed for m in measures) else "failed",
        probe=names,
        tau=tau,
        steps=min(STEPS, tau),
        measures=tuple(measures),
        seconds=round(time.perf_counter() - began, 3),
    )


def _parts(
    bundle: Bundle, open_reference: OpenPart, open_part: OpenPart, content: Bytes, reference: Bytes,
    batch: int, candidates: int,
) -> list[Measure]:  # fmt: skip
    """Each part alone: reference, duplicate rows, batch 1. The inputs are the reference's outputs, not the
    engine's.
    """
    distinct, schedule = len(content), bundle.spec.schedule
    images = {"reference": pixels.to_planar(reference), "pair": pixels.to_planar(content)}
    t = np.linspace(1, schedule.T, distinct).round().astype(np.int32)
    noise = np.random.default_rng(SEED).standard_normal(images["pair"].shape)
    s, n = (np.sqrt(v)[:, None, None, None] for v in (schedule.alphas_bar[t], 1 - schedule.alphas_bar[t]))
    known: dict[str, Float32 | NDArray[np.int32]] = {
        "t": t, "x_t": (s * images["pair"] + n * noise).astype(np.float32)
    }  # fmt: skip
    measures = []
    for name, part in bundle.spec.parts.items():
        inputs = {i.name: images[part.runs] if i.name == "image" else known[i.name] for i in part.inputs}
        rows = batch * candidates if part.runs == "step" else batch
        which = np.arange(rows) % batch % distinct
        wanted = run_part(open_reference(name, distinct), inputs)
        found = run_part(open_part(name, rows), {key: values[which] for key, values in inputs.items()})
        alone = run_part(open_part(name, 1), {key: values[:1] for key, values in inputs.items()})
        for output in part.outputs:
            a, b, c = found[output.name], wanted[output.name], alone[output.name]
            tolerance = GREY_FP32 if output.name == "image" else RELATIVE_FP32
            measures.append(measure(name, "reference", a, b[which], tolerance))
            if rows > distinct:
                measures.append(measure(name, "duplicate rows", a, a[which], tolerance))
            if rows > 1:
                measures.append(measure(name, "batch 1", c, a[:1], tolerance))
            known[output.name] = b
    return measures


def run_part(executor: Executor, inputs: dict[str, NDArray]) -> dict[str, Float32]:
    """Runs a network once on host arrays; returns its outputs by name."""
    outputs = {name: np.zeros(shape, np.float32) for name, shape in executor.shapes.items() if name not in inputs}
    for name, values in inputs.items():
        executor.bind(name, np.ascontiguousarray(values))
    for name, buffer in outputs.items():
        executor.bind(name, buffer)
    executor.enqueue()
    return outputs


def _end_to_end(
    bundle: Bundle, opener: OpenPart, content: Bytes, reference: Bytes,
    batch: int, candidates: int, lr_size: int, tau: int,
) -> Float32:  # fmt: skip
    """float32 [K, batch, 3, h, w]: all candidates before quantisation. Row i is pair i modulo the distinct
    ones, with its number, so that equal rows have equal noise.
    """
    spec, which = bundle.spec, np.arange(batch) % len(content)
    executors = {
        name: opener(name, batch * candidates if part.runs == "step" else batch) for name, part in spec.parts.items()
    }
    device = HostDevice()
    sampler = Sampler(
        device, executors, spec.parts, spec.schedule, spec.filter,
        batch=batch, candidates=candidates, height=lr_size, width=lr_size,
    )  # fmt: skip
    tables = [table(spec.schedule, "ddpm", tau, STEPS)] * batch
    pairs = which.astype(np.uint32)
    sampler.run(Batch(content[which], reference[which], pairs, tables, seed=SEED), inspect=False)
    return device.download(sampler.x)[0].reshape(candidates, batch, 3, lr_size, lr_size)


def measure(part: str, against: Against, found: Float32, wanted: Float32, tolerance: Bound) -> Measure:
    """Mean, 99th percentile and maximum of |found - wanted|, in the tolerance's unit. Not finite in either
    = failed.
    """
    grey = tolerance is GREY_FP32
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
    return Measure(
        part,
        against,
        "grey levels" if grey else "relative",
        error,
        tolerance,
        bad,
        within and not bad,
    )


def failures(parity: Parity) -> str:
    """One line a failed comparison: what was off, by how much, and the tolerance that would have passed."""
    lines = []
    for m in parity.measures:
        if not m.passed:
            bad = f"{m.not_finite} values are not finite; " if m.not_finite else ""
            error, allowed = (f"mean {b.mean:.3g}, p99 {b.p99:.3g}, max {b.max:.3g}" for b in (m.error, m.tolerance))
            lines.append(f"{m.part} against {m.against}: {bad}{error} {m.unit} would pass; allowed: {allowed}")
    return "\n".join(lines)


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
