"""Where the time of a pair goes, on a CPU: each network and kernel beside what the machine can do, and how it scales.

    degrade-engine bench latency ENGINE [MORE …] -o bench/results/latency.jsonl

ENGINE (or a bundle) is measured whole; of each one more, a model of another kind, only the networks. Rows, by `what`:

    ceiling   FLOP/s of a large matrix product, bytes a second of a large copy (ceiling.py)
    part      a network at the engine's batch: FLOPs and bytes counted from its graph (onnx_work.py), seconds a call
    operator  of the denoiser, on one thread: nodes, time, share (operators.py)
    kernel    a launch: bytes, seconds, and what share of the copy's bytes a second that is
    stage     what a pair costs in each stage of a run (stages.py)
    batch     seconds per batch without I/O, images per second of the machine
    scaling   seconds per batch over batch, size, steps and candidates; `fit`: a fixed part and one for each more
    packing   a batch of one engine with one candidate a pair, and with all: seconds per pair
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from degrade_engine.engine.artefact import tool_versions
from degrade_engine.engine.cores import cores
from degrade_engine.engine.devices import HostDevice
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.recipe import Recipe
from degrade_engine.kernels import philox

from .. import onnx_work, rig
from ..ledger import Ledger
from ..machine import processor, stamp
from ..options import FOLDER, ROWS_WRITTEN, integer
from ..rig import Source
from ..rows import Row, write_rows
from ..timing import digits, spread, timed
from . import ceiling, scaling, stages
from .operators import profile

Job = Callable[[], Iterator[Row]]
CALLS, SECONDS_A_PART = 9, 6.0  # repeats of a network, and how long they may take in all


@dataclass(frozen=True)
class Ceiling:
    """Of the machine, in the precision of the networks that run each step and in FP32."""

    flop_s: float
    fp32_flop_s: float
    copy_bytes_s: float


# ----------------------------------------------------------------------------------------------- networks


def part(source: Source, name: str, threads: int, most: Ceiling) -> Iterator[Row]:
    """One network at the engine's batch, on numbers of an image's range."""
    spec, size = source.parts[name], source.lr_size
    rows = source.rows(name, source.batch, source.candidates)
    executor = rig.open_part(source, name, HostDevice(threads), rows, size, threads)
    random, buffers = np.random.default_rng(0), {}
    for tensor in (*spec.inputs, *spec.outputs):
        shape = executor.shapes[tensor.name]
        floats = random.uniform(-1, 1, shape).astype(np.float32)
        buffers[tensor.name] = np.full(shape, 20, np.int32) if tensor.dtype == "int32" else floats
        executor.bind(tensor.name, buffers[tensor.name])
    times = timed(executor.enqueue, CALLS, SECONDS_A_PART)
    work = onnx_work.count(source.files[name], spec, rows, size, size)
    a_row = onnx_work.count(source.files[name], spec, 1, size, size)  # rows are run one after another: weights stay
    p50 = float(np.median(times))
    bf16 = source.precision == "bf16" and spec.runs == "step"
    peak = most.flop_s if bf16 else most.fp32_flop_s
    yield {
        "what": "part", "kind": source.kind, "part": name, "runs": spec.runs, "rows": rows, **spread(times),
        "computed_in": "bf16" if bf16 else "fp32",
        "gflop": digits(work.flops / 1e9), "gflop_of_products": digits(work.product_flops / 1e9),
        "weight_mb": digits(work.weight_bytes / 1e6), "in_and_out_mb": digits(work.io_bytes / 1e6),
        "activations_mb": digits(work.activation_bytes / 1e6), "moved_mb": digits(work.moved_bytes / 1e6),
        "flop_a_byte": digits(a_row.flops / a_row.moved_bytes), "gflop_s": digits(work.flops / p50 / 1e9),
        "of_ceiling": digits(work.flops / p50 / peak), "engine": source.sha256[:16],
        "backend": source.backend, "precision": source.precision, "batch": source.batch,
        "candidates": source.candidates, "lr_size": size,
    }  # fmt: skip


def operators(source: Source) -> Iterator[Row]:
    """What the denoiser's time goes to."""
    rows = source.batch * source.candidates
    for row in profile(source.files["denoiser"], source.parts["denoiser"], rows, source.lr_size):
        yield {"what": "operator", "part": "denoiser", **row}


# ------------------------------------------------------------------------------------------------ kernels


def kernels(ledger: Ledger, label: str, most: Ceiling) -> Iterator[Row]:
    """Every kernel that was launched since the ledger was cleared; label: how the steps were, said of `update`."""
    for name in ledger.count("launch"):
        entries = [entry for entry in ledger.entries if (entry.act, entry.name) == ("launch", name)]
        nbytes = entries[0].bytes
        times = [entry.seconds for entry in entries if entry.bytes == nbytes]
        yield moved(f"{name}, {label}" if name == "update" else name, nbytes, times, most)


def normals(rows: int, lr_size: int, threads: int, most: Ceiling) -> Iterator[Row]:
    """Philox and Box-Muller alone, as they run inside `update` and `start`."""
    out, words = np.empty((rows, 3, lr_size, lr_size), np.float32), np.arange(rows, dtype=np.uint32)
    work = partial(philox.normals, out, seed=1, pairs=words, candidates=words, steps=words, threads=threads)
    yield moved("normals, within update and start", out.nbytes, timed(work, 20), most)


def moved(kernel: str, nbytes: int, times: list[float], most: Ceiling) -> Row:
    """A kernel's row."""
    rate = nbytes / float(np.median(times))
    return {"what": "kernel", "kernel": kernel, "mb": digits(nbytes / 1e6), **spread(times),
            "gb_s": digits(rate / 1e9), "of_copy": digits(rate / most.copy_bytes_s)}  # fmt: skip


# ------------------------------------------------------------------------------------------------ all of it


def jobs(sources: list[Source], samples: Path, threads: int, most: Ceiling) -> list[tuple[str, Job]]:
    """What is measured, in order, and by which name."""
    first = sources[0]
    found: list[tuple[str, Job]] = []
    for source in sources:
        for name in source.parts:
            found.append((f"{source.kind}: {name}", partial(part, source, name, threads, most)))
    if first.backend == "onnxruntime" and first.model_kind.has_steps:
        found.append(("the denoiser's operators", partial(operators, first)))
    for name, recipe in KINDS[first.kind].recipes.items():
        if first.model_kind.has_steps and not recipe.tau[1]:  # a batch without calls has no stage of its own
            continue
        found.append((f"a batch, {name}", partial(of_preset, first, name, recipe, samples, threads, most)))
    found.append(("normals", partial(normals, first.batch * first.candidates, first.lr_size, threads, most)))
    if first.candidates > 1:
        found.append(("one candidate a pair, and all", partial(scaling.packing, first, 5, threads)))
    base = scaling.Size(min(first.batch, 2), first.candidates, first.lr_size, 2)
    for over in scaling.SCALES if first.model_kind.has_steps else ("batch", "lr_size"):
        small = replace(base, batch=1) if over == "lr_size" else base
        found.append((f"scaling over {over}", partial(scaling.series, first, over, small, threads)))
    return found


def of_preset(source: Source, name: str, recipe: Recipe, samples: Path, threads: int, most: Ceiling) -> Iterator[Row]:
    """The stages and kernels of a batch, and the batch's own times."""
    ledger = Ledger()
    unsaid = {"tau", "filter", "fusion_weight"} | (set() if recipe.noise else {"noise"})
    settings = dict(zip(("tau_low", "tau_high"), recipe.tau, strict=True))
    settings |= {key: value for key, value in vars(recipe).items() if key not in unsaid}
    measured = stages.measure(source, recipe, samples, ledger, threads)
    for stage, seconds in measured.stages.items():
        yield {"what": "stage", "setting": name, "stage": stage, "ms_a_pair": digits(1e3 * seconds)}
    rate = source.batch / float(np.median(measured.batches))
    yield {"what": "batch", "setting": name, **settings, **spread(measured.batches), "io": False,
           "steps_run": measured.steps, "images_a_second": digits(rate)}  # fmt: skip
    if measured.steps:
        drawn = bool(recipe.table(source.schedule, recipe.tau[1]).coefficients[:, 5].any())
        yield from kernels(ledger, "with noise" if drawn else "without noise", most)


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="ENGINE|BUNDLE …", type=FOLDER)
@click.option("--samples", type=FOLDER, default=Path("samples"), show_default=True,
    help="Folder with the photographs for timing whole runs: hr/ and reference/.")  # fmt: skip
@integer("--threads", None, "Threads of the networks. [default: one per physical core]")
@ROWS_WRITTEN
def main(folders: tuple[Path, ...], samples: Path, threads: int | None, out: Path) -> None:
    """Measure where the time of a pair goes on a CPU, and how it scales.

    \b
    Example:
      degrade-engine bench latency engine -o latency.jsonl

    The first ENGINE or BUNDLE is measured in full: time, FLOPs and bytes of every network and kernel, each stage of a
    run, and the time over batch, size, steps and candidates. Of each further one only the networks are measured.
    `degrade-engine bench tables` makes tables of the rows.
    """
    threads, sources, console = threads or cores(), [rig.read(folder) for folder in folders], Console(stderr=True)
    first = sources[0]
    console.print(f"About {3 + len(folders) // 2} minutes on two cores with the bundled models; more for larger ones.")
    fp32, copy = ceiling.product_flop_s(threads), ceiling.copy_bytes_s(threads)
    bf16 = any(source.precision == "bf16" for source in sources)
    most = Ceiling(ceiling.bf16_product_flop_s(threads) if bf16 else fp32, fp32, copy)
    rows: list[Row] = [{
        "what": "ceiling", "kind": first.kind, "gflop_s": digits(fp32 / 1e9), "side": ceiling.SIDE,
        "copy_gb_s": digits(copy / 1e9), "copy_mb": digits(2 * ceiling.COPY_BYTES / 1e6),
        "bf16_gflop_s": digits(most.flop_s / 1e9) if bf16 else None,
    }]  # fmt: skip
    work = jobs(sources, samples, threads, most)
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(work))
        for name, measure in work:
            progress.update(task, description=name)
            rows += measure()
            progress.advance(task)
    about = {
        "engine": first.sha256[:16], "backend": first.backend, "precision": first.precision, "batch": first.batch,
        "candidates": first.candidates, "lr_size": first.lr_size, "threads": threads,
        "devices": f"{processor()}, {cores()} cores", "tools": tool_versions(), **stamp(),
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, [about | row for row in rows])
    click.echo(f"{len(rows)} rows in {out}; `degrade-engine bench tables` draws docs/latency.md and its picture")
