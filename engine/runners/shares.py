"""Which shards of a run are this process's to make: a small object, so that several processes can share a run.

The pipeline asks a `Share` for one shard after the other. `Claimed` is that of every process, alone or not: it claims a
shard before it gives it out, and passes over those that others have made or are making.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from .claims import Claims

POLL_S = 0.25


class Share(Protocol):
    """The shards of one process. One thread asks and gives back, another may say what is committed."""

    def take(self) -> int | None:
        """The next shard to make; None where there is none left. Asked a few batches ahead of the engine."""

    def committed(self, shard: int) -> None:
        """The record of a shard that was taken is on the disk."""

    def release(self, shard: int) -> None:
        """A shard that was taken will not be made here after all: the run stops."""


class Claimed:
    """Those of the missing shards that this process gets hold of.

    look: whether a shard is done, whoever made it; sure=True: at this moment. on_elsewhere: is told each that another
    has made. on_wait: is called every POLL_S while all that is missing is others'. was_lost: a shard was given back
    that may be another's by now, since this process had been taken for dead.
    """

    def __init__(
        self, missing: Iterable[int], claims: Claims, look: Callable[..., bool], *,
        on_elsewhere: Callable[[int], None] = lambda _: None, on_wait: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._left, self._claims, self._look = deque(missing), claims, look
        self._held: list[int] = []  # by others, when they were asked for
        self._on_elsewhere, self._on_wait = on_elsewhere, on_wait
        self._next: int | None = None
        self.was_lost = False

    def take(self) -> int | None:
        if self._next is not None:
            shard, self._next = self._next, None
            return shard
        for _ in range(len(self._left)):
            shard = self._left.popleft()
            if self._look(shard):
                self._on_elsewhere(shard)
            elif not self._claims.take(str(shard)):
                self._jump(shard)
            elif self._look(shard, sure=True):  # its process has committed it between the two
                self._claims.release(str(shard))
                self._on_elsewhere(shard)
            else:
                return shard
        self._left.extend(self._held)
        self._held.clear()
        return None

    def _jump(self, shard: int) -> None:
        """Goes on elsewhere, where others are at work here: they would pass over one another's shards for each that
        they make. The shard is asked for again when no other is left, in case its process dies."""
        self._held.append(shard)
        if self._left:
            self._left.rotate(random.randrange(len(self._left)))

    def wait(self, stop: object = None) -> bool:
        """Whether there is a shard to take: waits until there is, until others have made all, or `stop` is true."""
        while self._left and not stop:
            self._next = self.take()
            if self._next is not None:
                return True
            self._on_wait()
            time.sleep(POLL_S)
        return False

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """Whoever took this process for dead removes what it was writing: what the disk then refuses is no fault, and
        the shard is waited for like any other's.
        """
        try:
            yield
        except OSError:
            if not self.was_lost:
                raise
            self.was_lost = False

    def committed(self, shard: int) -> None:
        self._claims.release(str(shard))

    def release(self, shard: int) -> None:
        self.was_lost = self.was_lost or self._claims.lost(str(shard))
        self._claims.release(str(shard))
        self._left.appendleft(shard)
