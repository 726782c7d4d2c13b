"""A whole run in this process: open the output folder, do the shards that are not done, close the books.

Nothing here draws or decides; it calls `generate.run` for each missing shard and commits what comes back. A
run that was stopped in any way, the power cut included, goes on with the same call and ends with the same
bytes.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from types import FrameType
from typing import Any

from . import generate, records
from . import inputs as loading
from . import plan as plans
from .artefact import parse_json, read_bytes, write_json_atomic
from .errors import DegradeError
from .inputs import Folders, Reject
from .plan import Plan
from .presets import label
from .records import Record
from .schedule import Schedule
from .sink import Sink
from .sinks import Kind, open_sink, require

PLAN_JSON = "plan.json"
RUN_JSON = "run.json"
SINK = "sink"  # the key of plan.json that is not the plan's


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: what is committed stays, the same call goes on. done of so many shards."""

    def __init__(self, done: int, shards: int) -> None:
        super().__init__(done, shards)
        self.done, self.shards = done, shards


@dataclass(frozen=True)
class Progress:
    """How far a run is. A pair is settled when it is written or rejected."""

    settled: int
    pairs: int
    pairs_per_second: float | None  # of this call; None until a batch has ended
    seconds_left: float | None


def run(
    plan: Plan,
    out: Path,
    *,
    engine: generate.Runs,
    schedule: Schedule,
    folders: Folders,
    rejects: Sequence[Reject] = (),
    workers: int | None = None,
    kind: Kind = "folder",
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Make all pairs of the plan in `out` and return the page that is written to run.json.

    rejects: inputs that the inventory refused. workers: threads that decode and write (default: one a core, 8
    at most). kind: of the sink. Raises DegradeError (another plan or kind lies in `out`, no pair could be made, the
    disk is full), Interrupted.
    """
    require(kind)
    open_folder(out, plan, kind)
    sink = open_sink(kind, out)
    done = {
        shard: record
        for shard in range(len(plan.shards))
        if (record := records.read(out, plan.sha256, shard)) and sink.holds(shard, record.stems)
    }
    missing = [shard for shard in range(len(plan.shards)) if shard not in done]
    batches = [batch for shard in missing for batch in plan.shards[shard]]
    clock = Clock(plan, batches)

    def on_batch() -> None:
        clock.tick()
        if on_progress:
            on_progress(clock.progress())

    if on_progress:
        on_progress(clock.progress())
    pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1), thread_name_prefix="pairs")
    try:
        with stop_on_sigterm():
            loaded = loading.ahead(pool, batches, partial(loading.load, plan, folders))
            for shard in missing:
                record = generate.run(
                    plan,
                    shard,
                    engine=engine,
                    schedule=schedule,
                    folders=folders,
                    sink=sink,
                    pool=pool,
                    loaded=islice(loaded, len(plan.shards[shard])),
                    on_batch=on_batch,
                )
                sink.commit(shard, record.rows)
                records.write(out, record)
                done[shard] = record.sealed()
            return finish(plan, sink, out, [done[shard] for shard in range(len(plan.shards))], rejects)
    except KeyboardInterrupt:  # it may have come between a record's rename and `done`
        late = sum(records.read(out, plan.sha256, shard) is not None for shard in missing if shard not in done)
        raise Interrupted(len(done) + late, len(plan.shards)) from None
    except OSError as error:
        raise DegradeError(
            f"{error.filename or out} cannot be written ({error.strerror or error})",
            mend="make room or choose another folder; the same command goes on where this one stopped",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Clock:
    """Pairs, pairs a second and time left of one call.

    Batches are sorted by steps, so the last ones are the slowest: the time left goes by the work left, where
    a batch's work is its network steps and one more for all that is done once a pair.
    """

    def __init__(self, plan: Plan, batches: Sequence[Sequence[int]]) -> None:
        self._pairs = plan.options.pairs
        self._made = [0, *accumulate(len(batch) for batch in batches)]  # pairs after so many batches
        self._work = [0, *accumulate(1 + plan.steps(batch[-1]) for batch in batches)]
        self._ended, self._began = 0, time.perf_counter()

    def tick(self) -> None:
        """A batch has ended."""
        self._ended += 1

    def progress(self) -> Progress:
        """Where the run is now."""
        made, work = self._made[self._ended], self._work[self._ended]
        rate = seconds_left = None
        if made:
            elapsed = time.perf_counter() - self._began
            rate = made / max(elapsed, 1e-9)
            seconds_left = elapsed * (self._work[-1] - work) / work
        return Progress(self._pairs - self._made[-1] + made, self._pairs, rate, seconds_left)


def open_folder(out: Path, plan: Plan, kind: Kind) -> None:
    """Make `out` and put the plan's page there, or make sure that the page that lies there is this plan's.

    The sink stands on the page and not in the plan: it decides where pairs go, not which they are.
    """
    path, page = out / PLAN_JSON, {**plan.to_json(), SINK: kind}
    if path.is_file():
        before = parse_json(read_bytes(path), PLAN_JSON)
        said = plans.difference(before if isinstance(before, dict) else {}, page)
        if said:
            raise DegradeError(
                f"{out} holds a run with another plan: {said}",
                mend="repeat the options of that run to go on with it, or choose another output folder",
            )
        (out / "shards").mkdir(exist_ok=True)
        return
    if out.exists() and (not out.is_dir() or any(not one.name.startswith(".") for one in out.iterdir())):
        raise DegradeError(
            f"{out} is there and is not a run of ours", mend="choose another output folder, or empty it"
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json_atomic(path, page)  # first: a run killed right after it is known for ours
    (out / "shards").mkdir(exist_ok=True)


def finish(
    plan: Plan, sink: Sink, out: Path, done: Sequence[Record], rejects: Iterable[Reject]
) -> dict[str, Any]:
    """Write manifest, meta files, rejects and run.json, all in pair order; returns run.json's page."""
    rows = sorted((row for record in done for row in record.rows), key=lambda row: row["pair"])
    refused = unique(
        [reject.to_json() for reject in rejects] + [one for record in done for one in record.rejects]
    )
    sink.finish(rows, refused)
    page = summary(plan, rows, refused, done)
    write_json_atomic(out / RUN_JSON, page)
    if not rows:
        raise DegradeError(
            "not one pair could be made: every input turned out to be unusable",
            mend=f"see {out / 'rejects.jsonl'}",
        )
    return page


def unique(rejects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each refused input once, however many pairs had drawn it; inputs by role and path, then pairs by
    number.
    """
    found = {(one["role"], one["path"], one["reason"]): one for one in rejects}
    return [found[key] for key in sorted(found, key=lambda k: (k[0] == "pair", k[0], k[1].zfill(20), k[2]))]


def summary(
    plan: Plan, rows: Sequence[dict[str, Any]], rejects: Sequence[dict[str, Any]], done: Sequence[Record]
) -> dict[str, Any]:
    """run.json: what was made, what was left out, how fast."""
    seconds = {name: round(sum(record.seconds[name] for record in done), 3) for name in records.SECONDS}
    useful, executed = (
        sum(getattr(record, name) for record in done) for name in ("row_steps", "executed_row_steps")
    )
    return {
        "format": "degrade-engine/run/1",
        "plan": plan.sha256,
        "engine": plan.engine,
        "preset": label(plan.options),
        "pairs": len(rows),
        "pairs_asked": plan.options.pairs,
        "rejects": dict(sorted(Counter(f"{one['role']}: {one['reason']}" for one in rejects).items())),
        "row_steps": useful,
        "executed_row_steps": executed,
        "useful_share": round(useful / executed, 4) if executed else 1.0,
        "seconds": seconds,
        "pairs_per_second": round(len(rows) / seconds["wall"], 3) if seconds["wall"] else None,
    }


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """SIGTERM stops a run as Ctrl-C does. Only in the main thread: Python delivers signals nowhere else."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
