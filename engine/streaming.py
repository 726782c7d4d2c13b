"""The pairs of a plan one after another, without a disk: for a training loop that takes each pair once.

A pair is what `generate` would write under its number: the same pixels, the same row. Nothing is sorted over all pairs,
so there may be as many as there are numbers. A window of pairs is, so that the rows of a batch end together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .columns import Column
from .draws import taus
from .errors import DegradeError
from .inputs import loading
from .inputs.decoded import Decoded
from .inputs.photographs import Reject
from .pipeline import records
from .pipeline.batches import Batches, Results
from .pipeline.generate import choose
from .pipeline.stages import Stages
from .plan import BOUNDS, Plan
from .planning import Order, Planned, make_plan
from .sampling.batch import BatchResult
from .schedule import Schedule

if TYPE_CHECKING:
    from .runners.job import Described

MOST = BOUNDS["pairs"][1]
WINDOW = 64  # pairs that are sorted by their steps
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """A pair as it was made. lq: uint8 [h, w, 3], gt: uint8 [H, W, 3], both RGB; number: in the plan; row: of the
    manifest."""

    number: int
    lq: Pixels
    gt: Pixels
    row: dict[str, Any]

    @property
    def name(self) -> str:
        """What its files would be called."""
        return str(self.row["name"])


@dataclass(frozen=True)
class Streamed:
    """A plan to be streamed. Iterating begins at its first number each time, and opens the engine for itself: another
    process may do so, too."""

    planned: Planned
    order: Order
    numbers: range
    threads: int | None = None
    on_reject: Callable[[Reject], None] | None = None

    def __iter__(self) -> Iterator[Pair]:
        with ExitStack() as stack:
            engine, schedule = self._opened(stack)
            plan = _Endless.of(self.planned.plan)
            made = Batches(plan, engine, schedule)
            stages = stack.enter_context(Stages(self.threads or min(8, os.cpu_count() or 1), behind=1))
            load = partial(loading.load, plan, self.planned.sources.folders, Decoded())
            window = list[tuple[Sequence[loading.Outcome], Results]]()
            for last, outcomes, done in made.run(stages.read(self._batches(plan), load), stages.timed):
                window.append((outcomes, done))
                if last:
                    yield from self._window(plan, made, window)
                    window = []

    def _opened(self, stack: ExitStack) -> tuple[Any, Schedule]:
        if self.order.engine is None:
            from .sampling.starts import StartEngine

            return StartEngine(), Schedule()
        from .api import Engine

        order = self.order
        assert order.engine is not None
        engine = stack.enter_context(
            Engine.open(order.engine, threads=self.threads, lr_size=order.lr_size, tile_overlap=order.tile_overlap)
        )
        return engine, engine.spec.schedule

    def _batches(self, plan: Plan) -> Iterator[tuple[bool, Sequence[int]]]:
        """Batches, and whether each is the last of its window."""
        size, numbers = max(1, WINDOW // plan.batch) * plan.batch, iter(self.numbers)
        while some := sorted(islice(numbers, size), key=plan.steps):
            for at in range(0, len(some), plan.batch):
                yield at + plan.batch >= len(some), some[at : at + plan.batch]

    def _window(
        self, plan: Plan, made: Batches, results: Sequence[tuple[Sequence[loading.Outcome], Results]]
    ) -> Iterator[Pair]:
        """Its pairs by their numbers. Raises DegradeError where a whole window of some size has none."""
        pairs, rejects, asked = list[Pair](), list[Reject](), 0
        for outcomes, done in results:
            asked += len(outcomes)
            rejects += [one for outcome in outcomes for one in outcome.rejects] + done.rejects
            pairs += [pair for one in done.pairs if (pair := _pair(plan, *one)) is not None]
        made.check(pairs, rejects)
        for reject in rejects:
            if self.on_reject:
                self.on_reject(reject)
        if not pairs and asked >= WINDOW:
            last = f" (the last: {rejects[-1].detail})" if rejects else ""
            raise DegradeError(f"of {asked} pairs in succession none could be made{last}", mend="see the photographs")
        yield from sorted(pairs, key=lambda one: one.number)


def stream(
    order: Order, *, first: int = 0, every: int = 1, count: int | None = None, threads: int | None = None,
    on_reject: Callable[[Reject], None] | None = None,
) -> Streamed:  # fmt: skip
    """The pairs first, first + every, … of an order whose `pairs` need not be given; count of them, or all that there
    are numbers for. Photographs are looked at here. Raises DegradeError."""
    for name, value, least in (("first", first, 0), ("every", every, 1), ("count", count, 0)):
        if value is not None and (type(value) is not int or value < least):
            raise DegradeError(f"{name} is {value!r}", wanted=f"a whole number of at least {least}")
    described: Described | None = None
    if order.engine is not None:
        from .runners.job import Described as Page

        described = Page.read(order.engine, order.lr_size, order.tile_overlap)
    shown = replace(order, pairs=None if order.pair_list else 1, shard_pairs=1, save_candidates=False)
    planned = make_plan(shown, described)
    last = MOST if planned.plan.listed is None else len(planned.plan.listed)
    last = last if count is None else min(last, first + every * count)
    return Streamed(planned, order, range(first, last, every), threads, on_reject)


def _pair(plan: Plan, inputs: loading.Inputs, result: BatchResult, at: int) -> Pair | None:
    """None where the networks gave nothing finite."""
    kept = choose(plan, result, at)
    if kept is None:
        return None
    figures = (result.degradation_error, result.content_error, result.score)
    degradation, content, score = (one[:, at].tolist() for one in figures)
    row = records.row(plan, inputs, degradation, content, score, kept)
    return Pair(inputs.draw.pair, np.array(result.lr[at]), np.array(inputs.gt), row)


class _Taus(Column):
    """The tau of every pair, drawn when it is asked for."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(np.zeros(0, np.int16))
        self._seed, self._tau = plan.options.seed, plan.options.recipe.tau

    def __len__(self) -> int:
        return MOST

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[int, ...]: ...
    def __getitem__(self, at: int | slice) -> int | tuple[int, ...]:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(MOST)[at])
        return int(taus(self._seed, self._tau, at, 1)[0])


class _Endless(Plan):
    """A plan that holds nothing for each of its pairs."""

    @classmethod
    def of(cls, plan: Plan) -> _Endless:
        return cls(**{one.name: getattr(plan, one.name) for one in fields(Plan)})

    @property
    def taus(self) -> Column:
        return _Taus(self)
