"""A whole run: open the output folder, make the shards that are this process's, close the books.

Nothing here draws or decides; it calls `generate.run` for each shard and commits what comes back. A run that was
stopped in any way, the power cut included, goes on with the same call and ends with the same bytes.

Any number of processes may call `run` on one folder, on one machine or on several: each claims shards and makes them,
the last to see that all are done closes the books, and all return. A process alone is the same with nobody else there.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from .. import plan as plans
from ..artefact import parse_json, read_bytes, write_json_atomic
from ..errors import DegradeError
from ..inputs import loading as loading
from ..inputs.decoded import Decoded
from ..inputs.loading import Folders, Reject
from ..pipeline import generate, records
from ..pipeline.batches import Batches, Runs
from ..pipeline.progress import Clock, Progress
from ..pipeline.stages import Stages
from ..pipeline.stops import GRACE_SECONDS, Stop, listening
from ..plan import Plan
from ..schedule import Schedule
from ..sinks import Output, open_sink, require
from ..sinks.sink import Sink
from . import books
from .claims import FOLDER as CLAIMS
from .claims import LEASE_S, Claims
from .shares import POLL_S, Claimed, Share

PLAN_JSON = "plan.json"
RUN_JSON = "run.json"


class Interrupted(Exception):
    """A signal, SIGINT or SIGTERM: what is committed stays, the same call goes on. done of so many shards."""

    def __init__(self, done: int, shards: int, number: int = signal.SIGINT) -> None:
        super().__init__(done, shards, number)
        self.done, self.shards, self.number = done, shards, number


@dataclass(frozen=True)
class Run:
    """A run's folder, open. done: the shards that were found done; they are not looked for again. closed: which
    run.json lay there (`_identity`).
    """

    plan: Plan
    out: Path
    sink: Sink
    done: set[int]
    closed: tuple[int, int] | None = None

    def missing(self) -> list[int]:
        """The shards that are not done, in order."""
        return [shard for shard in range(len(self.plan.shards)) if shard not in self.done]

    def look(self, shard: int) -> bool:
        """Whether a shard is done: its record is whole and of this plan, and its pairs are there. Remembered."""
        if shard not in self.done:
            head = records.read(self.out, self.plan.sha256, shard)
            if head is None or not self.sink.holds(shard, head.stems):
                return False
            self.done.add(shard)
        return True


def run(
    plan: Plan,
    out: Path,
    *,
    engine: Runs,
    schedule: Schedule,
    folders: Folders,
    rejects: Sequence[Reject] = (),
    workers: int | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
    grace: float = GRACE_SECONDS,
    lease_s: float = LEASE_S,
    on_progress: Callable[[Progress], None] | None = None,
    on_stop: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Make all pairs of the plan in `out` and return the page that is written to run.json.

    rejects: inputs that the inventory refused. workers: threads that decode, and as many that write (default: one a
    core, 8 at most). output: how pairs are kept. grace: seconds in which a signal lets the batch in hand end.
    lease_s: see claims.py.

    Raises DegradeError (another plan or output lies in `out`, no pair could be made, the disk is full), Interrupted.
    """
    check_output(out, output)
    with Claims(out, lease_s) as claims:
        opened = open_run(plan, out, output, claims)
        clock = Clock(plan, opened.missing())

        def on_wait() -> None:
            if on_progress:
                on_progress(clock.progress())

        share = Claimed(opened.missing(), claims, opened.look, on_elsewhere=clock.elsewhere, on_wait=on_wait)
        with stopping(opened, grace, on_stop) as stop:
            while share.wait(stop):
                with share.forgiving():
                    make(opened, share, engine=engine, schedule=schedule, folders=folders, workers=workers,
                         on_progress=on_progress, stop=stop, clock=clock)  # fmt: skip
            return close(opened, claims, rejects, stop)


@contextmanager
def opening(out: Path, plan: Plan, output: Output, lease_s: float = LEASE_S) -> Iterator[None]:
    """Puts the plan's page into `out`; in the block no other process does. Raises DegradeError."""
    check_output(out, output)
    with refused_by_the_disk(out), Claims(out, lease_s) as claims, claims.alone("plan"):
        open_folder(out, plan, output)
        yield


def open_run(plan: Plan, out: Path, output: Output, claims: Claims) -> Run:
    """The folder of a run, made or gone on with, and which of its shards are done. Raises DegradeError."""
    with refused_by_the_disk(out):
        with claims.alone("plan"):
            open_folder(out, plan, output)
        opened = Run(plan, out, open_sink(output, out, claims.others), set(), _identity(out / RUN_JSON))
        for shard in range(len(plan.shards)):
            opened.look(shard)
    return opened


def make(
    opened: Run,
    share: Share,
    *,
    engine: Runs,
    schedule: Schedule,
    folders: Folders,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: Stop | None = None,
    clock: Clock | None = None,
) -> None:
    """Make the shards of a share and commit each. Raises generate.Stopped where `stop` became true, OSError, and
    DegradeError; the shards that were taken and not committed are then released.

    clock: counts what is made, for a caller that also counts what others make.
    """
    plan, sink = opened.plan, opened.sink
    clock = clock or Clock(plan, opened.missing())
    taken: dict[int, None] = {}

    def batches() -> Iterator[tuple[int, tuple[int, ...]]]:
        while not stop and (shard := share.take()) is not None:
            taken[shard] = None
            for batch in plan.shards[shard]:
                yield shard, batch

    def commit(draft: generate.Draft) -> None:
        record = draft.record()
        sink.commit(draft.shard, record.rows)
        records.write(opened.out, record)
        opened.done.add(draft.shard)
        taken.pop(draft.shard)
        share.committed(draft.shard)

    def on_batch(outcomes: Sequence[loading.Outcome]) -> None:
        clock.batch([outcome.pair for outcome in outcomes])
        if on_progress:
            on_progress(clock.progress(stages.flow()))

    if on_progress:
        on_progress(clock.progress())
    made = Batches(plan, engine, schedule)
    stages = Stages(workers or min(8, os.cpu_count() or 1), behind=2 * plan.batch)
    try:
        with stages, suppress(generate.Stopped):  # a run that stops still commits what is made
            loaded = stages.read(batches(), partial(loading.load, plan, folders, Decoded()))
            since = stages.mark()
            for shard, pieces in groupby(loaded, key=itemgetter(0)):
                if stop:
                    break
                draft = generate.run(
                    plan, shard, batches=made, sink=sink, stages=stages,
                    loaded=(outcomes for _, outcomes in pieces), on_batch=on_batch, since=since,
                    stop=stop,
                )  # fmt: skip
                stages.commit(commit, draft)
                since = stages.mark()
    finally:
        for shard in list(taken):
            share.release(shard)
    if stop:
        raise generate.Stopped


@contextmanager
def stopping(opened: Run, grace: float, on_stop: Callable[[int], None] | None = None) -> Iterator[Stop]:
    """What ends a run early, as what the caller sees: signals as Interrupted, a disk that refuses as DegradeError."""
    shards = len(opened.plan.shards)
    with listening(grace, on_stop) as stop, refused_by_the_disk(opened.out):
        try:
            yield stop
        except (generate.Stopped, KeyboardInterrupt):  # which may have come between a record's rename and `done`
            late = (records.read(opened.out, opened.plan.sha256, shard) for shard in opened.missing())
            done = len(opened.done) + sum(record is not None for record in late)
            raise Interrupted(done, shards, stop.signal or signal.SIGINT) from None


@contextmanager
def refused_by_the_disk(out: Path) -> Iterator[None]:
    """An OSError of the block as a DegradeError: full, read-only, gone."""
    try:
        yield
    except OSError as error:
        raise DegradeError(
            f"{error.filename or out} cannot be written ({error.strerror or error})",
            mend="make room or choose another folder; the same command goes on where this one stopped",
        ) from error


def check_output(out: Path, output: Output) -> None:
    """DegradeError where a library is missing, or for a folder that holds something and no run."""
    require(output.kind)
    if not out.exists():
        return
    strange = not out.is_dir() or any(not one.name.startswith(".") and one.name != CLAIMS for one in out.iterdir())
    if strange and not (out / PLAN_JSON).is_file():  # in this order: another process's plan comes before its files
        raise DegradeError(
            f"{out} is there and is not a run of ours", mend="choose another output folder, or empty it"
        )


def open_folder(out: Path, plan: Plan, output: Output) -> None:
    """Make `out` and put the plan's page there, or make sure that the page that lies there is this plan's.

    The output stands on the page and not in the plan: it decides how pairs are kept, not which they are.
    """
    path, page = out / PLAN_JSON, plan.to_json() | output.to_json()
    if path.is_file():
        before = parse_json(read_bytes(path), PLAN_JSON)
        usual = Output().facts()  # which a page leaves out
        said = plans.difference(usual | (before if isinstance(before, dict) else {}), page | (usual | page))
        if said:
            raise DegradeError(
                f"{out} holds a run with another plan: {said}",
                mend="repeat the options of that run to go on with it, or choose another output folder",
            )
        (out / "shards").mkdir(exist_ok=True)
        return
    check_output(out, output)
    out.mkdir(parents=True, exist_ok=True)
    write_json_atomic(path, page)  # first: a run killed right after it is known for ours
    (out / "shards").mkdir(exist_ok=True)


def close(opened: Run, claims: Claims, rejects: Iterable[Reject], stop: object = None) -> dict[str, Any]:
    """Close the books, unless another process of this run has or does: then wait for it. Returns run.json's page.

    Every shard has to be done, or `stop` true: then raises generate.Stopped. Raises DegradeError, OSError.
    """
    while stop or not claims.take("books"):
        if stop:
            raise generate.Stopped
        time.sleep(POLL_S)
    try:
        opened.sink.clean(claims.others)
        path = opened.out / RUN_JSON
        if _identity(path) in (None, opened.closed):
            page = finish(opened, rejects)
        else:
            page = parse_json(read_bytes(path), RUN_JSON)
        claims.sweep()
    finally:
        claims.release("books")
    if not page["pairs"]:
        raise DegradeError(
            "not one pair could be made: every input turned out to be unusable",
            mend=f"see {opened.out / 'rejects.jsonl'}",
        )
    return page


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells a file from what replaces it; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def finish(opened: Run, rejects: Iterable[Reject]) -> dict[str, Any]:
    """Write manifest, meta files, rejects and run.json, all in pair order; returns run.json's page. Every shard has
    to be done. Raises DegradeError, OSError."""
    plan, out, tally = opened.plan, opened.out, books.Tally()
    tally.refused(reject.to_json() for reject in rejects)
    rows = books.rows_in_order(plan, out, opened.sink.scratch, tally)
    opened.sink.finish(rows, tally.rejected())
    page = books.page(plan, tally)
    write_json_atomic(out / RUN_JSON, page)
    return page
