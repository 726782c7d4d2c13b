"""One shard of a run: `run(plan, shard)` is a pure function of the plan and the shard's number.

Decode, engine, encode and write overlap: a pool of threads loads the coming batches and writes the past ones
while the engine works on this one. Nothing is decided on the way but which photographs were unusable, and
that is settled before a batch is formed: a pair without inputs keeps its rows as padding, so its neighbours'
bytes do not change.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from . import inputs as loading
from . import records
from .inputs import Folders, Inputs, Outcome, Reject
from .plan import Plan
from .records import Record
from .sampler import Batch, BatchResult
from .schedule import Schedule, table
from .sink import stem_of

Pixels = NDArray[np.uint8]


class Runs(Protocol):
    """The part of `Engine` that is used here. hr_scale: HR over LR where the networks read the HR itself."""

    @property
    def hr_scale(self) -> int | None: ...

    def run(
        self, batch: Batch, *, filter: bool = True, candidates: int | None = None, inspect: bool = True
    ) -> BatchResult: ...


class Sink(Protocol):
    """The part of `FolderSink` that is used here: images, each written whole or not at all."""

    def write(self, stem: str, gt: Pixels, lq: Pixels) -> None: ...
    def write_extra(self, name: str, pixels: Pixels) -> None: ...


def run(
    plan: Plan,
    shard: int,
    *,
    engine: Runs,
    schedule: Schedule,
    folders: Folders,
    sink: Sink,
    pool: Executor,
    loaded: Iterator[list[Outcome]] | None = None,
    on_batch: Callable[[], None] | None = None,
) -> Record:
    """Make the pairs of a shard and write their images; the caller commits the record that comes back.

    loaded: the outcomes of this shard's batches, where the caller reads ahead over several shards. on_batch
    is called after each batch.
    """
    began = time.perf_counter()
    seconds = dict.fromkeys(records.SECONDS, 0.0)
    if loaded is None:
        loaded = loading.ahead(pool, plan.shards[shard], partial(loading.load, plan, folders))
    writes: deque[Future[float]] = deque()
    rows, rejects, row_steps, executed = [], [], 0, 0
    for outcomes in loaded:
        seconds["decode"] += sum(outcome.seconds for outcome in outcomes)
        rejects += [reject for outcome in outcomes for reject in outcome.rejects]
        if any(outcome.inputs for outcome in outcomes):
            started = time.perf_counter()
            result = engine.run(
                assemble(plan, schedule, outcomes, reads_hr=engine.hr_scale is not None), filter=plan.options.filter,
                candidates=plan.options.candidates, inspect=plan.options.save_candidates,
            )  # fmt: skip
            seconds["engine"] += time.perf_counter() - started
            row_steps, executed = row_steps + result.row_steps, executed + result.executed_row_steps
            for at, outcome in enumerate(outcomes):
                if outcome.inputs is None:
                    continue
                kept = choose(plan, result, at)
                if kept is None:
                    rejects.append(_not_finite(outcome.pair))
                    continue
                figures = (result.degradation_error, result.content_error, result.score)
                errors, content, score = (one[: plan.options.candidates, at].tolist() for one in figures)
                rows.append(records.row(plan, outcome.inputs, errors, content, score, kept))
                writes.append(pool.submit(write_pair, plan, sink, outcome.inputs, result, at))
        while len(writes) > 2 * plan.batch:
            seconds["write"] += writes.popleft().result()
        if on_batch:
            on_batch()
    seconds["write"] += sum(future.result() for future in writes)
    seconds["wall"] = time.perf_counter() - began
    return Record(
        shard=shard,
        plan=plan.sha256,
        rows=rows,
        rejects=[reject.to_json() for reject in rejects],
        row_steps=row_steps,
        executed_row_steps=executed,
        seconds={name: round(value, 3) for name, value in seconds.items()},
    )


def assemble(plan: Plan, schedule: Schedule, outcomes: Sequence[Outcome], reads_hr: bool = False) -> Batch:
    """A batch for the engine. A pair without inputs is black and not valid: rows kept as padding. reads_hr: the engine
    wants the HR itself, too."""
    size, n, options = plan.lr_size, len(outcomes), plan.options
    content, reference, start = (np.zeros((n, size, size, 3), np.uint8) for _ in range(3))
    hr = np.zeros((n, plan.hr_size, plan.hr_size, 3), np.uint8) if reads_hr else None
    for at, outcome in enumerate(outcomes):
        if outcome.inputs is not None:
            content[at] = outcome.inputs.content
            if outcome.inputs.reference is not None:
                reference[at] = outcome.inputs.reference
            if outcome.inputs.start is not None:
                start[at] = outcome.inputs.start
            if hr is not None:
                hr[at] = outcome.inputs.gt
    taus = [plan.taus[outcome.pair] for outcome in outcomes]
    return Batch(
        content=content,
        reference=reference if plan.reference else None,
        start=None if options.start == "reconstruction" else start,
        pairs=np.array([outcome.pair for outcome in outcomes], np.uint32),
        tables=[
            table(schedule, options.solver, tau, options.steps, options.eta, spacing=options.spacing) for tau in taus
        ],
        seed=options.seed,
        valid=np.array([outcome.inputs is not None for outcome in outcomes]),
        hr=hr,
        fusion_weight=options.fusion_weight,
    )


def choose(plan: Plan, result: BatchResult, at: int) -> int | None:
    """Which candidate was kept of the batch's pair `at`; None where it is not all numbers (the networks broke)."""
    kept = int(result.kept[at])
    good = np.isfinite(result.score[kept, at]) if plan.options.filter else result.finite[at]
    return kept if good else None


def write_pair(plan: Plan, sink: Sink, inputs: Inputs, result: BatchResult, at: int) -> float:
    """Write the images of a pair; returns the seconds it took one thread."""
    began = time.perf_counter()
    stem = stem_of(inputs.draw.pair)
    if plan.options.save_candidates:
        if inputs.reference is not None:
            sink.write_extra(f"reference/{stem}", inputs.reference)
        sink.write_extra(f"start/{stem}", result.start[at])
        for k in range(plan.options.candidates):
            sink.write_extra(f"candidate{k}/{stem}", result.candidates[k, at])
    sink.write(stem, inputs.gt, result.lr[at])
    return time.perf_counter() - began


def _not_finite(pair: int) -> Reject:
    return Reject("pair", str(pair), "not_finite", "the networks gave no finite candidate for this pair")
