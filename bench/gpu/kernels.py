"""What the CUDA kernels take of a multiprocessor: registers, spills, shared memory, as ptxas reports them.

The rows carry the SHA-256 of the sources, so that a test can tell when they are stale. Each kernel's time is bound by
memory bandwidth (the formulas stand in kernels/*.cu); registers decide how many threads are there to hide its latency.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from ...kernels import loader
from ...kernels.grids import THREADS
from ..options import ROWS_WRITTEN
from ..rows import Row, write_rows

CAPABILITIES = (80, 89, 90, 100, 120)
STRICT = ("-Xcompiler", "-Wall,-Wextra", "-Werror", "all-warnings")
REGISTERS, MOST_THREADS = 65536, {80: 2048, 89: 1536, 90: 2048, 100: 2048, 120: 1536}
"""Of a multiprocessor (CUDA C++ Programming Guide, table of compute capabilities)."""


def find_nvcc() -> str | None:
    """nvcc on PATH or in CUDA_HOME."""
    home = os.environ.get("CUDA_HOME") or "/usr/local/cuda"
    return shutil.which("nvcc") or shutil.which("nvcc", path=f"{home}/bin")


def sources() -> list[Path]:
    """All that nvcc reads, by name; cuda.cu includes the rest."""
    folder = next(folder for folder in loader.folders() if (folder / "cuda.cu").is_file())
    return sorted([*folder.glob("*.cu"), *folder.glob("*.cuh"), *folder.glob("*.h"), folder / "nvcc.options"])


def sources_sha256() -> str:
    """One digest over names and contents."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def compile_cuda(nvcc: str, out: Path, *options: str) -> str:
    """Runs nvcc on cuda.cu with the release's options, warnings being errors; returns what it printed.

    Raises subprocess.CalledProcessError, its output in `output`.
    """
    unit = next(path for path in sources() if path.name == "cuda.cu")
    command = [nvcc, "--options-file", str(unit.with_name("nvcc.options")), *STRICT, *options, "-o", str(out)]
    pipe = subprocess.PIPE
    return subprocess.run([*command, str(unit)], stdout=pipe, stderr=subprocess.STDOUT, text=True, check=True).stdout


def resources(nvcc: str, capabilities: Iterable[int] = CAPABILITIES) -> list[Row]:
    """One row a kernel and compute capability."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for sm in capabilities:
            printed = compile_cuda(nvcc, Path(folder) / "x.cubin", "-cubin", f"-arch=sm_{sm}", "-Xptxas", "-v")
            rows += read_ptxas(printed, sm)
    return rows


def read_ptxas(printed: str, sm: int) -> list[Row]:
    """ptxas -v, a paragraph a kernel, as rows; threads is how many the registers leave on a multiprocessor."""
    rows = []
    a_kernel = r"Compiling entry function '(\w+)' for [^\n]*\n(.*?)(?=Compiling|\Z)"
    for name, paragraph in re.findall(a_kernel, printed, re.S):
        stack, stores, loads = re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", paragraph)[:3]
        registers = int(re.findall(r"Used (\d+) registers", paragraph)[0])
        shared = re.findall(r"(\d+) bytes smem", paragraph)
        # A warp gets registers in units of 256, a multiprocessor whole blocks.
        a_block = -(-registers * 32 // 256) * 256 * (THREADS // 32)
        threads = min(REGISTERS // a_block * THREADS, MOST_THREADS[sm])
        rows.append({"kernel": name, "sm": sm / 10, "registers": registers, "stack_bytes": int(stack),
                     "spill_store_bytes": int(stores), "spill_load_bytes": int(loads),
                     "shared_bytes": int(shared[0]) if shared else 0, "threads_by_registers": threads})  # fmt: skip
    return sorted(rows, key=lambda row: row["kernel"])


@click.command()
@ROWS_WRITTEN
def main(out: Path) -> None:
    """Report registers, spills and shared memory of the CUDA kernels.

    \b
    Example:
      degrade-engine bench kernels -o kernels.jsonl

    Needs nvcc, on PATH or in CUDA_HOME, but no GPU. The figures are those that ptxas reports.
    """
    nvcc = find_nvcc()
    if nvcc is None:
        raise click.ClickException("nvcc was not found: put it on PATH, or set CUDA_HOME to the toolkit's folder")
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    about = {"nvcc": re.findall(r"V([\d.]+)", version)[0], "sources_sha256": sources_sha256()}
    rows = resources(nvcc)
    write_rows(out, [row | about for row in rows])
    spills = [row for row in rows if row["spill_store_bytes"] or row["spill_load_bytes"]]
    click.echo(f"{len(rows)} rows, at most {max(row['registers'] for row in rows)} registers, {len(spills)} spill")
