"""The parts of `gpu.py`, each in a process of its own: checks first, then times. Rows go to a file as they come.

Times on the GPU are between two events on the stream, a kernel's around a graph of many launches: between two events a
single one costs what the host takes for the next call. A batch's is wall time up to the pixels on the host, without
file I/O. Kernel buffers are larger than a second-level cache, and bytes are those that the .cu files count.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import numpy as np

from degrade_engine.engine import backends, sampling
from degrade_engine.engine.backends.backend import Order
from degrade_engine.engine.build import build, open_engine_part
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.devices.cuda import CudaDevice
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.sampling.batch import Batch, Runner
from degrade_engine.engine.spec import QUANTISED, PartSpec, TensorSpec
from degrade_engine.kernels import tiles
from degrade_engine.kernels.grids import PARTS
from degrade_engine.kernels.select import LANES

from ..onnx_work import count
from ..rows import Row, add_row
from ..seconds.speed import photographs
from ..timing import digits, timed

GPU_TESTS = ("tests/engine/devices/test_launches.py", "tests/engine/devices/test_cuda.py",
             "tests/engine/sampling/test_sampler.py")  # fmt: skip
REPEATS, WARM = 20, 5
LAUNCHES = 50  # of a kernel, in one graph
RUN_BATCHES = 10  # a preset's numbers of steps, sorted and cut as a run does
SIDE, LAYERS = 8192, 8
"""The matmul: LAYERS times [SIDE, SIDE] by [SIDE, SIDE], so that its casts at either end do not count."""


@click.group()
def main() -> None:
    """One part of the GPU's measurements; `bench gpu` calls them all."""


def to_rows(rows: Path, found: Iterator[Row]) -> None:
    """Writes each row as it comes: what was measured before a fault is kept."""
    for row in found:
        add_row(rows, row)


rows_option = click.option("--rows", type=click.Path(path_type=Path), required=True)


# ------------------------------------------------------------------------------------------------ checks


@main.command()
@rows_option
def tests(rows: Path) -> None:
    """The scheduler's tests on the real CudaDevice."""
    done = pytest("-rs", "-k", "gpu", *GPU_TESTS)
    to_rows(rows, iter([counts(done.stdout)]))
    passed = done.returncode == 0 and "skipped" not in counts(done.stdout)
    if not passed:
        raise click.ClickException(reason(done.stdout))


@main.command()
@rows_option
def sanitizer(rows: Path) -> None:
    """compute-sanitizer over every kernel, launched on odd sizes."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        to_rows(rows, iter([{"left_out": "compute-sanitizer is not on PATH; it comes with the CUDA toolkit"}]))
        return
    failed = []
    for check in ("memcheck", "racecheck", "initcheck", "synccheck"):
        done = pytest("-k", "gpu", GPU_TESTS[0], before=(tool, "--tool", check, "--error-exitcode", "9"))
        to_rows(rows, iter([{"check": check, "exit_status": done.returncode, **counts(done.stdout)}]))
        failed += [check] if done.returncode else []
    if failed:
        raise click.ClickException(f"compute-sanitizer found something in {', '.join(failed)}")


def pytest(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def counts(printed: str) -> Row:
    """{"passed": 12, "failed": 1} from the last lines of pytest."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", printed)}


def reason(printed: str) -> str:
    """Why tests failed or were skipped: pytest's own first line of it."""
    lines = [line for line in printed.splitlines() if line.startswith(("FAILED", "ERROR", "SKIPPED"))]
    return lines[0] if lines else "pytest ran no test"


# ----------------------------------------------------------------------------------------------- kernels


@main.command()
@rows_option
def kernels(rows: Path) -> None:
    """GB/s of every kernel beside that of a device copy."""
    with closing(CudaDevice.open()) as device:
        to_rows(rows, bandwidths(device))


def bandwidths(device: CudaDevice, pairs: int = 48, candidates: int = 3, side: int = 256) -> Iterator[Row]:
    """One row a kernel, at pairs·candidates images; the first is the copy that the rest is a share of."""
    rows, image = pairs * candidates, (3, side, side)
    x, out = (device.allocate((rows, *image), np.float32) for _ in range(2))
    copied = bandwidth(device, "device copy", 2 * x.nbytes, lambda: device.copy(x, out))
    yield copied
    for name, nbytes, work in kernel_work(device, x, out, pairs):
        try:
            row = bandwidth(device, name, nbytes, work)
        except Exception as error:  # one kernel's failure is its row
            yield {"kernel": name, "failed": str(error)}
        else:
            yield row | {"share_of_copy": round(row["gb_s"] / copied["gb_s"], 3)}


def kernel_work(device: CudaDevice, x: Any, out: Any, pairs: int) -> Iterator[tuple[str, int, Callable[[], None]]]:
    """(name, bytes moved, what launches it): a DDPM step in the middle of its table, nothing waits."""
    rows, elements, pixels = len(x), math.prod(x.shape[1:]), math.prod(x.shape[2:])
    words, t, step = (device.allocate((rows,), kind) for kind in (np.uint32, np.int32, np.int32))
    extra, bytes_ = device.allocate(x.shape, np.float32), device.allocate((rows, *x.shape[2:], 3), np.uint8)
    starts, table_ = device.allocate((rows, 2), np.float32), device.allocate((1, rows, 6), np.float32)
    device.upload(starts, np.tile(np.array([0.8, 0.6], np.float32), (rows, 1)))
    device.upload(table_, np.tile(np.array([1.2, -0.66, 0.9, 0.1, 0.0, 0.05], np.float32), (1, rows, 1)))
    lanes, flags = device.allocate((rows, 2, LANES), np.float32), device.allocate((rows, PARTS), np.uint8)
    kept = device.allocate((pairs,), np.int32)
    size = {"rows": rows, "elements": elements}
    noise = {"k0": 1, "k1": 2, "pairs": words, "candidates": words}
    steps = {"coefficients": table_, "timesteps": t, "step": step[:1], "clip": 0}
    copies = {"batch": pairs, "row_bytes": 4 * elements}
    l2 = {"features_1": None, "target_1": None, "lanes_1": None, "elements_1": 0, "rows": rows, "batch": pairs}

    def work(name: str, **arguments: Any) -> Callable[[], None]:
        return lambda: device.launch_grid(name, **arguments)

    n, float_ = rows * elements, {"x": x, "x0_prev": out}
    yield "degrade_update", 16 * n, work("degrade_update", **float_, eps=extra, **steps, **size, **noise)
    yield "degrade_start", 8 * n, work("degrade_start", x=x, x_start=out, coefficients=starts, **size, **noise)
    yield "degrade_to_bytes", 15 * rows * pixels, work(
        "degrade_to_bytes", x=x, kept=None, out=bytes_, batch=rows, pixels=pixels)  # fmt: skip
    yield "degrade_to_planar", 15 * rows * pixels, work(
        "degrade_to_planar", images=bytes_, out=out, batch=rows, pixels=pixels)  # fmt: skip
    yield "degrade_squared_l2", 4 * elements * (rows + pairs), work(
        "degrade_squared_l2", features_0=x, target_0=out, lanes_0=lanes, elements_0=elements, **l2)  # fmt: skip
    yield "degrade_finite", 4 * n, work("degrade_finite", x=x, parts=flags, **size)
    yield "degrade_gather", 8 * elements * pairs, work("degrade_gather", x=x, kept=kept, out=extra, **copies)
    yield "degrade_tile", 4 * elements * (rows + pairs), work(
        "degrade_tile", source=x[:pairs], out=out, rows=rows, **copies)  # fmt: skip
    yield from tile_work(device, x, out)


def tile_work(device: CudaDevice, x: Any, out: Any) -> Iterator[tuple[str, int, Callable[[], None]]]:
    """The kernels of larger images, each image in one tile of its own size: each element once in and once out."""
    rows, channels, height, width = x.shape
    tables = {"starts": np.zeros(1, np.int32), "cover_y": np.tile(np.array([0, 1], np.int32), (height, 1)),
              "cover_x": np.tile(np.array([0, 1], np.int32), (width, 1)),
              "weights_y": np.ones((1, height), np.float32), "weights_x": np.ones((1, width), np.float32)}  # fmt: skip
    on_it: dict[str, Any] = {name: device.allocate(values.shape, values.dtype) for name, values in tables.items()}
    for name, values in tables.items():
        device.upload(on_it[name], values)
    starts = on_it.pop("starts")
    places: dict[str, Any] = {"tops": starts, "lefts": starts, **tiles.sizes(x.shape, out.shape, 1, 1)}
    yield "degrade_cut", 2 * x.nbytes, lambda: device.launch_grid(
        "degrade_cut", source=x, out=out, first=0, slots=rows, **places)  # fmt: skip
    yield "degrade_blend", 2 * x.nbytes, lambda: device.launch_grid(
        "degrade_blend", tiles=x, out=out, **places, **on_it)  # fmt: skip


def bandwidth(device: CudaDevice, name: str, nbytes: int, work: Callable[[], None]) -> Row:
    def many() -> None:
        for _ in range(LAUNCHES):
            work()

    work()  # what is loaded on the first launch is loaded before the capture
    device.synchronize()
    graph = device.capture(many)
    try:
        ms = [one / LAUNCHES for one in milliseconds(device, lambda: device.replay(graph))]
    finally:
        device.destroy(graph)
    p50 = float(np.median(ms))
    return {"kernel": name, "bytes": nbytes, "p50_ms": round(p50, 5), "p95_ms": round(float(np.percentile(ms, 95)), 5),
            "gb_s": round(nbytes / p50 / 1e6, 2), "repeats": REPEATS}  # fmt: skip


def milliseconds(device: CudaDevice, work: Callable[[], None], repeats: int = REPEATS) -> list[float]:
    """The GPU's time of each of `repeats` runs, after WARM others."""
    return [device.milliseconds(work) for _ in range(WARM + repeats)][WARM:]


# ------------------------------------------------------------------------------------------------ engines


@main.command()
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@rows_option
def export(source: str, out: Path, rows: Path) -> None:
    """A bundle of a checkpoint, or of the paper's preset with random weights."""
    from degrade_engine.export import export_checkpoint

    if source == "paper":
        export_checkpoint(random_paper(out.with_name("paper.safetensors")), out)
    else:
        export_checkpoint(Path(source), out, precisions=("fp32", "fp16", *QUANTISED))
    to_rows(rows, iter([{"bundle_bytes": sum(file.stat().st_size for file in out.iterdir())}]))


def random_paper(path: Path) -> Path:
    """The paper's architecture, every weight drawn. Some layers begin as zeros, and a GPU that multiplies zeros takes
    less power and so less time."""
    import torch

    from degrade_engine.originals.checkpoint import save
    from degrade_engine.originals.realdgen.config import PAPER as ARCHITECTURE
    from degrade_engine.originals.realdgen.model import RealDGen

    torch.manual_seed(0)
    state = RealDGen(ARCHITECTURE).state_dict()
    for weight in state.values():
        if weight.is_floating_point() and not weight.any():
            weight.normal_(0, 0.02)
    save(state, ARCHITECTURE, path, [], {"about": "random weights, for timing"})
    return path


@main.command()
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.argument("backend")
@click.argument("precision")
@click.option("--lr-size", type=int, required=True)
@click.option("--batch", type=int, required=True)
@click.option("--candidates", type=int, required=True)
@click.option("--samples", type=click.Path(exists=True, path_type=Path), required=True)
@rows_option
def engine(bundle: Path, backend: str, precision: str, rows: Path, **size: Any) -> None:
    """Build, gate, then time: whole batches replayed and launched, the denoiser, a matmul in the same runtime."""
    with tempfile.TemporaryDirectory(prefix="degrade-engine-") as folder:
        to_rows(rows, measure_engine(bundle, backend, precision, Path(folder), **size))


def measure_engine(
    bundle: Path, backend: str, precision: Any, folder: Path, *, lr_size: int, batch: int, candidates: int,
    samples: Path, repeats: int = REPEATS, side: int = SIDE,
) -> Iterator[Row]:  # fmt: skip
    """A row for the build, one for the denoiser and the matmul, one for each setting."""
    began, name = time.perf_counter(), {"backend": backend, "precision": precision}
    size: dict[str, Any] = {"lr_size": lr_size, "batch": batch, "candidates": candidates}
    built = build(bundle, folder / "engine", backend=backend, precision=precision, **size)
    worst = next(m for m in built.spec.parity.measures if (m.part, m.against) == ("end to end", "reference"))
    about = name | size | {"engine": built.spec.key_sha256[:16], "parity_max_grey": worst.error.max}
    yield about | {"build_and_gate_s": round(time.perf_counter() - began, 1), "notes": built.notes}

    device: Any
    with closing(backends.named(backend).device(None)) as device:
        spec = built.spec
        executors = {part: open_engine_part(built.folder, spec, part, device) for part in spec.parts}

        def sampler(graphs: bool) -> Runner:
            device.graphs = graphs
            return sampling.open(device, executors, spec, candidates=candidates)

        content, reference = photographs(samples, lr_size, batch)
        # One of each, since a sampler's buffers are the device's until it is closed; the one that runs binds again.
        ways, denoiser_ms = {"replayed": sampler(True), "launched": sampler(False)}, {}
        for label, recipe in ((name, one) for name, one in KINDS["realdgen"].recipes.items() if one.tau[1]):
            run = a_run(recipe, spec.schedule, content, reference)
            times = {}
            for way, runner in ways.items():
                runner.bind()

                def all_batches(runner: Runner = runner, run: list[Batch] = run) -> None:
                    for work in run:
                        runner.run(work, inspect=False)

                times[way] = np.array(timed(all_batches, max(3, repeats // len(run)))) / len(run)
            ms = milliseconds(device, lambda: executors["denoiser"].enqueue(device.stream), repeats)
            denoiser_ms[label] = float(np.median(ms))
            whole = float(np.median(times["replayed"]))
            steps = float(np.mean([max(len(one) for one in work.tables) for work in run]))
            yield about | {
                "setting": label, "steps": steps, "batches": len(run), "s_a_pair": round(whole / batch, 6),
                "p95_s_a_pair": round(float(np.percentile(times["replayed"], 95)) / batch, 6),
                "pairs_a_second": round(batch / whole, 2),
                "launched_s_a_pair": round(float(np.median(times["launched"])) / batch, 6),
                "replay_speedup": round(float(np.median(times["launched"])) / whole, 3),
                "outside_denoiser": round(1 - steps * denoiser_ms[label] / 1e3 / whole, 4),
                "io": False, "repeats": len(times["replayed"]), "notes": device.notes,
            }  # fmt: skip
        file = bundle / denoiser_file(bundle, "fp16" if precision in QUANTISED else precision)  # as many products
        flop = count(file, spec.parts["denoiser"], batch * candidates, lr_size, lr_size).product_flops
        ms_p50 = min(denoiser_ms.values())
        row = about | {"denoiser_ms": digits(ms_p50), "denoiser_tflop": digits(flop / 1e12),
                       "denoiser_tflop_s": digits(flop / ms_p50 / 1e9)}  # fmt: skip
        try:
            peak = matmul_tflop_s(backend, device, folder, side, repeats)
        except Exception as error:  # the denoiser's own figure stands without it
            yield row | {"matmul_failed": str(error)}
        else:
            share = digits(flop / ms_p50 / 1e9 / peak)
            yield row | {"matmul": f"{side}x{side}x{side} fp16", "matmul_tflop_s": digits(peak), "of_matmul": share}


def a_run(recipe: Recipe, schedule: Any, content: np.ndarray, reference: np.ndarray) -> list[Batch]:
    """Full batches whose taus are spread over the recipe's range, by number of steps, as a run computes them: a batch
    takes as long as the pair with the most. One batch where all pairs have the same number. The start image is the
    content at LR size: the drawn degradation of the paper's start is the CPU's work, before the batch.
    """
    n, (low, high) = len(content), recipe.tau
    count = 1 if recipe.steps is not None and recipe.steps <= low else RUN_BATCHES
    taus = [low + (high - low) * i // max(n * count - 1, 1) for i in range(n * count)]
    tables = sorted((recipe.table(schedule, tau) for tau in taus), key=len)
    return [
        Batch(content, reference, np.arange(n, dtype=np.uint32), tables[at : at + n], start=content)
        for at in range(0, n * count, n)
    ]


def denoiser_file(bundle: Path, precision: str) -> str:
    return open_bundle(bundle, verify=False).spec.parts["denoiser"].files[precision].path


def matmul_tflop_s(backend: str, device: CudaDevice, folder: Path, side: int, repeats: int) -> float:
    """What this runtime reaches on this GPU where nothing but FP16 products count."""
    part = PartSpec(
        "pair", (TensorSpec("x", "float32", ("batch", side)),), (TensorSpec("y", "float32", ("batch", side)),), {}
    )
    runner = backends.named(backend)
    source = write_matmul(folder / "matmul.fp16.onnx", side)
    (folder / "made").mkdir()
    made = runner.make(Order("matmul", part, source, folder / "made", side, 1, runner.accept("fp16", None)))
    executor = runner.open(device, folder / "made" / made.file, part, side, 1, None)
    for tensor in ("x", "y"):
        executor.bind(tensor, device.allocate((side, side), np.float32))
    ms = milliseconds(device, lambda: executor.enqueue(device.stream), repeats)
    return 2.0 * LAYERS * side**3 / float(np.median(ms)) / 1e9


def write_matmul(path: Path, side: int) -> Path:
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(0)
    weight = numpy_helper.from_array((random.standard_normal((side, side)) * side**-0.5).astype(np.float16), "w")
    nodes = [helper.make_node("Cast", ["x"], ["h0"], to=TensorProto.FLOAT16)]
    nodes += [helper.make_node("MatMul", [f"h{i}", "w"], [f"h{i + 1}"]) for i in range(LAYERS)]
    nodes += [helper.make_node("Cast", [f"h{LAYERS}"], ["y"], to=TensorProto.FLOAT)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", side]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "matmul", ends[:1], ends[1:], [weight])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), str(path))
    return path


if __name__ == "__main__":
    main()
