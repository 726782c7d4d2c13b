"""Many workers on one run, by the real code of claims, shares and records, on real files.

The engine sleeps BATCH_S a batch, and there are no images. Time is simulated, since two cores cannot run 64 workers:
one of them runs at a time, each has a clock of its own, and the processor time that it takes (not the waits for a disk)
is added to it. So it is as if each had a core. A worker that dies leaves what a killed process leaves: its heartbeat
stops, its lock is free, its claims stay. Another one starts in its place at once. `apart`: each worker is on a machine
of its own, so that only the lease tells who is dead.
"""

from __future__ import annotations

import heapq
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import click

from degrade_engine.engine.pipeline import records
from degrade_engine.engine.plan import Plan
from degrade_engine.engine.runners import shares
from degrade_engine.engine.runners.claims import Claims
from degrade_engine.engine.runners.run_folder import RunFolder
from degrade_engine.engine.runners.shares import Claimed
from degrade_engine.engine.sinks import open_sink

from ..rows import Row
from .pipeline import made_up

BATCH_S, SHARD_BATCHES, LEASE_S = 0.05, 8, 5.0


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
