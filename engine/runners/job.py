"""A run as a worker process needs it: plain values that can be sent to a process or another machine, which opens the
engine for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine_spec import EngineSpec, sealed_engine_spec
from ..inputs.loading import Folders
from ..inputs.photographs import Reject
from ..objects import Out
from ..pipeline.stops import GRACE_SECONDS
from ..plan import Plan
from ..sampling.tiling import Grid, grid_of, pairs_a_batch
from ..schedule import Schedule
from ..sinks import Output
from .claims import LEASE_S


@dataclass(frozen=True)
class Described:
    """What planning asks of an engine, by its page alone: the machine that plans need not be able to run it."""

    spec: EngineSpec
    grid: Grid | None

    @classmethod
    def read(cls, folder: Path, lr_size: int | None = None, tile_overlap: int | None = None) -> Described:
        """As `Engine.open` would be at that size. Raises DegradeError."""
        spec = sealed_engine_spec(folder)
        return cls(spec, grid_of(lr_size, spec.lr_size, tile_overlap))

    @property
    def lr_size(self) -> tuple[int, int]:
        """(height, width) of the LR, in pixels."""
        return (self.spec.lr_size,) * 2 if self.grid is None else (self.grid.y.size, self.grid.x.size)

    @property
    def tile_overlap(self) -> int | None:
        """LR pixels that tiles share; None: the LR is one tile."""
        return None if self.grid is None else self.grid.overlap

    def pairs(self, candidates: int) -> int:
        """Pairs per batch, with so many candidates each."""
        return pairs_a_batch(self.spec.rows, candidates, self.grid)

    @property
    def sha256(self) -> str:
        """Names the engine in plans and manifests."""
        return self.spec.key_sha256


def on_a_gpu(engine: Path | None) -> bool:
    """Whether the engine in a folder runs on one; None: there are no networks. Raises DegradeError."""
    return engine is not None and sealed_engine_spec(engine).key.target is not None


@dataclass(frozen=True)
class Job:
    """What `runner.run` is told, but for the engine that it is given open.

    engine: its folder; None for a kind without networks. threads: of one process, None = one a core. All
    paths: as every process of the run reaches them.
    """

    plan: Plan
    out: Out
    folders: Folders
    rejects: tuple[Reject, ...] = ()
    engine: Path | None = None
    output: Output = Output()
    threads: int | None = None
    grace: float = GRACE_SECONDS
    lease_s: float = LEASE_S
    cwd: Path = field(default_factory=Path.cwd)  # where relative paths start

    @property
    def on_a_gpu(self) -> bool:
        """Whether its engine runs on one."""
        return on_a_gpu(self.engine)

    @property
    def terms(self) -> dict[str, Any] | None:
        """The licence of the engine's weights. Raises DegradeError."""
        return None if self.engine is None else sealed_engine_spec(self.engine).terms

    @contextmanager
    def opened(self) -> Iterator[tuple[Any, Schedule]]:
        """The engine, ready to run in this process, and its schedule. Raises DegradeError."""
        if self.engine is None:
            from ..sampling.starts import StartEngine

            yield StartEngine(), Schedule()
            return
        from ..api import Engine

        size, overlap = self.plan.lr_size, self.plan.options.tile_overlap
        with Engine.open(self.engine, threads=self.threads, lr_size=size, tile_overlap=overlap) as engine:
            yield engine, engine.spec.schedule
