"""One run in several processes of this machine: one a GPU, or several that share the CPU.

Each worker is an ordinary run on the output folder (`runner.run`), which shares the shards with the others by claims.
The parent makes nothing: it starts workers, says how far the run is, starts again those that die, hands signals on and
returns the page of the finished run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from .. import machine
from ..artefact import parse_json, read_bytes
from ..errors import DegradeError
from ..objects import ObjectPath, Out
from ..pipeline.progress import Progress
from ..pipeline.stops import LAST_SECONDS, Stopped, leave
from . import run_folder, runner
from .job import Job
from .watch import Watch

RESTARTS = 3  # of all workers together
LOOK_S, LOOK_AT_STORE_S = 0.25, 2.0
PATIENCE_S = 5.0  # with a worker, once the books are closed
FORGIVEN = "look above for its error, and whether the system was out of memory; then run the same command to continue"
VISIBLE = "CUDA_VISIBLE_DEVICES"


Finished = tuple[dict[str, Any], tuple[str, ...]]  # run.json's page, and the notes of the engine


class Worker:
    """A process, and what came from it. last: Finished, or the error that ended it; None: it
    died."""

    def __init__(self, job: Job, environment: Mapping[str, str]) -> None:
        self.environment = environment
        spawn = multiprocessing.get_context("spawn")  # a fork would take the parent's threads' locks along
        self.ear, mouth = spawn.Pipe(duplex=False)
        self.process: SpawnProcess = spawn.Process(target=work, args=(job, environment, mouth), daemon=True)
        self.process.start()
        mouth.close()
        self.last: Finished | Exception | None = None

    def listen(self) -> bool:
        """Take its last word if it has come; whether the process has ended."""
        ended = not self.process.is_alive()  # asked first: what it said before its end is then in the pipe
        with suppress(EOFError):
            if self.last is None and self.ear.poll():
                self.last = self.ear.recv()
        return ended


def run(
    job: Job,
    environments: Sequence[Mapping[str, str]],
    *,
    restarts: int = RESTARTS,
    on_progress: Callable[[Progress], None] | None = None,
    on_stop: Callable[[int], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Finished:
    """All pairs of the job, by one worker for each of the environments (what it has set beside the parent's own).

    restarts: how many workers may die, by a signal or an error that is none of the user's, and be started again. say:
    takes a sentence. Returns once the books are closed: a worker that hangs, stopped by somebody or in a file system
    that is away, is ended. Raises DegradeError, runner.Interrupted.
    """
    with run_folder.opening(job.out, job.plan, job.output, job.lease_s):
        pass  # a mistake is named once, before any worker starts
    run_json = job.out / run_folder.RUN_JSON
    look_s = LOOK_AT_STORE_S if isinstance(job.out, ObjectPath) else LOOK_S
    with runner.stopping(job.plan, job.out, job.grace, on_stop) as stop:
        before = run_folder.identity(run_json)
        watch = Watch(job.plan, job.out, on_progress)
        workers = [Worker(job, environment) for environment in environments]
        try:
            patience, told = PATIENCE_S, False
            while patience > 0:
                closed = run_folder.identity(run_json) not in (None, before)
                if not stop and not closed:
                    restarts = _replace_the_dead(workers, job, restarts, say)
                if not (alive := [worker.process for worker in workers if not worker.listen()]):
                    break
                if stop and not told:
                    told = True
                    for process in alive:
                        process.terminate()
                began = time.monotonic()
                connection.wait([process.sentinel for process in alive], look_s)
                watch.look()
                patience -= time.monotonic() - began if closed else 0
            for n, worker in enumerate(workers):
                if not worker.listen() and worker.last is None:
                    say(f"worker {n} of {len(workers)} does not answer and is stopped. The set is complete without it")
        except DegradeError:  # of one of them; the others commit what they have made
            _end(workers, job.grace)
            raise
        finally:
            _end(workers, LAST_SECONDS / 2)
        return _outcome(workers, run_json, before)


def _replace_the_dead(workers: list[Worker], job: Job, restarts: int, say: Callable[[str], None]) -> int:
    """Start another worker for each that died; returns how many may still die. Raises the error that ended one."""
    for n, worker in enumerate(workers):
        if worker.listen() and not isinstance(worker.last, tuple):
            fate = f"worker {n} of {len(workers)} {fate_of(worker.process.exitcode)}"
            if worker.last is not None:
                raise worker.last
            if restarts < 1:
                raise DegradeError(f"{fate}; the workers exceeded their restart limit", mend=FORGIVEN)
            restarts -= 1
            say(f"{fate}; it is replaced")
            workers[n] = Worker(job, worker.environment)
    return restarts


def _end(workers: Sequence[Worker], seconds: float) -> None:
    """SIGTERM for all, and SIGKILL for those that have not ended so many seconds later."""
    processes = [worker.process for worker in workers]
    try:
        for process in processes:
            process.terminate()
        until = time.monotonic() + seconds
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join(1)


def _outcome(workers: Sequence[Worker], run_json: Out, before: object) -> Finished:
    """What came of the run, by what the workers said last, or by the books. Raises what ended it early."""
    for worker in workers:
        worker.listen()
    finished = [worker.last for worker in workers if isinstance(worker.last, tuple)]
    notes = tuple(dict.fromkeys(note for _, some in finished for note in some))
    errors = [worker.last for worker in workers if isinstance(worker.last, DegradeError)]
    if not finished and errors:
        raise errors[0]
    if not finished and run_folder.identity(run_json) in (None, before):
        raise Stopped
    return (finished[0][0] if finished else parse_json(read_bytes(run_json), run_json.name)), notes


def work(job: Job, environment: Mapping[str, str], mouth: Connection) -> None:
    """A worker's life."""
    os.environ.update(environment)  # before any CUDA is loaded
    os.setpgrp()  # Ctrl-C reaches the parent alone, which hands it on once
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with job.opened() as (engine, schedule):
            page = runner.run(
                job.plan, job.out, engine=engine, schedule=schedule, folders=job.folders, rejects=job.rejects,
                workers=job.threads, output=job.output, grace=job.grace, lease_s=job.lease_s, terms=job.terms,
            )  # fmt: skip
            notes = tuple(engine.notes)
        mouth.send((page, notes))
    except (DegradeError, runner.Interrupted) as error:
        mouth.send(error)
    leave(0)


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def fate_of(code: int | None) -> str:
    """A process's exit code in words."""
    if code is not None and code < 0:
        return f"was killed ({signal.Signals(-code).name})"
    return f"ended with exit code {code}"


def on_gpus(numbers: Sequence[int]) -> list[dict[str, str]]:
    """The environments of workers on these GPUs, counted among those that this process may use. Raises DegradeError."""
    named = os.environ.get(VISIBLE)
    usable = [name for name in named.split(",") if name] if named is not None else [
        str(n) for n in range(len(machine.nvidia().devices))
    ]  # fmt: skip
    wrong = [n for n in numbers if n not in range(len(usable))]
    if wrong or len(set(numbers)) < len(numbers) or not numbers:
        limits = f"0 to {len(usable) - 1}" if usable else f"none: {machine.nvidia().reason or f'{VISIBLE} is empty'}"
        asked = f"--devices is {','.join(map(str, numbers))}"
        raise DegradeError(asked, wanted=f"GPUs of this machine, each once: {limits}")
    return [{VISIBLE: usable[n]} for n in numbers]
