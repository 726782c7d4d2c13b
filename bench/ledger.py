"""An engine whose every act is written down: network calls, launches, copies, allocations, each with bytes and seconds.

    with watched(folder, ledger) as engine:
        ledger.clear()                       # networks and buffers are made; what follows is the batch's own
        engine.run(batch)
        ledger.count("launch")               # {"to_planar": 2, "tile": 2, "start": 1, "load": 5, …}

`Watched` stands between the sampler and its device, `WatchedPart` before each network; what they pass on is unchanged,
so the bytes made are the engine's own. The counts hold on every machine and for every backend, and guard the design in
tests/bench/test_counts.py. The seconds are those of the call: of the work itself on a CPU, of its launch on a GPU.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from degrade_engine.engine import backends
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import open_engine_part
from degrade_engine.engine.devices import Array, Device, Loop
from degrade_engine.engine.engine_spec import open_engine_spec
from degrade_engine.engine.executors import Executor

Act = Literal["allocate", "upload", "download", "launch", "network"]
R = TypeVar("R")

# What each kernel reads and writes once, as the .cu files count it; a name that comes twice is read and written.
# Tables and counters of a few bytes a row are left out.
MOVED: dict[str, tuple[str, ...]] = {
    "to_planar": ("images", "out"),
    "to_bytes": ("x", "out"),
    "start": ("x_start", "x"),
    "load": ("t", "t"),
    "update": ("x", "x", "eps", "x0_prev", "x0_prev"),
    "advance": ("step", "step"),
    "select": ("features_0", "target_0", "features_1", "target_1", "x"),
    "keep_first": ("x",),
    "gather": ("out", "out"),
    "kept_to_bytes": ("out",) * 5,  # it reads four bytes for each
    "tile": ("source", "out"),
    "cut": ("out", "out"),
    "blend": ("tiled", "out"),
}


@dataclass(frozen=True)
class Entry:
    """One act. name: of the kernel or the part, else ""; bytes: allocated, copied between host and device, or what a
    kernel moves; 0 for a network."""

    act: Act
    name: str
    bytes: int
    seconds: float


@dataclass
class Ledger:
    """The entries, in the order in which their acts began."""

    entries: list[Entry] = field(default_factory=list)

    def clear(self) -> None:
        """Forgets what was so far."""
        self.entries.clear()

    def count(self, act: Act) -> dict[str, int]:
        """How often, by name."""
        return dict(Counter(entry.name for entry in self.entries if entry.act == act))

    def bytes(self, act: Act) -> int:
        """Of all such acts."""
        return sum(entry.bytes for entry in self.entries if entry.act == act)

    def seconds(self, act: Act, *names: str) -> float:
        """Of all such acts; names: of these alone."""
        return sum(e.seconds for e in self.entries if e.act == act and (not names or e.name in names))

    def note(self, act: Act, name: str, nbytes: int, work: Callable[[], R]) -> R:
        """Does the work and writes it down."""
        began = time.perf_counter()
        result = work()
        self.entries.append(Entry(act, name, nbytes, time.perf_counter() - began))
        return result


class Watched:
    """A Device that writes down what it is asked for and lets another do it."""

    def __init__(self, device: Device, ledger: Ledger) -> None:
        self._device, self._ledger = device, ledger
        self.name, self.stream, self.overlaps = device.name, device.stream, device.overlaps

    @property
    def notes(self) -> tuple[str, ...]:
        return self._device.notes

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        buffer = self._device.allocate(shape, dtype)
        self._ledger.note("allocate", "", buffer.nbytes, lambda: None)
        return buffer

    def upload(self, buffer: Any, values: Array) -> None:
        self._ledger.note("upload", "", values.nbytes, lambda: self._device.upload(buffer, values))

    def download(self, *buffers: Any) -> tuple[Array, ...]:
        nbytes = sum(buffer.nbytes for buffer in buffers)
        return self._ledger.note("download", "", nbytes, lambda: self._device.download(*buffers))

    def fetch(self, *buffers: Any) -> Callable[[], tuple[Array, ...]]:
        nbytes = sum(buffer.nbytes for buffer in buffers)
        return self._ledger.note("download", "", nbytes, lambda: self._device.fetch(*buffers))

    def launch(self, kernel: str, **arguments: Any) -> None:
        nbytes = sum(arguments[name].nbytes for name in MOVED[kernel])
        self._ledger.note("launch", kernel, nbytes, lambda: self._device.launch(kernel, **arguments))

    def loop(self) -> Loop:
        return self._device.loop()

    def close(self) -> None:
        self._device.close()


class WatchedPart:
    """An Executor that writes down its runs under the part's name."""

    def __init__(self, name: str, executor: Executor, ledger: Ledger) -> None:
        self._name, self._executor, self._ledger = name, executor, ledger
        self.shapes, self.bind = executor.shapes, executor.bind

    def enqueue(self, stream: Any = None) -> None:
        self._ledger.note("network", self._name, 0, lambda: self._executor.enqueue(stream))


def under_watch(device: Device, executors: dict[str, Executor], ledger: Ledger) -> tuple[Device, dict[str, Executor]]:
    """Both, with everything written into the ledger."""
    parts: dict[str, Executor] = {name: WatchedPart(name, one, ledger) for name, one in executors.items()}
    return cast(Device, Watched(device, ledger)), parts  # cast: its notes can be read and not set


@contextmanager
def watched(folder: Path, ledger: Ledger, threads: int | None = None) -> Iterator[Engine]:
    """`Engine.open`, with everything written into the ledger. Raises as it does."""
    spec = open_engine_spec(folder)
    own = backends.named(spec.key.backend).device(threads)
    try:
        device, parts = under_watch(
            own, {name: open_engine_part(folder, spec, name, own, threads=threads) for name in spec.parts}, ledger
        )
        yield Engine(folder, spec, device, parts)
    finally:
        own.close()
