"""Who makes a plan's pairs: this process, one a GPU or several that share the CPU, or actors on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..cores import cores
from ..errors import DegradeError
from ..objects import Out
from ..pipeline.progress import Progress
from ..pipeline.stops import GRACE_SECONDS
from ..planning import Order, Planned
from ..schedule import Schedule
from ..sinks import Output
from .claims import LEASE_S

if TYPE_CHECKING:
    from ..api import Engine
    from .job import Described, Job

Runner = Literal["local", "ray"]
Finished = tuple[dict[str, Any], tuple[str, ...]]  # run.json's page, and the notes of the engine


@dataclass(frozen=True)
class Workers:
    """Who makes the pairs; nothing of it changes a byte. The names are those of the options of `generate`.

    threads        of each process; None: as many as there are cores
    processes      worker processes that share the CPU's cores; None: this process alone
    devices        numbers of GPUs, a worker process each
    runner         "ray": ray_actors actors on the cluster at ray_address, whose nodes reach all paths as this one does
    lease_s        seconds without a sign of life after which a process on another machine counts as dead
    grace          seconds in which a signal lets the batch in hand end
    """

    threads: int | None = None
    processes: int | None = None
    devices: tuple[int, ...] | None = None
    runner: Runner = "local"
    ray_address: str | None = None
    ray_actors: int | None = None
    lease_s: float = LEASE_S
    grace: float = GRACE_SECONDS

    def __post_init__(self) -> None:
        if self.devices is not None:
            object.__setattr__(self, "devices", tuple(self.devices))
        if self.processes and self.devices:
            fact = "--processes and --devices were both given"
            raise DegradeError(fact, wanted="--devices (one process per GPU), or --processes (which share the CPU)")
        if self.runner == "ray" and (self.processes or self.devices):
            raise DegradeError("--processes or --devices was given with --runner ray", wanted="--ray-actors")
        if self.runner != "ray" and (self.ray_address or self.ray_actors):
            raise DegradeError("--ray-address or --ray-actors was given without --runner ray")

    @property
    def here(self) -> bool:
        """Whether this process makes the pairs."""
        return self.runner == "local" and not self.processes and not self.devices

    @contextmanager
    def engine(self, order: Order) -> Iterator[Engine | Described | None]:
        """What planning asks of the order's engine: open where this process will run it, else its page; None for a
        degrader. Raises DegradeError."""
        folder, size, overlap = order.engine, order.lr_size, order.tile_overlap
        if folder is None:
            yield None
        elif not self.here:
            from .job import Described

            yield Described.read(folder, size, overlap)
        else:
            from ..api import Engine  # here, so that a degrader loads no network runtime

            with Engine.open(folder, threads=self.threads, lr_size=size, tile_overlap=overlap) as engine:
                yield engine

    def check(self, folder: Path | None) -> None:
        """Raises DegradeError for workers that the engine in `folder` (None: there is none) cannot have."""
        from .job import on_a_gpu

        if self.runner == "ray":
            from .cluster import require

            require()
        elif self.devices and not on_a_gpu(folder):
            raise DegradeError("--devices was given, and this run needs no GPU", wanted="--processes N")
        elif self.processes and on_a_gpu(folder):
            raise DegradeError("--processes was given, and this engine runs on a GPU", wanted="--devices 0,1")
        elif self.devices:
            from .processes import on_gpus

            on_gpus(self.devices)

    def run(
        self,
        planned: Planned,
        engine: Engine | Described | None,
        folder: Path | None,
        out: Out,
        output: Output,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        on_stop: Callable[[int], None] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> Finished:
        """Makes the pairs. engine: as `self.engine` gave it; folder: its own. Raises DegradeError, Interrupted."""
        told: dict[str, Any] = {"on_progress": on_progress, "on_stop": on_stop}
        if self.here:
            return self._run_here(planned, engine, out, output, **told)
        from . import processes

        job = self._job(planned, folder, out, output)
        if self.runner == "ray":
            from . import ray

            return ray.run(job, address=self.ray_address or "auto", actors=self.ray_actors, **told)
        environments = processes.on_gpus(self.devices) if self.devices else [{} for _ in range(self.processes or 1)]
        return processes.run(job, environments, say=say, **told)

    def _run_here(self, planned: Planned, engine: Any, out: Out, output: Output, **told: Any) -> Finished:
        from ..sampling.starts import StartEngine
        from . import runner

        opened, schedule = (StartEngine(), Schedule()) if engine is None else (engine, engine.spec.schedule)
        page = runner.run(
            planned.plan, out, engine=opened, schedule=schedule, folders=planned.sources.folders,
            rejects=planned.sources.rejects, workers=self.threads, output=output, grace=self.grace,
            lease_s=self.lease_s, terms=None if engine is None else engine.spec.terms, **told,
        )  # fmt: skip
        return page, tuple(opened.notes)

    def _job(self, planned: Planned, folder: Path | None, out: Out, output: Output) -> Job:
        from .job import Job

        count = self.processes or len(self.devices or ())
        threads = self.threads or (max(1, cores() // count) if count else 1)
        found = planned.sources
        return Job(planned.plan, out, found.folders, tuple(found.rejects), folder, output, threads, self.grace,
                   self.lease_s)  # fmt: skip
