"""How far a run is, seen by a process that makes none of it: which shards have got their record."""

from __future__ import annotations

from collections.abc import Callable

from ..objects import Out
from ..objects import names as listed
from ..pipeline import records
from ..pipeline.progress import Clock, Progress
from ..plan import Plan


def committed(plan: Plan, out: Out) -> set[int]:
    """The shards that have a record, by the names alone. Raises OSError."""
    names = {records.shard_path(out, shard).name: shard for shard in range(len(plan.shards))}
    return {names[name] for name in listed(out / "shards") if name in names}


class Watch:
    """Counts the records in a run's folder. A look costs a listing of it, so it takes names for records."""

    def __init__(self, plan: Plan, out: Out, on_progress: Callable[[Progress], None] | None) -> None:
        self._plan, self._out = plan, out
        self._on_progress = on_progress
        self._done = committed(plan, out)
        self._clock = Clock(plan, sorted(set(range(len(plan.shards))) - self._done))
        self.look()

    def look(self) -> None:
        """Count what is new, and tell it."""
        for shard in committed(self._plan, self._out) - self._done:
            self._done.add(shard)
            self._clock.elsewhere(shard)
        if self._on_progress:
            self._on_progress(self._clock.progress())
