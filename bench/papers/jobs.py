"""The rows that a run of `quality` makes: each generator with each setting, as a job that can be carried out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from degrade_engine.engine.api import Engine
from degrade_engine.engine.errors import DegradeError

from ..machine import context, stamp
from ..rows import Row, same
from . import settings
from .ablations import ablated
from .baselines import Baseline
from .settings import Setting, Without
from .true_pairs import Image, Pairs


@dataclass(frozen=True)
class Job:
    """A row to be made. calls: denoiser calls of one image, in all; how: what the row says of them."""

    generator: str
    setting: dict[str, Any]
    about: dict[str, Any]
    calls: int
    how: dict[str, Any]
    make: Callable[[], list[Image]]


def generated(engine: Engine, pairs: Pairs, setting: Setting, seed: int) -> tuple[list[Image], dict[str, Any]]:
    """The engine's images and how they were made. Its kind may read no reference and have no filter."""
    setting = settings.fit(setting, engine.spec)
    reference = None
    if engine.spec.model_kind.reads_reference:
        reference = several(pairs.references[setting.reference], setting.recipe.references)
    result = engine.degrade(pairs.hr, reference, recipe=setting.recipe, scale=pairs.scale, seed=seed)
    return list(result.lr), cost(setting, len(pairs.hr), seed)


def several(references: list[Image], m: int) -> list[Image]:
    """m references of each pair: its own, and those of the pairs after it."""
    if m == 1:
        return references
    n = len(references)
    return [np.stack([references[(i + j) % n] for j in range(m)]) for i in range(n)]


def cost(setting: Setting, n: int, seed: int) -> dict[str, float]:
    """What a pair takes in the mean."""
    return {"mean_tau": float(np.mean(setting.taus(n, seed))),
            "denoiser_calls": float(np.mean(setting.calls(n, seed)))}  # fmt: skip


@dataclass
class Bench:
    """The generators of a run. engines: by kind, and by candidates where there are several of a kind; folder: for the
    engines that are made of `checkpoint` when Table 5 asks for them."""

    engines: list[Engine]
    baselines: dict[str, Baseline]
    checkpoint: Path | None
    stack: ExitStack
    folder: Path
    seed: int
    ablated: dict[tuple[str, int], Engine] = dataclasses.field(default_factory=dict)

    def engine(self, kind: str, candidates: int | None = None, without: Without | None = None) -> Engine | None:
        """One of the kind, with so many candidates if it matters."""
        fits = (e for e in self.engines if e.spec.kind == kind and candidates in (None, e.spec.candidates))
        found = next(fits, None)
        if found is None or without is None:
            return found
        if self.checkpoint is None:
            raise DegradeError("Table 5 came without a checkpoint", wanted="--checkpoint, of which the engine was made")
        at = without, found.spec.candidates
        if at not in self.ablated:
            folder = ablated(self.checkpoint, without, found.spec, self.folder / f"{without}-{at[1]}")
            self.ablated[at] = self.stack.enter_context(Engine.open(folder))
        return self.ablated[at]

    def job_of(self, engine: Engine, setting: Setting, pairs: Pairs) -> Job:
        """The row of an engine's setting, as its kind can run it."""
        spec, n = engine.spec, len(pairs.hr)
        setting = settings.fit(setting, spec)
        if setting.without:
            engine = self.engine(spec.kind, spec.candidates, setting.without) or engine
        calls = sum(setting.calls(n, self.seed)) * spec.candidates
        return Job(spec.kind, setting.to_json(), context(engine), calls, cost(setting, n, self.seed),
                   lambda: generated(engine, pairs, setting, self.seed)[0])  # fmt: skip

    def job_without_engine(self, name: str, pairs: Pairs) -> Job:
        """The row of a baseline."""
        baseline = self.baselines[name]
        about = baseline.about | {"candidates": 1, "lr_size": pairs.lr[0].shape[0]} | stamp()
        return Job(name, {}, about, 0, {}, lambda: baseline.make(pairs, self.seed))

    def jobs_of_set(self, name: settings.Name, pairs: Pairs) -> Iterator[Job]:
        """A named set for every engine, with the baselines where generators are compared."""
        if name == "table3":
            yield from (self.job_without_engine(one, pairs) for one in self.baselines)
        for engine in self.engines:
            yield from (self.job_of(engine, setting, pairs) for setting in settings.settings_of(name, engine.spec.kind))

    def job_again(self, row: dict[str, Any], pairs: Pairs) -> Job | None:
        """The job that makes a row anew; None where its generator was not given."""
        if not row["setting"]:
            return self.job_without_engine(row["generator"], pairs) if row["generator"] in self.baselines else None
        engine = self.engine(row["generator"], row["candidates"])
        return None if engine is None else self.job_of(engine, settings.from_json(row["setting"]), pairs)


def asked_again(
    rows: Sequence[dict[str, Any]], bench: Bench, pairs_of: Callable[[str], Pairs]
) -> list[tuple[Job, Pairs]]:
    """The jobs of a file's rows; what cannot be made again is counted and said."""
    jobs, left = [], []
    for row in rows:
        pairs = pairs_of(row["split"]).first(row["pairs"])
        job = bench.job_again(row, pairs)
        if job is None:
            left.append(f"{row['generator']}, {row['candidates']} candidates")
        else:
            if not same({"generator": job.generator, "setting": job.setting}, row, only=("generator", "setting")):
                fact = f"A row of {row['generator']} has a setting that the engine cannot run"
                raise DegradeError(fact, wanted=str(job.setting))
            jobs.append((job, pairs))
    if left:
        click.echo(f"{len(left)} rows stay as they are, their generators were not given: "
                   f"{', '.join(sorted(set(left)))}", err=True)  # fmt: skip
    return jobs


def lacking(
    jobs: Sequence[tuple[Job, Pairs]], rows: Sequence[Row], figures: Collection[str], seed: int
) -> list[tuple[Job, Pairs]]:
    """The jobs that have no row, or none with all the figures."""
    whole = [row for row in rows if set(figures) <= row.keys()]

    def is_there(job: Job, pairs: Pairs) -> bool:
        wanted = {"generator": job.generator, "setting": job.setting} | job.about | facts(pairs, seed)
        return any(same(row, wanted) for row in whole)

    return [(job, pairs) for job, pairs in jobs if not is_there(job, pairs)]


def facts(pairs: Pairs, seed: int) -> dict[str, Any]:
    """What was measured on."""
    return {"split": pairs.name, "pairs": len(pairs.hr), "scale": pairs.scale, "seed": seed}
