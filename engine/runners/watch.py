"""How far a run is, seen by a process that makes none of it: which shards have got their record."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..pipeline import records
from ..pipeline.progress import Clock, Progress
from ..plan import Plan


class Watch:
    """Counts the records in a run's folder. A look costs a listing of it, so it takes names for records."""

    def __init__(self, plan: Plan, out: Path, on_progress: Callable[[Progress], None] | None) -> None:
        self._names = {records.shard_path(out, shard).name: shard for shard in range(len(plan.shards))}
        self._folder = out / "shards"
        self._on_progress = on_progress
        done = self._there()
        self._clock = Clock(plan, sorted(set(self._names.values()) - done))
        self._done = done
        self.look()

    @property
    def done(self) -> int:
        """Shards that have a record."""
        return len(self._done)

    def look(self) -> None:
        """Count what is new, and tell it."""
        for shard in self._there() - self._done:
            self._done.add(shard)
            self._clock.elsewhere(shard)
        if self._on_progress:
            self._on_progress(self._clock.progress())

    def _there(self) -> set[int]:
        return {self._names[name] for name in os.listdir(self._folder) if name in self._names}
