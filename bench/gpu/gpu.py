"""Everything that a machine with a GPU can tell, in one command: `make bench-gpu`.

    degrade-engine bench gpu CHECKPOINT -o bench/results/gpu.jsonl

Parts, in this order: the scheduler's tests on CudaDevice, compute-sanitizer over its kernels, every kernel's bandwidth
beside a device copy, then each backend and precision at 128x128 (build, parity gate, replayed and launched steps,
denoiser beside a large FP16 matmul), and the paper preset with random weights at 256x256, 48 rows. Each part is a
process of its own (parts.py), since a fault in one leaves a GPU context unusable and TensorRT wants one flavour a
process: one that fails is a row that says so, and the rest goes on. Nothing is timed that did not pass its check.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from degrade_engine.engine import backends
from degrade_engine.engine import machine as machines
from degrade_engine.engine.artefact import tool_versions
from degrade_engine.engine.spec import QUANTISED

from ..machine import stamp
from ..options import FILE, ROWS_APPENDED, SAMPLES
from ..rows import Row, add_row, read_rows

HOURS = 3600
PARTS_FILE = "degrade_engine.bench.gpu.parts"
ON_A_GPU = tuple(one.name for one in backends.BACKENDS.values() if one.gpu)


@click.command()
@click.argument("checkpoint", type=FILE)
@SAMPLES
@click.option("--only", multiple=True, metavar="NAME",
    help="Run only parts whose names begin like this, e.g. 'tests' or 'tiny'. Can be repeated. [default: all]"
)  # fmt: skip
@click.option("--left-out", multiple=True, metavar="PACKAGE",
    help="Say in a row that this package could not be installed, as `make bench-gpu` does. Can be repeated."
)  # fmt: skip
@ROWS_APPENDED
def main(checkpoint: Path, samples: Path, only: tuple[str, ...], left_out: tuple[str, ...], out: Path) -> None:
    """Check and time everything on this machine's NVIDIA GPU.

    \b
    Example:
      degrade-engine bench gpu realdgen-tiny.safetensors -o gpu.jsonl

    CHECKPOINT is a RealDGen checkpoint. The parts are, in this order: tests, sanitizer, kernels, and then each backend
    and precision. Each is a process of its own. If one fails, a row says why, the others still run, and the exit code
    is 1.
    """
    gpus = machines.nvidia()
    if not gpus.devices:
        raise click.ClickException(f"there is no NVIDIA GPU here ({gpus.reason}), so nothing was run")
    about, failed = context(gpus), 0
    out.parent.mkdir(parents=True, exist_ok=True)
    for package in left_out:
        add_row(out, {"part": "install", "left_out": f"{package} could not be installed"} | about)
    with tempfile.TemporaryDirectory(prefix="degrade-engine-") as folder:
        for name, arguments in parts(checkpoint, samples, Path(folder)):
            if only and not name.startswith(only):
                continue
            click.echo(f"== {name}")
            for row in run_part(name, arguments, Path(folder) / "rows.jsonl"):
                failed += "failed" in row
                add_row(out, row | about)
                click.echo(say(row))
    if failed:
        raise click.ClickException(f"{failed} rows say what failed; see {out}")


def parts(checkpoint: Path, samples: Path, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Names of the parts and the arguments of parts.py; a backend that cannot run here is a row with the reason."""
    yield "tests", ["tests"]
    yield "sanitizer", ["sanitizer"]
    yield "kernels", ["kernels"]
    tiny, paper = folder / "tiny", folder / "paper"
    yield "export tiny", ["export", str(checkpoint), str(tiny)]
    for backend in ON_A_GPU:
        for precision in ("fp16", "fp32", *QUANTISED):
            if precision not in backends.named(backend).precisions:
                continue
            size = ["--lr-size", "128", "--batch", "16", "--candidates", "3", "--samples", str(samples)]
            yield f"tiny {backend} {precision}", ["engine", str(tiny), backend, precision, *size]
    yield "export paper", ["export", "paper", str(paper)]
    for backend in ON_A_GPU:
        size = ["--lr-size", "256", "--batch", "16", "--candidates", "3", "--samples", str(samples)]
        yield f"paper {backend} fp16", ["engine", str(paper), backend, "fp16", *size]


def run_part(name: str, arguments: list[str], rows: Path, command: tuple[str, ...] = ()) -> list[Row]:
    """A part in a process of its own. Its rows, and one more with `failed` if it did not end well, or `left_out`."""
    if arguments[0] == "engine" and (reason := backends.named(arguments[2]).cannot_run(None)):
        return [{"part": name, "left_out": reason}]
    rows.unlink(missing_ok=True)
    began = time.perf_counter()
    command = command or (sys.executable, "-m", PARTS_FILE)
    try:
        done = subprocess.run(
            [*command, *arguments, "--rows", str(rows)], capture_output=True, text=True, timeout=2 * HOURS
        )
        code, said = done.returncode, done.stderr or done.stdout
    except subprocess.TimeoutExpired:
        code, said = -1, f"not done after {2 * HOURS} s"
    found: list[Row] = [{"part": name} | row for row in read_rows(rows)] if rows.is_file() else []
    if code:
        last = [line for line in said.splitlines() if line.strip()][-1:] or ["it said nothing"]
        found.append({"part": name, "failed": last[0].strip(), "exit_status": code})
    seconds = round(time.perf_counter() - began, 1)
    return [row | {"part_seconds": seconds} for row in found or [{"part": name}]]


def context(gpus: machines.Gpus) -> Row:
    """What makes a row evidence: device, driver, versions, commit."""
    return {
        "device": gpus.devices[0].name, "sm": gpus.devices[0].sm, "driver": gpus.driver, "cuda": gpus.cuda,
        "devices": 1, "cpu_cores": os.cpu_count(), "tools": tool_versions(),
    } | stamp()  # fmt: skip


def say(row: Row) -> str:
    """A row for the eye."""
    skip = ("part", "part_seconds", "notes", "parity")
    return "   " + ", ".join(f"{key} {value}" for key, value in row.items() if key not in skip)
