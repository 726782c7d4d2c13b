"""A whole run: open the output folder, make the shards that are this process's, close the books.

Nothing here draws or decides; it calls `generate.run` for each shard and commits what comes back. A run that was
stopped in any way, the power cut included, goes on with the same call and ends with the same bytes.

Any number of processes may call `run` on one folder, on one machine or on several: each claims shards and makes them,
the last to see that all are done closes the books, and all return. A single process is the same case without peers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, islice
from typing import Any

from ..artefact import parse_json, read_bytes, write_json_atomic
from ..errors import DegradeError
from ..inputs import loading
from ..inputs.decoded import Decoded
from ..inputs.loading import Folders
from ..inputs.photographs import Reject
from ..objects import Out
from ..pipeline import generate
from ..pipeline.batches import Batches, Runs
from ..pipeline.progress import Clock, Progress
from ..pipeline.stages import Stages
from ..pipeline.stops import GRACE_SECONDS, Stop, Stopped, listening
from ..plan import Plan
from ..schedule import Schedule
from ..sinks import Output, card
from ..sinks.durable import sync
from . import books
from .claims import LEASE_S, Claims
from .object_claims import claiming
from .run_folder import RUN_JSON, RunFolder, check_output, identity, open_run, refused_by_the_disk
from .shares import POLL_S, Claimed, Share
from .watch import committed


class Interrupted(Exception):
    """SIGINT or SIGTERM stopped the run; the same call continues it. pairs: of the shards that are committed (done), of
    all that were asked for."""

    def __init__(self, pairs: int, asked: int, done: int, shards: int, number: int = signal.SIGINT) -> None:
        super().__init__(pairs, asked, done, shards, number)
        self.pairs, self.asked, self.done, self.shards, self.number = pairs, asked, done, shards, number

    def __str__(self) -> str:
        return (
            f"Stopped. {self.pairs} of {self.asked} pairs are committed ({self.done} of {self.shards} shards); pairs "
            "of an unfinished shard are made again. Run the same command to continue."
        )


def run(
    plan: Plan,
    out: Out,
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
    terms: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make all pairs of the plan in `out` and return the page that is written to run.json.

    rejects: inputs that the inventory refused. workers: threads that decode, and as many that write (default: one a
    core, 8 at most). output: how pairs are kept. grace: seconds in which a signal lets the batch in hand end.
    lease_s: see claims.py. terms: of the engine's weights, `EngineSpec.terms`.

    Raises DegradeError (another plan or output lies in `out`, no pair could be made, the disk is full), Interrupted.
    """
    with stopping(plan, out, grace, on_stop) as stop:
        check_output(out, output)
        with claiming(out, lease_s) as claims:
            opened = open_run(plan, out, output, claims)
            clock = Clock(plan, opened.missing())

            def on_wait() -> None:
                if on_progress:
                    on_progress(clock.progress())

            share = Claimed(opened.missing(), claims, opened.glance, on_elsewhere=clock.elsewhere, on_wait=on_wait)
            while share.wait(stop):
                with share.forgiving():
                    make(opened, share, engine=engine, schedule=schedule, folders=folders, workers=workers,
                         on_progress=on_progress, stop=stop, clock=clock)  # fmt: skip
            return close(opened, claims, rejects, stop, terms)


def make(
    opened: RunFolder,
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
    """Make the shards of a share and commit each. Raises Stopped where `stop` became true, OSError, and
    DegradeError; the shards that were taken and not committed are then released.

    clock: counts what is made, for a caller that also counts what others make.
    """
    plan = opened.plan
    clock = clock or Clock(plan, opened.missing())
    taken: dict[int, None] = {}

    def batches() -> Iterator[tuple[int, tuple[int, ...]]]:
        while not stop and (shard := share.take()) is not None:
            taken[shard] = None
            for batch in plan.shards[shard]:
                yield shard, batch

    def commit(draft: generate.Draft) -> None:
        opened.commit(draft)
        taken.pop(draft.shard)
        share.committed(draft.shard)

    def on_batch(outcomes: Sequence[loading.Outcome]) -> None:
        clock.batch([outcome.pair for outcome in outcomes])
        if on_progress:
            on_progress(clock.progress(stages.flow(), opened.sink.bytes_per_pair))

    if on_progress:
        on_progress(clock.progress())
    made = Batches(plan, engine, schedule)
    stages = Stages(workers or min(8, os.cpu_count() or 1), behind=2 * plan.batch)
    try:
        with stages, suppress(Stopped):  # a run that stops still commits what is made
            loaded = stages.read(batches(), partial(loading.load, plan, folders, Decoded()), stop)
            results = made.run(loaded, stages.timed, stop)
            since = stages.mark()
            for first in results:
                shard, *_ = first
                draft = generate.run(
                    plan, shard, batches=made, sink=opened.sink, stages=stages, on_batch=on_batch, since=since,
                    results=chain([first], islice(results, len(plan.shards[shard]) - 1)),
                )  # fmt: skip
                stages.commit(commit, draft)
                since = stages.mark()
    finally:
        for shard in list(taken):
            share.release(shard)
    if stop:
        raise Stopped


@contextmanager
def stopping(plan: Plan, out: Out, grace: float, on_stop: Callable[[int], None] | None = None) -> Iterator[Stop]:
    """What ends a run early, as what the caller sees: signals as Interrupted, a disk that refuses as DegradeError."""
    with listening(grace, on_stop) as stop, refused_by_the_disk(out):
        try:
            yield stop
        except (Stopped, KeyboardInterrupt):
            done = set[int]()
            with suppress(OSError, DegradeError):  # there is none yet, or it is gone
                done = committed(plan, out)
            pairs = sum(last - first for first, last in map(plan.shard_range, done))
            number = stop.signal or signal.SIGINT
            raise Interrupted(pairs, plan.options.pairs, len(done), len(plan.shards), number) from None


def close(
    opened: RunFolder,
    claims: Claims,
    rejects: Iterable[Reject],
    stop: object = None,
    terms: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Close the books, unless another process of this run has or does: then wait for it. Returns run.json's page.

    Every shard has to be done, or `stop` true: then raises Stopped. Raises DegradeError, OSError.
    """
    path = opened.out / RUN_JSON
    page: dict[str, Any] | None = None
    while page is None:
        while stop or not claims.take("books"):
            if stop:
                raise Stopped
            time.sleep(POLL_S)
        try:
            opened.sink.clean(claims.others)
            there = identity(path) not in (None, opened.closed)
            page = parse_json(read_bytes(path), RUN_JSON) if there else None
            if page is None or page.get("plan") != opened.plan.sha256:  # none, or of the set before it grew
                page = finish(opened, rejects, terms)
            claims.sweep()
        except (OSError, DegradeError):
            # Of two that close the books one had slept and was taken for dead: either may find gone what it needs.
            if not claims.lost("books") and identity(path) in (None, opened.closed):
                raise
        finally:
            claims.release("books")
    if not page["pairs"]:
        raise DegradeError(
            "no pair could be made: every photograph was unusable",
            mend=f"see {opened.out / 'rejects.jsonl'}",
        )
    return page


def finish(opened: RunFolder, rejects: Iterable[Reject], terms: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write manifest, meta files, rejects, the card and run.json, all in pair order; returns run.json's page. Every
    shard has to be done. Raises DegradeError, OSError."""
    plan, out, tally = opened.plan, opened.out, books.Tally()
    tally.refused(reject.to_json() for reject in rejects)
    rows = books.rows_in_order(plan, out, opened.sink.scratch, tally)
    opened.sink.finish(rows, tally.rejected())
    page = books.page(plan, tally, terms)
    card.write(out, opened.output, plan, page)
    write_json_atomic(out / RUN_JSON, page)
    sync(out)
    return page
