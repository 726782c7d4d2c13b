"""Where a plan is run: in this process, in one a GPU or several that share the CPU, or on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from degrade_engine.engine import plan as plans
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.inputs import sources
from degrade_engine.engine.runners.claims import LEASE_S
from degrade_engine.engine.sinks import Output

Run = Callable[[Callable[[Any], None], Callable[[int], None], Callable[[str], None]], tuple[dict[str, Any], Any]]
"""(on_progress, on_stop, say) -> run.json's page, and the notes of the engine."""


def output_of(asked: dict[str, Any]) -> Output:
    """How the options say that pairs are kept. Raises DegradeError."""
    return Output(asked["sink"], asked["png_level"], asked["gt"], asked["file_format"])


class Numbers(click.ParamType):
    """Comma-separated numbers: "0,1"."""

    name = "N,N,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not all(one.strip().isdecimal() and len(one) < 5 for one in value.split(",")):
            self.fail(f"{value[:60]!r} is no list of numbers such as 0,1", param, ctx)
        return tuple(int(one) for one in value.split(","))


OPTIONS = (
    click.option("--processes", type=click.IntRange(1), metavar="N",
                 help="Worker processes that share the CPU's cores. [default: this one alone]"),
    click.option("--devices", type=Numbers(),
                 help="GPUs to use, a worker process each: 0,1. [default: the first, in this process]"),
    click.option("--runner", type=click.Choice(["local", "ray"]), default="local", show_default=True,
                 help="local: this machine. ray: actors on a Ray cluster, whose nodes reach --out, the photographs and "
                 "the engine by the same paths."),
    click.option("--ray-address", metavar="auto|local|HOST:PORT",
                 help="auto: the cluster that is running, else a local one for this run. [default: auto]"),
    click.option("--ray-actors", type=click.IntRange(1), metavar="N",
                 help="How many. [default: one a GPU of the cluster, or as many as it has CPUs for --threads]"),
    click.option("--lease", "lease_s", type=click.IntRange(5), default=int(LEASE_S), show_default=True,
                 metavar="SECONDS", help="After so long without a sign of life a process on another machine that "
                 "shares --out counts as dead, and others do its shards. The same for all."),
)  # fmt: skip


def runner_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `How`, for a command."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class How:
    """The answers to OPTIONS, and threads: of each process."""

    processes: int | None
    devices: tuple[int, ...] | None
    runner: str
    ray_address: str | None
    ray_actors: int | None
    lease_s: int
    threads: int | None

    def __post_init__(self) -> None:
        if self.processes and self.devices:
            raise DegradeError("--processes and --devices were both given", wanted="--devices, a process a GPU, or "
                               "--processes, which share the CPU")  # fmt: skip
        if self.runner == "ray" and (self.processes or self.devices):
            raise DegradeError("--processes or --devices was given with --runner ray", wanted="--ray-actors")
        if self.runner != "ray" and (self.ray_address or self.ray_actors):
            raise DegradeError("--ray-address or --ray-actors was given without --runner ray")

    @classmethod
    def of(cls, asked: dict[str, Any], threads: int | None) -> How:
        """Out of all options of a command. Raises DegradeError."""
        return cls(threads=threads, **{one.name: asked[one.name] for one in fields(cls) if one.name != "threads"})

    @property
    def here(self) -> bool:
        """Whether this process makes the pairs."""
        return self.runner == "local" and not self.processes and not self.devices

    @contextmanager
    def engine(self, folder: Path, lr_size: int | None, tile_overlap: int | None) -> Iterator[Any]:
        """What planning asks of the engine: open where this process will run it, else its page. Raises DegradeError."""
        sizes = {"lr_size": lr_size, "tile_overlap": tile_overlap}
        from degrade_engine.engine.api import Engine
        from degrade_engine.engine.runners.job import Described

        if not self.here:
            yield Described.read(folder, **sizes)
            return
        with Engine.open(folder, threads=self.threads, **sizes) as engine:
            yield engine

    def run(
        self, plan: plans.Plan, found: sources.Sources, engine: Any, schedule: Any, asked: dict[str, Any],
        folder: Path | None = None,
    ) -> Run:  # fmt: skip
        """What makes the plan's pairs. engine, schedule: for this process; folder: of the engine, None without
        networks; asked: the other options. Raises DegradeError for workers that the engine cannot have.
        """
        out, output, grace = asked["out"], output_of(asked), asked["grace"]
        if self.here:
            from degrade_engine.engine.runners import runner

            return lambda on_progress, on_stop, say: (runner.run(
                plan, out, engine=engine, schedule=schedule, folders=found.folders, rejects=found.rejects,
                workers=self.threads, output=output, grace=grace, lease_s=float(self.lease_s),
                on_progress=on_progress, on_stop=on_stop), engine.notes)  # fmt: skip
        from degrade_engine.engine.cores import cores
        from degrade_engine.engine.runners import processes
        from degrade_engine.engine.runners.job import Job

        count = self.processes or len(self.devices or ())
        threads = self.threads or (max(1, cores() // count) if count else 1)
        job = Job(
            plan, out, found.folders, tuple(found.rejects), folder, output, threads, grace, float(self.lease_s)
        )
        if self.runner == "ray":
            from degrade_engine.engine.runners import ray as runner_ray
            from degrade_engine.engine.runners.cluster import require

            require()
            return lambda on_progress, on_stop, say: runner_ray.run(
                job, address=self.ray_address or "auto", actors=self.ray_actors, on_progress=on_progress,
                on_stop=on_stop)  # fmt: skip
        if self.devices and not job.on_a_gpu:
            raise DegradeError("--devices was given, and this run needs no GPU", wanted="--processes N")
        if self.processes and job.on_a_gpu:
            raise DegradeError("--processes was given, and this engine runs on a GPU", wanted="--devices 0,1")
        environments = processes.on_gpus(self.devices) if self.devices else [{} for _ in range(count)]
        return lambda on_progress, on_stop, say: processes.run(
            job, environments, on_progress=on_progress, on_stop=on_stop, say=say)  # fmt: skip
