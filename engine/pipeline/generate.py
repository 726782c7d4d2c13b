"""One shard of a run: `run(plan, shard)` is a pure function of the plan and the shard's number.

What the engine made of its batches is handed to the writing stage, and the shard's record can be sealed when that has
written it (`Draft`). Nothing is decided on the way but which photographs were
unusable, and that is settled before a batch is formed: a pair without inputs keeps its rows as padding, so its
neighbours' bytes do not change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..inputs.loading import Inputs, Outcome
from ..inputs.photographs import Reject
from ..plan import Plan
from ..sampling.batch import BatchResult
from ..sinks.contract import stem_of
from . import records
from .batches import Batches, Results
from .records import Head, Record
from .stages import Mark, Stages
from .stops import Stopped

Pixels = NDArray[np.uint8]


class Sink(Protocol):
    """The part of `FolderSink` that is used here: images, each written whole or not at all."""

    def write(self, stem: str, gt: Pixels, lq: Pixels, gt_file: Path | None = None) -> None: ...
    def write_extra(self, name: str, pixels: Pixels) -> None: ...


@dataclass
class Draft:
    """A shard whose pairs have all gone through the engine; its images may still be on their way to the disk."""

    shard: int
    plan: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    row_steps: int = 0
    executed_row_steps: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(records.SECONDS, 0.0))
    writes: list[Future[float]] = field(default_factory=list)

    def record(self) -> Record:
        """The record, once every image is written. Raises what a writer raised."""
        self.seconds["write"] += sum(future.result() for future in self.writes)
        head = Head(
            shard=self.shard,
            plan=self.plan,
            pairs=[row["pair"] for row in self.rows],
            rejects=[reject.to_json() for reject in self.rejects],
            row_steps=self.row_steps,
            executed_row_steps=self.executed_row_steps,
            seconds={name: round(value, 3) for name, value in self.seconds.items()},
        )
        return Record(head, self.rows)


def run(
    plan: Plan,
    shard: int,
    *,
    batches: Batches,
    sink: Sink,
    stages: Stages,
    results: Iterable[tuple[int, Sequence[Outcome], Results]],
    on_batch: Callable[[Sequence[Outcome]], None],
    since: Mark,
) -> Draft:
    """Hand the images of a shard over to be written.

    results: of its batches, from `batches`. on_batch is called after each. since: when the shard before it was
    handed over; the wait for its first batch is this shard's. A shard of which results are lacking is given up
    (Stopped). Raises DegradeError where the engine fails on pair after pair.
    """
    draft, left = Draft(shard, plan.sha256), len(plan.shards[shard])
    for _, outcomes, made in results:
        left -= 1
        draft.seconds["decode"] += sum(outcome.decode_s for outcome in outcomes)
        draft.seconds["degrade"] += sum(outcome.degrade_s for outcome in outcomes)
        draft.rejects += [reject for outcome in outcomes for reject in outcome.rejects]
        draft.row_steps += made.row_steps
        draft.executed_row_steps += made.executed_row_steps
        draft.rejects += made.rejects
        for inputs, result, at in made.pairs:
            if (kept := choose(plan, result, at)) is None:
                draft.rejects.append(_not_finite(inputs.draw.pair))
                continue
            figures = (result.degradation_error, result.content_error, result.score)
            errors, content, score = (one[:, at].tolist() for one in figures)
            draft.rows.append(records.row(plan, inputs, errors, content, score, kept))
            draft.writes.append(stages.write(write_pair, plan, sink, inputs, result, at))
        on_batch(outcomes)
    if left:
        raise Stopped
    batches.check(draft.rows, draft.rejects)
    spent = stages.since(since)
    draft.seconds |= {
        "wall": spent.wall, "engine": spent.stages["engine"], "starved": spent.stages["read"],
        "blocked": spent.stages["write"],
    }  # fmt: skip
    return draft


def choose(plan: Plan, result: BatchResult, at: int) -> int | None:
    """Which candidate was kept of the batch's pair `at`; None where it is not all numbers (the networks broke)."""
    kept = int(result.kept[at])
    good = np.isfinite(result.score[kept, at]) if plan.options.recipe.filter else result.finite[at]
    return kept if good else None


def write_pair(plan: Plan, sink: Sink, inputs: Inputs, result: BatchResult, at: int) -> float:
    """Write the images of a pair; returns the seconds it took one thread."""
    began = time.perf_counter()
    stem = stem_of(inputs.draw.pair, plan.options.name_prefix)
    if plan.options.save_candidates:
        if inputs.reference is not None:
            sink.write_extra(f"reference/{stem}", inputs.reference)
        sink.write_extra(f"start/{stem}", result.start[at])
        for k in range(plan.options.recipe.candidates):
            sink.write_extra(f"candidate{k}/{stem}", result.candidates[k, at])
    sink.write(stem, inputs.gt, result.lr[at], inputs.gt_file)
    return time.perf_counter() - began


def _not_finite(pair: int) -> Reject:
    return Reject("pair", str(pair), "not_finite", "the networks gave no finite candidate for this pair")
