"""The stages of a run and the bounded queues between them.

    read     threads        decode, crop, bring to LR size, start image     at most `ahead` batches before the engine
    engine   the caller's   features, denoise, filter                       one batch at a time
    write    threads        encode, write                                   at most `behind` pairs after the engine
    commit   one thread     a shard's record, once its pairs are written    one shard behind the one in the engine

So memory holds a few batches however long the run, and the engine waits for a shard's last image no more than for any
other. The thread that calls is always in one of three states: in the engine, waiting for inputs, waiting for room. The
seconds of each are kept, and say which stage limits the run. All clocks are monotonic.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ..errors import DegradeError
from ..freed import keep_freed
from .stops import Stopped

T = TypeVar("T")
Stage = Literal["read", "engine", "write"]
AHEAD = 2  # batches
LOOK_S = 0.1


@dataclass(frozen=True)
class Flow:
    """How the stages stand. Shares are of the caller's time since the first batch came, and add up to 1 or little less.

    busy      in the engine
    starved   waiting for inputs
    blocked   waiting for images to be written
    ready     batches that are decoded and wait, of at most `ahead`
    writing   pairs that are encoded or written or wait for it, of at most `behind`
    """

    busy: float
    starved: float
    blocked: float
    ready: int
    ahead: int
    writing: int
    behind: int

    @property
    def limit(self) -> Stage:
        """The stage that the others wait for."""
        shares: dict[Stage, float] = {"engine": self.busy, "read": self.starved, "write": self.blocked}
        return max(shares, key=lambda one: shares[one])


@dataclass(frozen=True)
class Mark:
    """A point in time, or what lies between two, in seconds."""

    wall: float
    stages: dict[Stage, float]


class Stages:
    """The threads of a run, for a `with` block. workers: of reading and of writing, each; behind: pairs."""

    def __init__(self, workers: int, behind: int, ahead: int = AHEAD) -> None:
        keep_freed()
        self._readers, self._writers, self._committer = (
            ThreadPoolExecutor(count, thread_name_prefix=name)
            for name, count in (("read", workers), ("write", workers), ("commit", 1))
        )
        self._waiting: deque[list[Future[Any]]] = deque()
        self._commits: deque[Future[Any]] = deque()
        self._ahead, self._behind = ahead, behind
        self._room = threading.Semaphore(behind)
        self._lock, self._writing = threading.Lock(), 0
        self._failure: BaseException | None = None
        self._seconds: dict[Stage, float] = dict.fromkeys(("read", "engine", "write"), 0.0)
        self._began: float | None = None
        self._before = 0.0

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """All that was handed over is committed, and what a commit raised is raised; but after an interrupt, or where
        the disk refuses, nothing that waits is begun. Nobody waits for what is being read, since nobody wants it any
        more, and after an interrupt for nothing: either may take as long as a file system that is away."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        try:
            while (kind is None or issubclass(kind, DegradeError)) and self._commits:
                with self.timed("write"):
                    self._commits.popleft().result()
        except BaseException as error:
            kind = kind or type(error)
            raise
        finally:
            for pool in (self._writers, self._committer):
                pool.shutdown(wait=kind is None or issubclass(kind, Exception), cancel_futures=True)

    def read(
        self, batches: Iterable[tuple[int, Sequence[int]]], load: Callable[[int], T], stop: object = None
    ) -> Iterator[tuple[int, list[T]]]:
        """(shard, what `load` makes of each pair) of (shard, pairs), in order, read ahead. Raises Stopped where `stop`
        becomes true while a batch is waited for."""
        shards: deque[int] = deque()
        for shard, pairs in batches:
            self._waiting.append([self._readers.submit(load, pair) for pair in pairs])
            shards.append(shard)
            if len(shards) > self._ahead:
                yield shards.popleft(), self._next(stop)
        while shards:
            yield shards.popleft(), self._next(stop)

    def _next(self, stop: object) -> list[Any]:
        with self.timed("read"):
            futures = self._waiting.popleft()
            while wait(futures, LOOK_S).not_done:
                if stop:
                    raise Stopped
            made = [future.result() for future in futures]
        if self._began is None:  # from here on the engine could be at work
            self._began, self._before = time.perf_counter(), self._seconds["read"]
        return made

    def write(self, task: Callable[..., float], *args: Any) -> Future[float]:
        """Hand over a pair, once there is room. Raises what an earlier task raised."""
        with self.timed("write"):
            self._room.acquire()
        if self._failure is not None:
            raise self._failure
        future = self._writers.submit(task, *args)
        with self._lock:
            self._writing += 1
        future.add_done_callback(self._written)
        return future

    def _written(self, future: Future[float]) -> None:
        with self._lock:
            self._writing -= 1
            if not future.cancelled():
                self._failure = self._failure or future.exception()
        self._room.release()

    def commit(self, task: Callable[..., object], *args: Any) -> None:
        """Commit a shard after those before it, waiting for the last but one. Raises what a commit raised."""
        self._commits.append(self._committer.submit(task, *args))
        while len(self._commits) > 1:
            with self.timed("write"):
                self._commits.popleft().result()

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """The caller's time in a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] += time.perf_counter() - began

    def mark(self) -> Mark:
        """The time, and the caller's seconds in each stage so far."""
        return Mark(time.perf_counter(), dict(self._seconds))

    def since(self, mark: Mark) -> Mark:
        """Seconds since then, in all and in each stage."""
        now = self.mark()
        return Mark(now.wall - mark.wall, {stage: now.stages[stage] - was for stage, was in mark.stages.items()})

    def flow(self) -> Flow:
        """How the stages stand now."""
        wall = max(time.perf_counter() - self._began, 1e-9) if self._began is not None else 1e-9
        spent = self._seconds | {"read": self._seconds["read"] - self._before}
        busy, starved, blocked = (min(1.0, spent[one] / wall) for one in ("engine", "read", "write"))
        ready = sum(all(future.done() for future in futures) for futures in tuple(self._waiting))
        return Flow(busy, starved, blocked, ready, self._ahead, self._writing, self._behind)
