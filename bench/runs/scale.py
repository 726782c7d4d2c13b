"""Ten million pairs, before there is a cluster: 64 workers on one run, and the books of a large one.

    degrade-engine bench scale -o bench/results/scale.jsonl

Rows "workers" are simulated runs of many workers (`crowd.py`). Rows "plan" and "books" say what a plan, and going on
with and closing a run of so many pairs, take of the processor: from records whose rows are made up, without images.
Rows "requests" count what runs into a bucket ask of a server on loopback, by method.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

from degrade_engine.engine.pipeline import records
from degrade_engine.engine.planning import BATCH, Order
from degrade_engine.engine.runners import books

from ..front_page import WAYS
from ..machine import machine, processor
from ..options import HR, ROWS_APPENDED, integer
from ..rows import Row, add_row, markdown, rows_of
from .crowd import SHARD_BATCHES, crowd
from .pipeline import a_plan, alone, made_up, peak_mb

WORKERS, DEATHS = 64, 100
BUCKETS = ((1, 40), (3, 60))  # processes and shards of runs whose requests are counted
COUNTS = (100_000, 1_000_000, 10_000_000)  # pairs


def simulated(hr: Path, workers: int, shards: int, deaths: int, apart: bool) -> Row:
    """In a folder that goes."""
    order = Order(degrader="bicubic", hr=hr, pairs=1)
    plan = a_plan(replace(order, shard_pairs=None), shards * SHARD_BATCHES * 16)
    work = Path(tempfile.mkdtemp())
    try:
        return crowd(plan, work / "out", workers, deaths, apart)
    finally:
        shutil.rmtree(work)


def planned(hr: Path, pairs: int, work: Path) -> Row:
    """What a plan takes of the processor, and of memory: its order, its shards, its name, its last pair."""
    before, cpu = peak_mb(), time.process_time()
    plan = a_plan(Order(degrader="bicubic", hr=hr), pairs)
    first = plan.shards[0], plan.shards[plan.shard_count - 1], plan.sha256, plan.draw(pairs - 1)
    assert all(first)
    return {"cpu_s": round(time.process_time() - cpu, 3), "more_mb": round(peak_mb() - before, 1)}


def kept(hr: Path, pairs: int, work: Path) -> Row:
    """What the books of a finished run take: looking at every record when a run goes on, and putting all rows in the
    order of pairs."""
    plan = a_plan(Order(degrader="bicubic", hr=hr), pairs)
    (work / "shards").mkdir(parents=True)
    size = 0
    for shard in range(plan.shard_count):
        data = made_up(plan, shard).to_bytes()
        (work / "shards" / f"{shard:05d}.json").write_bytes(data)
        size += len(data)
    before, began = peak_mb(), time.process_time()
    done = sum(records.read(work, plan.sha256, shard) is not None for shard in range(plan.shard_count))
    looked, tally = time.process_time(), books.Tally()
    rows = sum(1 for _ in books.rows_in_order(plan, work, work / "scratch", tally))
    if done < plan.shard_count or rows < pairs:
        raise click.ClickException(f"{done} shards and {rows} rows came back")
    closed = time.process_time()
    return {"look_cpu_s": round(looked - began, 2), "close_cpu_s": round(closed - looked, 2),
            "record_bytes": round(size / pairs), "more_mb": round(peak_mb() - before, 1)}  # fmt: skip


def requested(hr: Path, processes: int, shards: int) -> Row:
    """How often processes that share a run of so many small shards ask a bucket's server."""
    from .s3_server import BUCKET, Server

    with Server() as server:
        words = ["generate", "--degrader", "bicubic", "--hr", str(hr), "--lr-size", "16", "--threads", "1", "-q",
                 "--out", f"s3://{BUCKET}/run", "--sink", "webdataset", "--pairs", str(BATCH * shards),
                 "--shard-pairs", str(BATCH)]  # fmt: skip
        command = [sys.executable, "-m", "degrade_engine", *words]
        began = time.perf_counter()
        started = [subprocess.Popen(command, env={**os.environ, **server.environment}) for _ in range(processes)]
        if any(one.wait() for one in started):
            raise click.ClickException("a run into the bucket failed")
        wall, requests = time.perf_counter() - began, dict(sorted(server.requests.items()))
        return {"what": "requests", "processes": processes, "shards": shards, "wall_s": round(wall, 1)} | {
            "requests": requests
        }


# ---- tables of docs/scale.md ----

SHARDS = 78_125  # of 128 pairs, of ten million
PUT_USD, GET_USD = 5e-6, 4e-7  # a request, PUT and LIST, GET and HEAD: S3 Standard, us-east-1, by Amazon's list


def workers_table(folder: Path) -> str:
    """The simulated runs."""
    head = ["workers", "deaths", "a death is known", "shards", "of perfect scaling", "shards a second",
            "work lost", "made twice", "ms of a core a shard"]  # fmt: skip
    body = [
        [str(row["workers"]), str(row["deaths"]),
         "–" if not row["deaths"] else "after the lease" if row["apart"] else "at once", str(row["shards"]),
         f"{row['of_perfect']:.3f}", f"{row['shards_per_second']:.0f}", f"{row['lost_s']:.0f} s",
         str(row["made_twice"]), f"{row['cpu_ms_per_shard']:.1f}"]
        for row in rows_of(folder, "scale") if row["what"] == "workers"
    ]  # fmt: skip
    return markdown(head, body)


def books_table(folder: Path) -> str:
    """Plans and books by pairs."""
    found: dict[int, Row] = {}
    for row in rows_of(folder, "scale"):
        if row["what"] in ("plan", "books"):
            found.setdefault(row["pairs"], {})[row["what"]] = row
    body = []
    for pairs, rows in found.items():
        plan, book = rows["plan"], rows.get("books")
        own = ["not run"] * 4 if book is None else [
            f"{book['look_cpu_s']:.1f} s", f"{book['close_cpu_s']:.1f} s", f"{book['more_mb']:.0f} MB",
            f"{book['record_bytes']} bytes"]  # fmt: skip
        body.append([f"{pairs:,}", f"{plan['cpu_s']:.2f} s", f"{plan['more_mb']:.0f} MB", *own])
    return markdown(["pairs", "plan", "its memory", "going on: look", "close", "memory", "record a pair"], body)


def requests_table(folder: Path) -> str:
    """Requests a shard, and what ten million pairs would ask and cost."""
    body = []
    for row in rows_of(folder, "scale"):
        if row["what"] == "requests":
            count = row["requests"]
            each = {name: count.get(name, 0) / row["shards"] for name in ("PUT", "LIST", "GET", "HEAD", "DELETE")}
            cost = SHARDS * ((each["PUT"] + each["LIST"]) * PUT_USD + (each["GET"] + each["HEAD"]) * GET_USD)
            body.append([str(row["processes"]), str(row["shards"]), *(f"{value:.1f}" for value in each.values()),
                         f"{sum(each.values()) * SHARDS / 1e6:.1f} million", f"{cost:.1f} USD"])  # fmt: skip
    head = ["processes", "shards", "PUT a shard", "LIST", "GET", "HEAD", "DELETE", "10 million pairs", "their price"]
    return markdown(head, body)


def time_table(folder: Path) -> str:
    """How long ten million pairs take, by the rows of Table 12."""
    rows = {row["name"]: row for row in rows_of(folder, "table12")}
    hours = {said: rows[name]["mean_s"] * COUNTS[-1] / 3600 for said, name in WAYS}
    body = [[said, f"{rows[name]['mean_s']:.4f}", f"{hours[said]:,.0f} hours", f"{2 * hours[said]:,.0f}"]
            for said, name in WAYS]  # fmt: skip
    return markdown(["way", "s per pair", "10 million on two threads", "thread-hours"], body)


TABLES = {"scale_workers": workers_table, "scale_books": books_table, "scale_requests": requests_table,
          "scale_time": time_table}  # fmt: skip


@click.command()
@HR
@integer("--workers", WORKERS, "Workers of the simulated runs.")
@integer("--shards", 6400, "Shards of a simulated run, of 8 batches each. 0: no simulation.", least=0)
@integer("--deaths", DEATHS, "Deaths in the runs with deaths.", least=0)
@integer(
    "--most",
    COUNTS[1],
    "Most pairs of a run whose books are measured. A million pairs need 1 GB of temporary space.",
    least=0,
)
@ROWS_APPENDED
def main(hr: Path, workers: int, shards: int, deaths: int, most: int, out: Path) -> None:
    """Simulate many workers on one run, with and without deaths; measure the books of runs of many pairs.

    \b
    Example:
      degrade-engine bench scale -o scale.jsonl

    The workers use the real code that shares a run. Their engine only sleeps, and they write no images. Time is
    simulated: each worker has a clock of its own.
    """
    about = {"processor": processor(), **machine(1)}

    def add(row: Row) -> None:
        click.echo(", ".join(f"{key} {value}" for key, value in row.items()))
        add_row(out, row | about)

    for count, some, apart in ((1, 0, False), (workers, 0, False), (workers, deaths, False), (workers, deaths, True)):
        if shards:
            add(simulated(hr, count, shards if count > 1 else max(1, shards // workers), some, apart))
    for processes, some in BUCKETS:
        add(requested(hr, processes, some))
    for pairs in COUNTS:
        for what, task in (("plan", planned), ("books", kept)):
            if pairs <= (most if what == "books" else COUNTS[-1]):
                with tempfile.TemporaryDirectory() as work:
                    add({"what": what, "pairs": pairs, **alone(task, hr, pairs, Path(work))})
