"""Ten million pairs, before there is a cluster: 64 workers on one run, and the books of a large one.

    degrade-engine bench scale -o bench/results/scale.jsonl

A row "workers" is a run of many workers by the real code of claims, shares and records, on real files; the engine
sleeps BATCH_S a batch, and there are no images. Time is simulated, since two cores cannot run 64 workers: one of them
runs at a time, each has a clock of its own, and the processor time that it takes (not the waits for a disk) is added to
it. So it is as if each had a core. A worker that dies leaves what a killed process leaves: its heartbeat stops, its
lock is free, its claims stay. Another one starts in its place at once. `apart`: each worker is on a machine of its own,
so that only the lease tells who is dead.

Rows "plan" and "books" say what a plan, and going on with and closing a run of so many pairs, take of the processor:
from records whose rows are made up, without images. Rows "requests" count what runs into a bucket ask of a server on
loopback, by method.
"""

from __future__ import annotations

import heapq
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import click

from degrade_engine.engine.pipeline import records
from degrade_engine.engine.plan import Plan
from degrade_engine.engine.planning import BATCH, Order
from degrade_engine.engine.runners import books, shares
from degrade_engine.engine.runners.claims import Claims
from degrade_engine.engine.runners.run_folder import RunFolder
from degrade_engine.engine.runners.shares import Claimed
from degrade_engine.engine.sinks import open_sink

from ..machine import machine, processor
from ..options import HR, ROWS_APPENDED, integer
from ..rows import Row, add_row, markdown, rows_of
from .pipeline import a_plan, alone, made_up, peak_mb

WORKERS, DEATHS, BATCH_S, SHARD_BATCHES, LEASE_S = 64, 100, 0.05, 8, 5.0
BUCKETS = ((1, 40), (3, 60))  # processes and shards of runs whose requests are counted
COUNTS = (100_000, 1_000_000, 10_000_000)  # pairs


class Died(Exception):
    """A worker's end in the middle of something."""


@dataclass(order=True)
class Worker:
    """now: its clock, seconds since the run began. since: what its thread had taken of the processor when it was last
    looked at."""

    now: float
    number: int
    turn: threading.Event = field(default_factory=threading.Event, compare=False)
    since: float = field(default=0.0, compare=False)
    cpu: float = field(default=0.0, compare=False)


class Clocks:
    """The workers' clocks. The worker whose clock is the earliest runs, until it sleeps or ends."""

    def __init__(self) -> None:
        self._waiting: list[Worker] = []
        self._own = threading.local()
        self._ended = threading.Event()

    @property
    def me(self) -> Worker:
        """The worker that runs."""
        worker: Worker = self._own.worker
        return worker

    def run(self, workers: int, work: Callable[[int], None]) -> list[Worker]:
        """Until all have ended; returns them."""
        every = [Worker(0.0, number) for number in range(workers)]
        threads = [threading.Thread(target=self._one, args=(one, work), daemon=True) for one in every]
        self._waiting = list(every)
        for thread in threads:
            thread.start()
        self._next()
        self._ended.wait()
        return every

    def sleep(self, seconds: float) -> None:
        """In the place of `time.sleep`."""
        me = self.me
        self._count(me)
        me.now += seconds
        heapq.heappush(self._waiting, me)
        self._next()
        me.turn.wait()
        me.turn.clear()
        me.since = time.thread_time()

    def time(self) -> float:
        """The clock of the worker that runs."""
        self._count(self.me)
        return self.me.now

    def _one(self, me: Worker, work: Callable[[int], None]) -> None:
        self._own.worker = me
        me.turn.wait()
        me.turn.clear()
        me.since = time.thread_time()
        try:
            work(me.number)
        finally:
            self._count(me)
            self._next()

    def _count(self, me: Worker) -> None:
        spent = time.thread_time() - me.since
        me.now, me.cpu, me.since = me.now + spent, me.cpu + spent, me.since + spent

    def _next(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting).turn.set()
        else:
            self._ended.set()


class SimulatedClaims(Claims):
    """Whose heartbeat is by the worker's clock, and beats when the worker says so. machine: eight hex digits; None for
    this one."""

    def __init__(self, out: Path, clocks: Clocks, machine: str | None) -> None:
        super().__init__(out, LEASE_S)
        host, pid, here, _ = self.name.rsplit("-", 3)
        self.name = f"{host}-{pid}-{machine or here}-{random.getrandbits(32):08x}"
        self._heartbeat, self._clocks = self._folder / self.name, clocks

    def beat(self) -> None:
        """As the thread of a real process does, but for its own time."""
        self._touch()

    def die(self) -> None:
        """As a killed process: the system frees its lock, and its files stay."""
        self._ended.set()
        self._lock.release()

    def _beat(self) -> None:
        pass

    def _touch(self) -> None:
        super()._touch()
        now = int(1e9 * self._clocks.time())
        os.utime(self._heartbeat, ns=(now, now))


@dataclass
class Crowd:
    """A run that workers share. made, begun: how often each shard was; deaths: when, of whom, and whether only after
    the commit, the next one last."""

    plan: Plan
    out: Path
    apart: bool
    deaths: list[tuple[float, int, bool]]
    clocks: Clocks = field(default_factory=Clocks)
    made: Counter[int] = field(default_factory=Counter)
    begun: Counter[int] = field(default_factory=Counter)
    lost_s: float = 0.0  # of work that deaths threw away
    died: int = 0
    last: float = 0.0  # commit

    def work(self, number: int) -> None:
        """One worker and those that take its place, to the end of the run."""
        while True:
            claims = SimulatedClaims(self.out, self.clocks, f"{number:08x}" if self.apart else None)
            claims.__enter__()
            try:
                self._share(claims)
            except Died:
                claims.die()
                continue
            claims.__exit__(None, None, None)
            return

    def _share(self, claims: SimulatedClaims) -> None:
        every = range(self.plan.shard_count)
        done = {shard for shard in every if records.read(self.out, self.plan.names(shard), shard)}
        new = {shard for shard in every if shard not in done}
        opened = RunFolder(self.plan, self.out, open_sink("webdataset", self.out), done, new=new)
        share = Claimed(opened.missing(), claims, opened.glance, on_wait=claims.beat)
        while share.wait():
            while (shard := share.take()) is not None:
                self._make(claims, shard)
                share.committed(shard)

    def _make(self, claims: SimulatedClaims, shard: int) -> None:
        began = self.clocks.time()
        self.begun[shard] += 1
        for _ in self.plan.shards[shard]:
            self.clocks.sleep(BATCH_S)
            claims.beat()
            self._perhaps_die(began, False)
        spent = time.thread_time()
        record = made_up(self.plan, shard)
        self.clocks.me.since += time.thread_time() - spent  # rows are the pipeline's work, not that of sharing
        records.write(self.out, record)
        self.made[shard] += 1
        self.last = max(self.last, self.clocks.time())
        self._perhaps_die(self.clocks.time(), True)

    def _perhaps_die(self, began: float, committed: bool) -> None:
        now, number = self.clocks.time(), self.clocks.me.number
        due = next((one for one in self.deaths if one[0] <= now and one[1:] == (number, committed)), None)
        if due is not None:
            self.deaths.remove(due)
            self.died += 1
            self.lost_s += now - began
            raise Died


def crowd(plan: Plan, out: Path, workers: int, deaths: int, apart: bool) -> Row:
    """A run of so many workers, and what came of it. A fifth of the deaths come between a commit and the release of the
    claim. Deaths come in the first four fifths."""
    (out / "shards").mkdir(parents=True)
    ideal, dice = len(plan.batches) * BATCH_S / workers, random.Random(0)
    when = [(dice.uniform(0, 0.8 * ideal), dice.randrange(workers), n % 5 == 0) for n in range(deaths)]
    one = Crowd(plan, out, apart, sorted(when))
    with patch.object(shares, "time", SimpleNamespace(sleep=one.clocks.sleep)):
        every = one.clocks.run(workers, one.work)
    wall, cpu = one.last, sum(worker.cpu for worker in every)
    whole = sum(records.read(out, plan.names(shard), shard) is not None for shard in range(plan.shard_count))
    if whole != plan.shard_count or one.died != deaths:
        raise click.ClickException(f"{whole} of {plan.shard_count} shards are whole, after {one.died} deaths")
    return {
        "what": "workers", "workers": workers, "apart": apart, "lease_s": LEASE_S,
        "shards": plan.shard_count, "batch_s": BATCH_S, "shard_batches": SHARD_BATCHES, "deaths": one.died,
        "wall_s": round(wall, 2), "perfect_s": round(ideal, 2), "of_perfect": round(ideal / wall, 4),
        "of_perfect_with_lost_work": round((ideal + one.lost_s / workers) / wall, 4),
        "shards_per_second": round(plan.shard_count / wall, 1), "lost_s": round(one.lost_s, 2),
        "begun_twice": sum(count > 1 for count in one.begun.values()),
        "made_twice": sum(count > 1 for count in one.made.values()),
        "cpu_ms_per_shard": round(1000 * cpu / plan.shard_count, 3),
    }  # fmt: skip


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


TABLES = {"scale_workers": workers_table, "scale_books": books_table, "scale_requests": requests_table}


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
