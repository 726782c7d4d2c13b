"""Which shards of a run are this process's to make: a small object, so that several processes can share a run.

A process alone makes all that are missing (`Alone`). Processes that share an output folder each have a share that
claims a shard before it is given out; the pipeline is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Share(Protocol):
    """The shards of one process. One thread asks and gives back, another may say what is committed."""

    def take(self) -> int | None:
        """The next shard to make; None where there is none left. Asked a few batches ahead of the engine."""

    def committed(self, shard: int) -> None:
        """The record of a shard that was taken is on the disk."""

    def release(self, shard: int) -> None:
        """A shard that was taken will not be made here after all: the run stops."""


class Alone:
    """All of these shards, in their order."""

    def __init__(self, missing: Iterable[int]) -> None:
        self._missing = iter(missing)

    def take(self) -> int | None:
        return next(self._missing, None)

    def committed(self, shard: int) -> None:
        """Nothing is to be told to anybody."""

    def release(self, shard: int) -> None:
        """Nothing is to be told to anybody."""
