"""The engine's stage: inputs become a batch, the batch becomes results, and a pair that breaks the engine is found.

What an engine raises says nothing of which pair it was. So the batch is run again, once for each of its pairs, the
others as padding: the good ones get the bytes that they would have had, the bad ones are named, and the run goes on. An
engine that fails on pair after pair is itself broken, and must not cost a run its pairs: then it stops.

A GPU works by itself: the next batch is begun before the results of a batch are waited for, also where it is the next
shard's. On a CPU a batch has ended when it was begun, and is handed over at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from ..errors import DegradeError
from ..faults import no_memory, out_of_memory
from ..inputs.loading import Inputs, Outcome
from ..inputs.photographs import Reject
from ..plan import Plan
from ..sampling.batch import Batch, BatchResult, Begun
from ..schedule import Schedule
from .stops import Stopped

ENGINE_ERROR = "engine_error"
MOST_IN_SUCCESSION = 16  # pairs that may fail without one between them that does not
Key = TypeVar("Key")
Outcomes = Sequence[Outcome]
Timed = Callable[[Literal["engine"]], AbstractContextManager[None]]


class Runs(Protocol):
    """The part of `Engine` that is used here. hr_scale: HR over LR where the networks read the HR itself."""

    @property
    def hr_scale(self) -> int | None: ...

    def begin(
        self, batch: Batch, *, filter: bool = True, candidates: int | None = None, inspect: bool = True
    ) -> Begun: ...


@dataclass
class Results:
    """What came of a batch. pairs: (inputs, result, place in the result) of those that the engine made."""

    pairs: list[tuple[Inputs, BatchResult, int]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    row_steps: int = 0
    executed_row_steps: int = 0


class Batches:
    """Runs batch after batch of a plan."""

    def __init__(self, plan: Plan, engine: Runs, schedule: Schedule) -> None:
        self._plan, self._engine, self._schedule = plan, engine, schedule
        self._failed = 0  # pairs in succession

    def run(
        self, loaded: Iterable[tuple[Key, Outcomes]], timed: Timed, stop: object = None
    ) -> Iterator[tuple[Key, Outcomes, Results]]:
        """Batch after batch, in order: what it was called, what it was made of, and its results. timed: of `Stages`;
        stop: true where no further batch is to be begun. Raises DegradeError where too many pairs in succession failed,
        MachineFault where memory ran out: that is no pair's fault."""
        begun: deque[tuple[Key, Outcomes, Begun | Exception | None]] = deque()

        def handed_over() -> tuple[Key, Outcomes, Results]:
            key, outcomes, one = begun.popleft()
            with timed("engine"):
                return key, outcomes, self._ended(outcomes, one)

        for key, outcomes in _until_stopped(loaded, stop):
            with timed("engine"):
                begun.append((key, outcomes, self._begin(outcomes)))
            while len(begun) > 1 or begun and not _under_way(begun[0][2]):
                yield handed_over()
        while begun:
            yield handed_over()

    def check(self, rows: Sequence[Any], rejects: Sequence[Reject]) -> None:
        """Raises DegradeError for a shard of which the engine made nothing: it is not to be committed so."""
        last = next((one for one in reversed(rejects) if one.reason == ENGINE_ERROR), None)
        if not rows and last:
            raise self._broken(last)

    def _begin(self, outcomes: Outcomes) -> Begun | Exception | None:
        """None for a batch without inputs. What the engine raised is looked at when the batches before have ended."""
        options = self._plan.options
        if not any(outcome.inputs for outcome in outcomes):
            return None
        try:
            return self._engine.begin(
                assemble(self._plan, self._schedule, outcomes, reads_hr=self._engine.hr_scale is not None),
                filter=options.recipe.filter, candidates=options.recipe.candidates, inspect=options.save_candidates,
            )  # fmt: skip
        except Exception as error:  # whatever a network's runtime raises
            return error

    def _ended(self, outcomes: Outcomes, begun: Begun | Exception | None) -> Results:
        made = Results()
        try:
            self._add(made, outcomes, begun)
        except Exception as error:  # one by one, it says of whom
            if out_of_memory(error):
                raise no_memory(error) from error
            self._one_by_one(made, outcomes)
        return made

    def _one_by_one(self, made: Results, outcomes: Outcomes) -> None:
        for at, outcome in enumerate(outcomes):
            if outcome.inputs is None:
                continue
            alone = [one if n == at else Outcome(one.pair, None, (), 0.0) for n, one in enumerate(outcomes)]
            try:
                self._add(made, alone, self._begin(alone))
            except Exception as error:
                said = f"{type(error).__name__}: {str(error).strip()[:300]}"
                made.rejects.append(Reject("pair", str(outcome.pair), ENGINE_ERROR, said))
                self._failed += 1
                if self._failed >= MOST_IN_SUCCESSION:
                    raise self._broken(made.rejects[-1]) from error

    def _add(self, made: Results, outcomes: Outcomes, begun: Begun | Exception | None) -> None:
        if begun is None:
            return
        if isinstance(begun, Exception):
            raise begun
        result = begun.result()
        made.pairs += [(one.inputs, result, at) for at, one in enumerate(outcomes) if one.inputs is not None]
        made.row_steps += result.row_steps
        made.executed_row_steps += result.executed_row_steps
        self._failed = 0

    def _broken(self, last: Reject) -> DegradeError:
        return DegradeError(
            f"the engine fails on pair after pair, the last one {last.path} ({last.detail})",
            mend="`degrade-engine verify` says whether it still computes what it should; the same generate command "
            "continues",
        )


def _under_way(begun: Begun | Exception | None) -> bool:
    return isinstance(begun, Begun) and not begun.ready


def _until_stopped(loaded: Iterable[tuple[Key, Outcomes]], stop: object) -> Iterator[tuple[Key, Outcomes]]:
    """What is loaded, to where `stop` became true: what has been begun by then is still handed over."""
    with suppress(Stopped):
        for one in loaded:
            if stop:
                return
            yield one


def assemble(plan: Plan, schedule: Schedule, outcomes: Sequence[Outcome], reads_hr: bool = False) -> Batch:
    """A batch for the engine. A pair without inputs is black and not valid: rows kept as padding. reads_hr: the engine
    wants the HR itself, too."""
    size, n, recipe = plan.lr_size, len(outcomes), plan.options.recipe
    content, start = (np.zeros((n, size, size, 3), np.uint8) for _ in range(2))
    reference = np.zeros((n, recipe.references, size, size, 3), np.uint8)
    hr = np.zeros((n, plan.hr_size, plan.hr_size, 3), np.uint8) if reads_hr else None
    for at, outcome in enumerate(outcomes):
        if outcome.inputs is not None:
            content[at] = outcome.inputs.content
            if outcome.inputs.reference is not None:
                reference[at] = [outcome.inputs.reference, *outcome.inputs.others]
            if outcome.inputs.start is not None:
                start[at] = outcome.inputs.start
            if hr is not None:
                hr[at] = outcome.inputs.gt
    return Batch(
        content=content,
        reference=reference if plan.reference else None,
        start=None if recipe.start == "reconstruction" else start,
        pairs=np.array([outcome.pair for outcome in outcomes], np.uint32),
        tables=[recipe.table(schedule, plan.taus[outcome.pair]) for outcome in outcomes],
        seed=plan.options.seed,
        valid=np.array([outcome.inputs is not None for outcome in outcomes]),
        hr=hr,
        fusion_weight=recipe.fusion_weight,
        noise=recipe.noise,
        variety=recipe.variety,
        temperature=recipe.temperature,
    )
