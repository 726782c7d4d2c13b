"""`degrade_engine.plan` and `degrade_engine.generate`: the command `generate` as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from degrade_engine.engine import run
from degrade_engine.engine.classical import degraders
from degrade_engine.engine.faults import PATIENCE_S
from degrade_engine.engine.images import PIXEL_LIMIT, PNG_LEVEL, Alpha, Format
from degrade_engine.engine.inputs.inventory import Identity
from degrade_engine.engine.inputs.sources import Where
from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.pipeline.stops import GRACE_SECONDS
from degrade_engine.engine.planning import Order, Planned
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.run import Generated, Telling
from degrade_engine.engine.runners.claims import LEASE_S
from degrade_engine.engine.runners.workers import Runner, Workers
from degrade_engine.engine.sinks import Kind, Output
from degrade_engine.engine.sinks.sink import Gt
from degrade_engine.generation.live import live
from degrade_engine.generation.words import headline

LOG_EVERY_S = 30.0
T = TypeVar("T")


def plan(
    *,
    engine: str | Path | None = None, degrader: degraders.Kind | None = None, hr: Where | None = None,
    reference: Where | None = None, pairs: int | None = None, pair_list: str | Path | None = None,
    recipe: Recipe | str = "recommended", scale: int = 4, seed: int = 0, lr_size: int | None = None,
    tile_overlap: int | None = None, degrader_options: str | Path | None = None, weights: str | Path | None = None,
    alpha: Alpha = "white", identity: Identity = "size", pixel_limit: int = PIXEL_LIMIT,
    patience: float = PATIENCE_S, allow_missing: bool = False,
    shard_pairs: int | None = None, save_candidates: bool | None = None, **changes: Any,
) -> Planned:  # fmt: skip
    """What a run would make: `generate` without its pairs, and nothing is written.

    The arguments are those of `generate`. Returns the plan (`.plan.draw(i)` says which crops pair i is made of) and the
    photographs (`.sources`). Raises DegradeError.
    """
    return run.plan(picked(Order, locals()))


def generate(
    out: str | Path,
    *,
    engine: str | Path | None = None, degrader: degraders.Kind | None = None, hr: Where | None = None,
    reference: Where | None = None, pairs: int | None = None, pair_list: str | Path | None = None,
    recipe: Recipe | str = "recommended", scale: int = 4, seed: int = 0, lr_size: int | None = None,
    tile_overlap: int | None = None, degrader_options: str | Path | None = None, weights: str | Path | None = None,
    alpha: Alpha = "white", identity: Identity = "size", pixel_limit: int = PIXEL_LIMIT,
    patience: float = PATIENCE_S, allow_missing: bool = False,
    shard_pairs: int | None = None, save_candidates: bool | None = None,
    rescan: bool = False, sink: Kind = "folder", file_format: Format = "png", gt: Gt = "crop",
    png_level: int = PNG_LEVEL, threads: int | None = None, processes: int | None = None,
    devices: Sequence[int] | None = None, runner: Runner = "local", ray_address: str | None = None,
    ray_actors: int | None = None, lease_s: float = LEASE_S, grace: float = GRACE_SECONDS,
    progress: bool | Callable[[Progress], None] = True, **changes: Any,
) -> Generated:  # fmt: skip
    """Makes LR/HR training pairs in the folder `out`: `degrade-engine generate`, with its options as arguments.

    engine or degrader  an engine's folder, or a degradation without networks
    hr, reference       where the photographs lie: a folder, a glob, a list or a URL
    pairs, or pair_list how many; or a CSV of exactly these pairs
    recipe              how a pair is made: "recommended", "paper", or a Recipe (--preset)
    changes             fields of it that differ: tau=(1, 30), steps=2, start="camera", noise=1.0, filter=False, …
    progress            a bar, or lines where there is no terminal; False for silence; or a function that is told of
                        every batch
    the rest            see `engine.planning.Order`, `engine.runners.workers.Workers`, `engine.sinks.Output`

    The same call goes on where a run has stopped, and ends with the same bytes. Raises DegradeError for a user's
    mistake, a full disk or a broken engine, and runners.runner.Interrupted for a signal.
    """
    order, workers = picked(Order, locals()), picked(Workers, locals())
    output = Output(sink, png_level, gt, file_format)
    if callable(progress) or not progress:
        telling = Telling(on_progress=progress) if callable(progress) else Telling()
        return run.generate(order, Path(out), workers=workers, output=output, rescan=rescan, telling=telling)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with live(console, LOG_EVERY_S) as on_progress:
        telling = Telling(on_plan=lambda planned: console.print(headline(planned.plan)), on_progress=on_progress,
                          say=console.print)  # fmt: skip
        return run.generate(order, Path(out), workers=workers, output=output, rescan=rescan, telling=telling)


def picked(cls: type[T], given: Mapping[str, Any]) -> T:
    """The dataclass out of the arguments that bear its fields' names. Raises DegradeError."""
    return cls(**{one.name: given[one.name] for one in fields(cls) if one.name in given})  # type: ignore[arg-type]
