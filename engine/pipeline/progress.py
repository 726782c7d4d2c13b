"""Pairs, pairs per second and time left of a run.

Batches are sorted by steps, so the last ones are the slowest: the time left goes by the work left, where a batch's
work is its network steps and one more for all that is done once a pair.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..plan import Plan
from .stages import Flow


@dataclass(frozen=True)
class Progress:
    """How far a run is. A pair is settled when it is written or rejected."""

    settled: int
    pairs: int
    pairs_per_second: float | None  # of this call; None until a batch has ended
    seconds_left: float | None
    flow: Flow | None = None  # None before the first batch
    made: int = 0  # pairs of this call
    bytes_per_pair: float | None = None  # on the disk, of the pairs that this process has encoded


class Clock:
    """Counts batches as they end, and shards that another process has made. missing: the shards that were to be made
    when this call began."""

    def __init__(self, plan: Plan, missing: Sequence[int]) -> None:
        self._plan = plan
        self._settled = plan.options.pairs - sum(self._pairs_of(shard) for shard in missing)
        self._work = {shard: self._work_of(shard) for shard in missing}
        self._left, self._done, self._made = sum(self._work.values()), 0, 0
        self._began = time.perf_counter()

    def batch(self, pairs: Sequence[int]) -> None:
        """A batch of this process has ended."""
        self._count(len(pairs), 1 + self._plan.steps(pairs[-1]))

    def elsewhere(self, shard: int) -> None:
        """A shard that was missing has been committed by another process."""
        self._count(self._pairs_of(shard), self._work[shard])

    def _count(self, pairs: int, work: int) -> None:
        self._made, self._settled = self._made + pairs, self._settled + pairs
        self._done, self._left = self._done + work, self._left - work

    def progress(self, flow: Flow | None = None, bytes_per_pair: float | None = None) -> Progress:
        """Where the run is now."""
        rate = seconds_left = None
        if self._made:
            elapsed = time.perf_counter() - self._began
            rate = self._made / max(elapsed, 1e-9)
            seconds_left = elapsed * self._left / max(self._done, 1)
        return Progress(self._settled, self._plan.options.pairs, rate, seconds_left, flow, self._made, bytes_per_pair)

    def _pairs_of(self, shard: int) -> int:
        first, last = self._plan.shard_range(shard)
        return last - first

    def _work_of(self, shard: int) -> int:
        first, last = self._plan.shard_range(shard)
        ends = np.minimum(np.arange(first, last, self._plan.batch) + self._plan.batch, last) - 1
        return int((1 + self._plan.all_steps.values[self._plan.order.values[ends]].astype(np.int64)).sum())
