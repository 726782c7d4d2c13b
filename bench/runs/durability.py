"""What it costs that a committed shard outlives a power cut.

`none` is what an earlier release did, `files` (engine/sinks/durable.py) what this one does. A row a sink and way: every
time, the rate of their median, and the ratio to `none` with its 95 % interval. And a row a sink on going on: how long
it takes to look whether all that was committed is there and whole.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from degrade_engine.engine.cores import cores
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.pipeline import records
from degrade_engine.engine.sinks import SinkKind, durable, open_sink

from ..machine import machine, processor
from ..options import FOLDER, HR, ROWS_WRITTEN, SINKS, integer
from ..rows import write_rows
from ..verdict import LEAST, timings

LOOKS = 5
Way = Callable[[Iterable[Path], Path], None]


def nothing(files: Iterable[Path], top: Path) -> None:
    """No file is brought to the disk."""


def syncfs(files: Iterable[Path], top: Path) -> None:
    """All of the file system is. Raises OSError."""
    handle = os.open(top, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(top))
    finally:
        os.close(handle)


WAYS: dict[str, Way] = {"none": nothing, "files": durable.settle, "syncfs": syncfs}


ONE = """
import sys, time
from degrade_engine.bench.runs.durability import WAYS
from degrade_engine.cli import main
from degrade_engine.engine.sinks import durable
durable.settle = WAYS[sys.argv[1]]
began = time.perf_counter()
code = main(sys.argv[2:])
print(time.perf_counter() - began)
sys.exit(code)
"""


def timed(way: str, words: list[str], out: Path) -> float:
    """Seconds of a whole run into a new folder, which takes the place of the one before."""
    os.sync()
    line = [sys.executable, "-c", ONE, way, *words, "--out", str(out)]
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DegradeError(f"generate ended with exit code {done.returncode}: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])


def looked(sink: SinkKind, pairs: int, out: Path) -> dict[str, Any]:
    """How long a look at all of a finished run takes, once its files are in memory."""
    names = sorted((out / "shards").glob("*.json"))
    plan = json.loads(names[0].read_bytes().partition(b",\n")[0] + b"}")["plan"]
    heads = [head for n in range(len(names)) if (head := records.read(out, plan, n))]
    seconds = []
    for _ in range(LOOKS):
        writer = open_sink(sink, out)
        began = time.perf_counter()
        if not all(writer.holds(head.shard, head.stems(), head.sizes) for head in heads):
            raise DegradeError(f"a finished run in {out} does not hold what it should")
        seconds.append(time.perf_counter() - began)
    microseconds = 1e6 * statistics.median(seconds) / pairs
    return {"what": "going on", "sink": sink, "pairs": pairs, "look_us_a_pair": round(microseconds, 1)}


def rows_of(sink: SinkKind, words: list[str], pairs: int, rounds: int, work: Path) -> list[dict[str, Any]]:
    """A row a way, and one of looking. The first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(rounds + 1):
        for name in list(WAYS)[:: 1 if turn % 2 else -1]:
            took = timed(name, [*words, "--sink", sink, "--pairs", str(pairs)], work / "out")
            if turn:
                times[name].append(took)
    rows = [looked(sink, pairs, work / "out")]
    for name, all_of_it in times.items():
        row: dict[str, Any] = {"what": "durability", "sink": sink, "way": name, "pairs": pairs}
        row["seconds"] = [round(seconds, 3) for seconds in all_of_it]
        row["pairs_per_second"] = round(pairs / statistics.median(all_of_it), 2)
        if name != "none":
            row["over_none"] = vars(timings(times["none"], all_of_it))
        rows.append(row)
    return rows


@click.command()
@HR
@integer("--pairs", 512, "Pairs per run.")
@integer("--shard-pairs", 64, "Pairs per shard. Each finished shard is brought to the disk.")
@integer("--lr-size", 128, "Side of the LR images in pixels.", least=8, metavar="PX")
@integer("--rounds", 6, f"Runs of each way, at least {LEAST}. One more run warms up and is not counted.", least=LEAST)
@SINKS
@click.option(
    "--work", type=FOLDER, help="Existing folder on the disk to be measured. [default: the system's temporary folder]"
)
@ROWS_WRITTEN
def main(
    hr: Path, pairs: int, shard_pairs: int, lr_size: int, rounds: int, sinks: tuple[SinkKind, ...], work: Path | None,
    out: Path,
) -> None:  # fmt: skip
    """Measure what it costs to write shards so that they survive a power cut.

    \b
    Example:
      degrade-engine bench durability --work /mnt/data -o durability.jsonl

    The same run is made in three ways, in turn. none: only the shard's record is synced to the disk. files: every file
    of the shard and its folders too, as `generate` does. syncfs: the whole file system at once. The degrader is
    bicubic, the cheapest one.
    """
    words = ["generate", "--degrader", "bicubic", "--hr", str(hr.absolute()), "--lr-size", str(lr_size)]
    words += ["--shard-pairs", str(shard_pairs), "--no-save-candidates"]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for sink in sinks:
            rows += rows_of(sink, words, pairs, rounds, Path(folder))
    place = {"shard_pairs": shard_pairs, "lr_size": lr_size, "processor": processor(), **machine(cores())}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, [row | place for row in rows])
    for row in rows:
        if row["what"] == "going on":
            click.echo(f"{row['sink']}: a look takes {row['look_us_a_pair']} us a pair", err=True)
            continue
        ratio = row.get("over_none")
        said = f", {ratio['ratio']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f}) times as long" if ratio else ""
        click.echo(f"{row['sink']}, {row['way']}: {row['pairs_per_second']} pairs/s{said}", err=True)
