"""One run on a Ray cluster, or on a local one that is started for it: actors that hold an open engine, a shard a task.

Ray decides which actor gets which shard, starts an actor that died again and repeats its task, each at most so many
times. Nothing is kept in Ray: a driver that was killed is started again and goes on by the records in the folder, even
while the last one's actors are still at work, since a shard is claimed before it is made. Every node has to reach the
output folder, the photographs and the engine by the paths that the driver uses.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from ..errors import DegradeError
from ..pipeline.progress import Progress
from ..sinks import open_sink_at
from . import run_folder, runner
from .cluster import connected
from .job import Job
from .object_claims import claiming
from .shares import Claimed
from .watch import Watch

RETRIES = 3  # of a shard, and of an actor
LOOK_S = 0.5


class Maker:
    """What runs as an actor: an engine, open for all the shards that come."""

    def __init__(self, job: Job) -> None:
        self._job, self._closing = job, ExitStack()
        self._mistake: DegradeError | None = None
        try:
            self._open()
        except DegradeError as mistake:  # told with the first shard: an actor that cannot start is started again
            self._mistake = _on_this_node(mistake)

    def _open(self) -> None:
        job = self._job
        try:
            os.chdir(job.cwd)
        except OSError as error:
            fact = f"{job.cwd}, where the run was started, is not here ({error.strerror})"
            raise DegradeError(fact, wanted="a folder that all nodes reach by this path") from error
        if not (job.out / run_folder.PLAN_JSON).is_file():
            raise DegradeError(f"{job.out} does not hold the run on this node", mend="use one that all nodes mount")
        self._claims = self._closing.enter_context(claiming(job.out, job.lease_s))
        self._engine, self._schedule = self._closing.enter_context(job.opened())
        sink = open_sink_at(job.output, job.out, self._claims.others)
        self._run = run_folder.RunFolder(job.plan, job.out, sink, set(), job.output)

    def make(self, shard: int) -> DegradeError | bool:
        """Whether the shard is done; False: another process has it. A user's mistake is returned, not raised."""
        if self._mistake is not None:
            return self._mistake
        share = Claimed([shard], self._claims, self._run.look)
        try:
            with run_folder.refused_by_the_disk(self._job.out), share.forgiving():
                runner.make(self._run, share, engine=self._engine, schedule=self._schedule,
                            folders=self._job.folders, workers=self._job.threads)  # fmt: skip
        except DegradeError as mistake:
            return _on_this_node(mistake)
        return shard in self._run.done

    def close(self) -> tuple[str, ...]:
        """Give claims and engine back; returns the engine's notes."""
        notes = tuple(self._engine.notes)
        self._closing.close()
        return notes


def run(
    job: Job,
    *,
    address: str = "auto",
    actors: int | None = None,
    retries: int = RETRIES,
    on_progress: Callable[[Progress], None] | None = None,
    on_stop: Callable[[int], None] | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """All pairs of the job; returns the page of run.json and the notes of the engines.

    address: "auto" (a cluster that is there, by RAY_ADDRESS or on this machine, else a local one), "local", or
    host:port. actors: how many; None: one for each GPU of the cluster, or for `job.threads` processors. retries: how
    often an actor may die, and a shard be tried again. Raises DegradeError, runner.Interrupted.
    """
    run_folder.check_output(job.out, job.output)
    with connected(address) as ray:
        with runner.stopping(job.plan, job.out, job.grace, on_stop) as stop, claiming(job.out, job.lease_s) as claims:
            opened = run_folder.open_run(job.plan, job.out, job.output, claims)
            notes: tuple[str, ...] = ()
            if opened.missing():
                makers = start(ray, job, actors, retries)
                watch = Watch(job.plan, job.out, on_progress)
                while not stop and (missing := opened.missing()):
                    _round(ray, makers, missing, watch, stop)
                    for shard in missing:
                        opened.look(shard)
                if not stop:
                    said = ray.get([maker.close.remote() for maker in makers])
                    notes = tuple(dict.fromkeys(note for one in said for note in one))
            return runner.close(opened, claims, job.rejects, stop, job.terms), notes


def _round(ray: Any, makers: Sequence[Any], missing: Sequence[int], watch: Watch, stop: Any) -> None:
    """Hand every missing shard out once. Raises DegradeError for what an actor met, or one that died too often."""
    pool = ray.util.ActorPool(makers)
    for shard in missing:
        pool.submit(lambda maker, one: maker.make.remote(one), shard)
    while pool.has_next() and not stop:
        try:
            met = pool.get_next_unordered(timeout=LOOK_S)
        except TimeoutError:
            watch.look()
            continue
        except ray.exceptions.RayActorError as error:
            raise DegradeError(
                f"a Ray actor exceeded its restart limit ({str(error).splitlines()[0]})",
                mend="look at its node for the reason; then run the same command to continue",
            ) from error
        if isinstance(met, DegradeError):
            raise met
        watch.look()


def start(ray: Any, job: Job, actors: int | None, retries: int) -> list[Any]:
    """The actors, at most as many as there are shards. Raises DegradeError where the cluster has no place for one."""
    has = ray.cluster_resources()
    kind, each = ("GPU", 1) if job.on_a_gpu else ("CPU", job.threads or 1)
    room = int(has.get(kind, 0) // each)
    if (actors or 1) > room:
        asked = f"{actors or 1} actors with {each} {kind} each were requested"
        raise DegradeError(
            f"{asked}, and the cluster has {has.get(kind, 0):g} {kind}",
            wanted=f"--ray-actors {room} or fewer" if room else f"a cluster with a {kind}",
        )
    needs = {"num_gpus": 1} if kind == "GPU" else {"num_cpus": each}
    actor = ray.remote(Maker).options(max_restarts=retries, max_task_retries=retries, **needs)
    return [actor.remote(job) for _ in range(min(actors or room, len(job.plan.shards)))]


def _on_this_node(mistake: DegradeError) -> DegradeError:
    """The same sentence, and where it was."""
    return DegradeError(f"on the node {platform.node()}: {mistake.fact}", wanted=mistake.wanted, mend=mistake.mend)
