"""`degrade_engine.plan` and `degrade_engine.generate`: the command `generate` as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from degrade_engine.engine import run, streaming
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.faults import PATIENCE_S
from degrade_engine.engine.images import PIXEL_LIMIT, Alpha, Format, PngLevel
from degrade_engine.engine.inputs import places
from degrade_engine.engine.inputs.inventory import Identity
from degrade_engine.engine.inputs.photographs import Reject
from degrade_engine.engine.inputs.places import Where
from degrade_engine.engine.objects import ObjectPath, out_of
from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.pipeline.stops import GRACE_SECONDS
from degrade_engine.engine.planning import Order, Planned
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.run import Generated, Telling
from degrade_engine.engine.runners.claims import LEASE_S
from degrade_engine.engine.runners.workers import Runner, Workers
from degrade_engine.engine.sinks import Output, SinkKind
from degrade_engine.engine.sinks.sink import Gt
from degrade_engine.engine.spec import PrecisionChoice
from degrade_engine.engine.streaming import Streamed
from degrade_engine.generation.live import live
from degrade_engine.generation.words import headline
from degrade_engine.models.ready import engine_of, on_stderr

LOG_EVERY_S = 30.0
T = TypeVar("T")


def plan(
    *,
    model: str | Path | None = None, precision: PrecisionChoice | None = None, batch: int | None = None,
    cache: str | Path | None = None, engine: str | Path | None = None, degrader: str | None = None,
    hr: Where | None = None, reference: Where | None = None, pairs: int | None = None,
    pair_list: str | Path | None = None, recipe: Recipe | str | Path = "recommended", scale: int = 4, seed: int = 0,
    lr_size: int | None = None, tile_overlap: int | None = None, degrader_options: str | Path | None = None,
    weights: str | Path | None = None, cameras: str | Path | None = None, alpha: Alpha = "white",
    identity: Identity = "size", pixel_limit: int = PIXEL_LIMIT, patience: float = PATIENCE_S,
    allow_missing: bool = False, shard_pairs: int | None = None, save_candidates: bool | None = None,
    name_prefix: str = "", **changes: Any,
) -> Planned:  # fmt: skip
    """What a run would make: `generate` without its pairs, and nothing is written.

    The arguments are those of `generate`. Returns the plan (`.plan.draw(i)` says which crops pair i is made of) and the
    photographs (`.sources`). A model's engine is built for it, as `generate` would. Raises DegradeError.
    """
    return run.plan(ordered(locals(), on_stderr()))


def stream(
    *,
    first: int = 0, every: int = 1, count: int | None = None,
    model: str | Path | None = None, precision: PrecisionChoice | None = None, batch: int | None = None,
    cache: str | Path | None = None, engine: str | Path | None = None, degrader: str | None = None,
    hr: Where | None = None, reference: Where | None = None, pair_list: str | Path | None = None,
    recipe: Recipe | str | Path = "recommended", scale: int = 4, seed: int = 0, lr_size: int | None = None,
    tile_overlap: int | None = None, degrader_options: str | Path | None = None, weights: str | Path | None = None,
    cameras: str | Path | None = None, alpha: Alpha = "white", identity: Identity = "size",
    pixel_limit: int = PIXEL_LIMIT, patience: float = PATIENCE_S, allow_missing: bool = False, name_prefix: str = "",
    threads: int | None = None, on_reject: Callable[[Reject], None] | None = None, **changes: Any,
) -> Streamed:  # fmt: skip
    """The pairs that `generate` would write, one after another, without a disk.

    first, every, count   the numbers of the pairs: first, first + every, …; count of them, or without end (10^8)
    on_reject             is told of each input and pair that was left out. Such a pair is passed over
    the rest              see `generate`

    Photographs are looked at now, and a model's engine is built. Each iteration over the result opens the engine and
    begins with the first pair. It yields `engine.streaming.Pair`: `lq` and `gt` are uint8 [H, W, 3], `number` and `row`
    say which pair it is and how it was made. With first and every, several processes share the pairs. Raises
    DegradeError.
    """
    order = ordered(locals(), on_stderr())
    return streaming.stream(order, first=first, every=every, count=count, threads=threads, on_reject=on_reject)


def generate(
    out: str | Path | ObjectPath,
    *,
    model: str | Path | None = None, precision: PrecisionChoice | None = None, batch: int | None = None,
    cache: str | Path | None = None, engine: str | Path | None = None, degrader: str | None = None,
    hr: Where | None = None, reference: Where | None = None, pairs: int | None = None,
    pair_list: str | Path | None = None, recipe: Recipe | str | Path = "recommended", scale: int = 4, seed: int = 0,
    lr_size: int | None = None, tile_overlap: int | None = None, degrader_options: str | Path | None = None,
    weights: str | Path | None = None, cameras: str | Path | None = None, alpha: Alpha = "white",
    identity: Identity = "size", pixel_limit: int = PIXEL_LIMIT, patience: float = PATIENCE_S,
    allow_missing: bool = False, shard_pairs: int | None = None, save_candidates: bool | None = None,
    name_prefix: str = "", rescan: bool = False, sink: SinkKind = "folder", file_format: Format = "png",
    gt: Gt = "crop", png_level: PngLevel | None = None, threads: int | None = None, processes: int | None = None,
    devices: Sequence[int] | None = None, runner: Runner = "local", ray_address: str | None = None,
    ray_actors: int | None = None, lease_s: float = LEASE_S, grace: float = GRACE_SECONDS,
    progress: bool | Callable[[Progress], None] = True, **changes: Any,
) -> Generated:  # fmt: skip
    """Makes LR/HR training pairs in `out`, a folder or s3://bucket/name. The arguments are the options of
    `degrade-engine generate`.

    model               a name that `degrade-engine models` lists, a checkpoint, a bundle folder or an engine folder.
                        Its engine is built for this machine at the first use. precision, batch, cache: of that engine,
                        see `models.ready.engine_of`
    engine or degrader  instead of it: an engine's folder, or a degradation without networks
    hr, reference       where the photographs lie: a folder, a glob, a list or a URL
    pairs, or pair_list how many; or a CSV of exactly these pairs
    recipe              how a pair is made: a preset's name ("recommended", "paper", "fast"), a Recipe, or a file that
                        `calibrate recipe` or `calibrate solver` wrote (--preset, --recipe)
    changes             fields of it that differ: tau=(1, 30), steps=2, start="camera", noise=1.0, filter=False, …
    progress            a bar, or lines where there is no terminal; False for silence; or a function that is told of
                        every batch
    the rest            see `engine.planning.Order`, `engine.runners.workers.Workers`, `engine.sinks.Output`

    The same call goes on where a run has stopped, and ends with the same bytes. Raises DegradeError for a user's
    mistake, a full disk or a broken engine, and runners.runner.Interrupted for a signal.
    """
    where, output = out_of(out, patience), Output(sink, png_level, gt, file_format)
    run.check_out(where, output)  # before an engine is built
    workers = picked(Workers, locals())
    order = ordered(locals(), on_stderr() if progress is True else lambda _: None)
    if callable(progress) or not progress:
        telling = Telling(on_progress=progress) if callable(progress) else Telling()
        return run.generate(order, where, workers=workers, output=output, rescan=rescan, telling=telling)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with live(console, LOG_EVERY_S) as state:

        def on_plan(planned: Planned) -> None:
            state.on_plan(planned)
            console.print(headline(planned.plan), markup=False)

        telling = Telling(state.on_files, on_plan, state.on_progress, say=console.print, warn=console.print)
        return run.generate(order, where, workers=workers, output=output, rescan=rescan, telling=telling)


def ordered(given: Mapping[str, Any], say: Callable[[str], None]) -> Order:
    """The order out of its arguments, with the engine of the model that they name: built, if it has to be, and say is
    told so. Raises DegradeError."""
    model = given["model"]
    if model is None:
        if name := next((name for name in ("precision", "batch") if given[name] is not None), None):
            raise DegradeError(f"--{name} was given without --model", mend="leave it out: an engine has its own")
        return picked(Order, given)
    if given["engine"] is not None or given["degrader"] is not None:
        raise DegradeError("--model was given with --engine or --degrader", wanted="one of them")
    order = picked(Order, {**given, "engine": model})  # what is wrong with it is said before anything is built
    for where in (order.hr, order.reference) if order.pair_list is None else ():
        if where is not None and not (place := places.at(where)).remote:
            place.files(lambda *_: None)  # raises where there is no such folder, and reads nothing
    engine = engine_of(
        model, lr_size=order.lr_size, precision=given["precision"], batch=given["batch"], threads=given.get("threads"),
        cache=given["cache"], say=say,
    )  # fmt: skip
    return replace(order, engine=engine)


def picked(cls: type[T], given: Mapping[str, Any]) -> T:
    """The dataclass out of the arguments that bear its fields' names. Raises DegradeError."""
    return cls(**{one.name: given[one.name] for one in fields(cls) if one.name in given})  # type: ignore[arg-type]
