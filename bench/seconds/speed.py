"""Seconds per pair: the engine beside PyTorch (bench/seconds/eager.py), the same pairs, noise and steps, in one run.

Every way is warmed up, then all are timed in turn, so that whatever else the machine does falls on all alike. A row
has the mean |difference| of its pixels in grey levels. The few-step rows are compared with PyTorch at the same few
steps; PyTorch's bf16 is one candidate's one step beside FP32's, once: without AVX-512 it has no fast kernel for it, and
a whole pair would take minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from degrade_engine.engine.api import Engine
from degrade_engine.engine.artefact import tool_versions
from degrade_engine.engine.cores import cores
from degrade_engine.engine.images import resize_bicubic
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.sampling.batch import Batch
from degrade_engine.engine.schedule import SolverTable, table

from ..machine import context, processor
from ..options import FILE, FOLDER, ROWS_WRITTEN, SAMPLES, integer
from ..rows import write_rows
from ..samples import squares
from .eager import SEED, Eager, one_by_one

OFF = 1e-3  # share of values off by more than a grey level that an exact way may have
Candidates = dict[int, np.ndarray]  # pair -> uint8 [K, h, w, 3]


@dataclass
class Way:
    """One way to make pairs, and what was measured of it.

    run      round, table -> the candidates of the pairs it made
    solver   the table that is timed
    against  the way whose pixels it must make; its own name where it sets them
    exact    False: its pixels may be off, and the row says by how much
    most     rounds it takes part in
    base     the way whose time is 1.0
    """

    name: str
    run: Callable[[int, SolverTable], Candidates]
    solver: SolverTable
    against: str
    backend: str = "pytorch"
    precision: str = "fp32"
    exact: bool = True
    most: int = 1000
    base: str = "original"
    times: list[float] = field(default_factory=list)  # seconds per pair
    made: Candidates = field(default_factory=dict)

    def time(self, round_: int) -> None:
        began = time.perf_counter()
        made = self.run(round_, self.solver)
        self.times.append((time.perf_counter() - began) / len(made))
        self.made |= made

    def error(self, truth: Candidates) -> tuple[float, float]:
        """(mean |difference| in grey levels, share of values off by more than 1), of the pairs that both made."""
        both = sorted(self.made.keys() & truth.keys())
        if not both:
            return float("nan"), float("nan")
        off = np.abs(np.stack([self.made[i].astype(int) - truth[i] for i in both]))
        return float(off.mean()), float((off > 1).mean())


def photographs(samples: Path, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(HR at LR size, reference crops), uint8 [count, size, size, 3], from the bundled samples."""
    sharp, camera = squares(samples / "hr", 4 * size), squares(samples / "reference", size)
    content = [resize_bicubic(one, (size, size)) for one in islice(cycle(sharp.values()), count)]
    return np.stack(content), np.stack([*islice(cycle(camera.values()), count)])


def of_pairs(candidates: np.ndarray) -> Candidates:
    """uint8 [K, n, h, w, 3] by pair."""
    return {i: candidates[:, i] for i in range(candidates.shape[1])}


FEW, STEP = "PyTorch batched, recommended", "PyTorch, one step of one candidate"


class Ways:
    """Every way to make the same pairs. also: engines of other precisions, of the same sizes."""

    def __init__(self, checkpoint: Path, engine: Engine, also: Sequence[Engine], samples: Path, tau: int) -> None:
        spec = engine.spec
        self.checkpoint, self.engine, self.also = checkpoint, engine, also
        self.content, self.reference = photographs(samples, spec.lr_size, spec.batch)
        recommended = Recipe.named("realdgen", "recommended")
        self.exact, self.one = (table(spec.schedule, "ddpm", steps) for steps in (tau, 1))
        self.few = recommended.table(spec.schedule, sum(recommended.tau) // 2)
        self.from_content = recommended.start == "bicubic"

    def original(self, name: str, **options: bool) -> Way:
        spec = self.engine.spec
        run = one_by_one(self.checkpoint, self.content, self.reference, spec.candidates, **options)
        return Way(
            name, lambda r, solver: {r % spec.batch: run(r % spec.batch, solver.tau)}, self.exact, against="original"
        )

    def eager(self, name: str, few: bool = False, **options: bool) -> Way:
        made = Eager(self.checkpoint, self.content, self.reference, self.engine.spec.candidates, **options)

        def run(_: int, solver: SolverTable) -> Candidates:
            return of_pairs(made(solver, from_content=self.from_content and solver is self.few))

        solver, against = (self.few, FEW) if few else (self.exact, "original")
        return Way(name, run, solver, against, backend="torch.compile" if options.get("compiled") else "pytorch")

    def one_step(self, name: str, **options: bool) -> Way:
        made = Eager(self.checkpoint, self.content[:1], self.reference[:1], 1, **options)
        how: dict[str, Any] = {"precision": "bf16", "exact": False, "most": 1} if options else {"most": 3}
        return Way(name, lambda _, solver: of_pairs(made(solver)), self.one, STEP, base=STEP, **how)

    def of_engine(self, name: str, engine: Engine, few: bool = False, **how: Any) -> Way:
        n = len(self.content)

        def run(_: int, solver: SolverTable) -> Candidates:
            start = self.content if self.from_content and solver is self.few else None
            pairs = np.arange(n, dtype=np.uint32)
            return of_pairs(
                engine.run(Batch(self.content, self.reference, pairs, [solver] * n, start, SEED)).candidates
            )

        solver, against = (self.few, FEW) if few else (self.exact, "original")
        return Way(name, run, solver, against, backend=engine.spec.key.backend, **how)

    def all(self) -> dict[str, Callable[[], Way]]:
        """Every way by its name; made only when it is asked for."""
        ways: dict[str, Callable[[str], Way]] = {
            "original": self.original,
            "original, channels last": partial(self.original, channels_last=True),
            "PyTorch batched": self.eager,
            "PyTorch batched, channels last": partial(self.eager, channels_last=True),
            "torch.compile, batched": partial(self.eager, compiled=True),
            "engine": partial(self.of_engine, engine=self.engine),
        }
        for one in self.also:
            precision = one.spec.key.precision_computed
            way = partial(self.of_engine, engine=one, precision=precision, exact=False)
            name = f"engine, {precision} ({one.spec.key.backend})"
            ways |= {name: way, f"{name}, recommended": partial(way, few=True)}
        ways |= {
            FEW: partial(self.eager, few=True, channels_last=True),
            "engine, recommended": partial(self.of_engine, engine=self.engine, few=True),
            STEP: self.one_step,
            f"{STEP}, bf16 autocast": partial(self.one_step, bf16=True),
        }
        return {name: partial(make, name) for name, make in ways.items()}


def asked_for(chosen: dict[str, Callable[[], Way]], only: tuple[str, ...]) -> list[Way]:
    """The original, the ways whose name begins as one of `only` (none: all), and those that they are held against."""
    ways = {name: make() for name, make in chosen.items() if not only or name.startswith(("original", *only))}
    for way in list(ways.values()):
        for other in (way.against, way.base):
            if other not in ways:
                ways[other] = chosen[other]()
    return list(ways.values())


def measured(ways: list[Way], rounds: int, warm: SolverTable, budget: float = math.inf) -> None:
    """Times every way in turn, after a run with a short table each; those of one round without (bf16 is too slow).
    After the first round, none begins that would not end within the budget, in seconds from now."""
    began, longest = time.perf_counter(), 0.0
    for way in ways:
        if way.most > 1:
            way.run(0, warm)
        click.echo(f"warm: {way.name}", err=True)
    for round_ in range(rounds):
        start = time.perf_counter()
        if start + longest > began + budget and round_:
            click.echo(f"{round_} rounds of {rounds}: the next would end after {budget:.0f} s", err=True)
            break
        for way in ways:
            if round_ < way.most:
                way.time(round_)
        longest = max(longest, time.perf_counter() - start)


def rows(ways: list[Way], about: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a way. ClickException where an exact way's pixels are off."""
    by_name = {way.name: way for way in ways}
    written = []
    for way in ways:
        p50, p95 = (float(np.percentile(way.times, p)) for p in (50, 95))
        mean, off = way.error(by_name[way.against].made)
        base = float(np.median(by_name[way.base].times))
        if way.exact and not off <= OFF:
            raise click.ClickException(
                f"{way.name} is off by more than 1 grey level in {100 * off:.2f} % of the values; "
                f"at most {100 * OFF} % are allowed, so nothing is written"
            )
        own = {
            "name": way.name, "tau": way.solver.tau, "steps": len(way.solver), "p50_s_a_pair": round(p50, 4),
            "p95_s_a_pair": round(p95, 4), "repeats": len(way.times), "times_faster": round(base / p50, 3),
            "time_against": way.base,
            "pixels_against": way.against, "mean_error_grey": round(mean, 5), "values_off_by_more_than_1": off,
            "io": False,
        }  # fmt: skip
        written.append(own | about | {"precision": way.precision, "backend": way.backend})
    return written


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("--engine", "folder", type=FOLDER, required=True, help="Folder of the engine, built from CHECKPOINT.")
@click.option("--also", type=FOLDER, multiple=True,
    help="Another engine to time, e.g. of precision bf16 or int8. It needs the LR size and the batch of --engine. "
    "Can be repeated.")  # fmt: skip
@SAMPLES
@integer("--tau", 10, "Number of noising steps. Each costs one network call. The paper draws it from 1 to 30.")
@integer("--repeats", 3, "Rounds. In each, every way is timed once.")
@click.option("--budget", type=click.FloatRange(0), metavar="SECONDS", default=330, show_default=True,
    help="Time limit. A round that would end later is not begun, but the first one always is.")  # fmt: skip
@integer("--threads", None, "Threads of each way. [default: one per physical core]")
@click.option("--only", multiple=True, metavar="NAME",
    help="Time only ways whose names begin like this, e.g. 'torch.compile', and the ways that they are compared "
    "with. Can be repeated. [default: all]")  # fmt: skip
@ROWS_WRITTEN
def main(checkpoint: Path, folder: Path, also: tuple[Path, ...], samples: Path, tau: int, repeats: int, budget: float,
         threads: int | None, only: tuple[str, ...], out: Path) -> None:  # fmt: skip
    """Time the engine and PyTorch on the same pairs, noise and steps.

    \b
    Example:
      degrade-engine bench speed realdgen-tiny.safetensors --engine engine \\
        -o speed.jsonl

    CHECKPOINT is a RealDGen checkpoint. All ways are timed in turn, without file I/O. Takes about six minutes on two
    cores.

    The pixels of each way are compared with those of PyTorch. If more than 0.1 % of the values differ by more than one
    grey level, the command ends with an error and writes no rows. The engines of --also and PyTorch's bf16 may differ:
    their rows say by how much.
    """
    threads = threads or cores()
    torch.set_num_threads(threads)
    with ExitStack() as stack:
        engine, *others = [stack.enter_context(Engine.open(one, threads=threads)) for one in (folder, *also)]
        for other in others:
            if (other.spec.lr_size, other.spec.batch) != (engine.spec.lr_size, engine.spec.batch):
                raise click.ClickException(f"{other.folder} is of another LR size or batch than {folder}")
        chosen = Ways(checkpoint, engine, others, samples, tau)
        ways = asked_for(chosen.all(), only)
        measured(ways, repeats, chosen.one, budget)
        about = context(engine) | {"threads": threads, "devices": f"{processor()}, {cores()} cores",
                                   "tools": tool_versions()}  # fmt: skip
        written = rows(ways, about)
    write_rows(out, written)
    for row in written:
        click.echo(
            f"{row['name']:32} tau {row['tau']:3} steps {row['steps']:2}: {row['p50_s_a_pair']:7.3f} s per pair, "
            f"{row['times_faster']:5.2f} x, mean error {row['mean_error_grey']:.4f} grey levels"
        )
