"""Looking at many files: seconds and memory of a scan, of its page, and of a plan of a million pairs over them.

Each measurement has a process of its own, and its memory is what that process holds at most beyond what it held before
it began.
"""

from __future__ import annotations

import io
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from degrade_engine.engine import images
from degrade_engine.engine import plan as plans
from degrade_engine.engine.inputs import folders, inventory, sources
from degrade_engine.engine.recipe import Recipe

from ..machine import machine
from ..options import CONDITIONS, ROWS_WRITTEN, WORK, integer
from ..rows import write_rows

LR_SIZE, SCALE, PAIRS = 16, 4, 1_000_000
OPTIONS = plans.Options(
    seed=0, pairs=PAIRS, scale=SCALE, recipe=Recipe.named("realdgen", "paper").but(start="bicubic"),
    shard_pairs=plans.MOST_SHARD_PAIRS, save_candidates=False,
)  # fmt: skip
SAMPLE = 5000  # files, of the way that is no longer taken


@click.command()
@integer("--files", 100_000, "Number of image files that are made and scanned; at least 100.", least=100)
@click.option("--folder", type=WORK,
    help="Existing folder on the disk to be measured. The files are made in it and removed at the end. [default: the "
    "system's temporary folder]")  # fmt: skip
@CONDITIONS
@ROWS_WRITTEN
def main(files: int, folder: Path | None, conditions: str | None, out: Path) -> None:
    """Measure time and memory of scanning many files and of planning over them.

    \b
    Example:
      degrade-engine bench inventory --files 10000 -o inventory.jsonl

    Many small JPEG, PNG and WebP files are written first, so they are in the system's cache: the work is measured, not
    the disk. Then they are scanned, inventory.jsonl is written and read, and a million pairs are planned.
    """
    rows = []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        photographs, page = Path(work) / "photographs", Path(work) / "page"
        page.mkdir()
        write_files(photographs, files)
        for what, count, task in (
            ("scan", files, scan_by_size),
            ("scan, sha256", files, scan_by_hash),
            ("headers by libvips", min(SAMPLE, files), headers_by_libvips),
            ("write inventory.jsonl", files, write_page),
            ("read inventory.jsonl", files, read_page),
            (f"plan {PAIRS} pairs from inventory.jsonl", files, make_plan),
        ):
            row = {"what": what, "files": count, **apart(task, photographs, page), **machine(1)}
            row |= {"conditions": conditions} if conditions else {}
            seconds, cpu, peak = row["seconds"], row["cpu_seconds"], row["peak_mb"]
            click.echo(f"{what:40} {seconds:7.2f} s, {cpu:7.2f} s of a core, {peak:6.1f} MB")
            rows.append(row)
        write_rows(out, rows)  # before the files go, which takes long


def write_files(folder: Path, count: int) -> None:
    """A thousand a folder. Their ends differ behind the image, where no decoder looks, in content and length."""
    random = np.random.default_rng(0)
    models = [model(random, n) for n in range(64)]
    for n in range(count):
        if n % 1000 == 0:
            (folder / f"{n // 1000:04d}").mkdir(parents=True)
        data, ending = models[n % 64]
        path = folder / f"{n // 1000:04d}" / f"{n:07d}.{ending}"
        path.write_bytes(data + n.to_bytes(8, "big") + bytes(int(random.integers(3000))))


def model(random: np.random.Generator, n: int) -> tuple[bytes, str]:
    """One image file: of 16, four are PNG, one is WebP, two are JPEG that EXIF turns, and nine are plain JPEG."""
    height, width = random.integers(128, 192, 2).tolist()
    coarse = random.integers(0, 256, (12, 12, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    image, file, tags = Image.fromarray(coarse[:height, :width]), io.BytesIO(), Image.Exif()
    kind = "PNG" if n % 4 == 3 else "WEBP" if n % 16 == 2 else "JPEG"
    tags[0x0112] = 6
    image.save(file, kind, **({"exif": tags} if n % 8 == 1 else {}))
    return file.getvalue(), kind.lower()


def apart(task: Callable[[Path, Path], Callable[[], Any]], photographs: Path, page: Path) -> dict[str, float]:
    """Seconds, and MB beyond those before, of what `task` gives back, in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measured, task, photographs, page).result()


def _measured(task: Callable[[Path, Path], Callable[[], Any]], photographs: Path, page: Path) -> dict[str, float]:
    work = task(photographs, page)
    before, began, cpu = _peak_mb(), time.perf_counter(), time.process_time()
    kept = work()
    seconds, cpu_seconds, peak = time.perf_counter() - began, time.process_time() - cpu, _peak_mb()
    del kept  # it was held until here
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3), "peak_mb": round(peak - before, 1)}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def scan_by_size(photographs: Path, page: Path) -> Callable[[], Any]:
    return lambda: inventory.scan(photographs, (LR_SIZE * SCALE,) * 2)


def scan_by_hash(photographs: Path, page: Path) -> Callable[[], Any]:
    return lambda: inventory.scan(photographs, (LR_SIZE * SCALE,) * 2, identity="sha256")


def headers_by_libvips(photographs: Path, page: Path) -> Callable[[], Any]:
    files = list(folders.Folder(photographs).files(lambda *_: None))[:SAMPLE]
    return lambda: [images.read_size(photographs / path) for path in files]


def write_page(photographs: Path, page: Path) -> Callable[[], Any]:
    found = sources.from_folders(photographs, None, hr_size=LR_SIZE * SCALE, reference_size=None)
    return lambda: found.write_page(page)


def read_page(photographs: Path, page: Path) -> Callable[[], Any]:
    return lambda: _known(photographs, page)


def make_plan(photographs: Path, page: Path) -> Callable[[], Any]:
    """All that is settled before the first pair: the inventory read, taus, order, batches, shards, the plan's name."""

    def settle() -> Any:
        found = _known(photographs, page)
        plan = plans.make(OPTIONS, lr_size=LR_SIZE, batch=16, engine="0" * 64, hr=found.hr, reference=None)
        return found, plan, len(plan.order), len(plan.shards), plan.sha256, plan.draw(0)

    return settle


def _known(photographs: Path, page: Path) -> sources.Sources:
    how = sources.How(known=page)
    found = sources.from_folders(photographs, None, hr_size=LR_SIZE * SCALE, reference_size=None, how=how)
    if found.scanned:
        raise click.ClickException(f"{page} was not taken: this measures a scan")
    return found
