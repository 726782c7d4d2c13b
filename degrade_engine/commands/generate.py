"""`degrade-engine generate`: two folders of photographs in, LR/HR training pairs out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from degrade_engine.dry_run import say_plan
from degrade_engine.engine import plan as plans
from degrade_engine.engine import sinks
from degrade_engine.engine.classical import degraders
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import FORMATS
from degrade_engine.engine.inputs import sources
from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.pipeline.stops import GRACE_SECONDS
from degrade_engine.engine.recipe import RECIPES, STARTS, Recipe
from degrade_engine.engine.schedule import SOLVERS, SPACINGS
from degrade_engine.engine.sinks.sink import Gt
from degrade_engine.live import live
from degrade_engine.photograph_options import photograph_options
from degrade_engine.planning import SAVE_UP_TO, make_degrader_plan, make_plan
from degrade_engine.running import How, Run, output_of, runner_options

PAIRS_MISSING = 3
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def _presets(of: Callable[[Recipe], object]) -> str:
    """What each preset of RealDGen sets, for an option's help: "[recommended: 2, paper: full]"."""
    return "[" + ", ".join(f"{name}: {of(recipe)}" for name, recipe in RECIPES["realdgen"].items()) + "]"


@click.command("generate", short_help="Make LR/HR training pairs with an engine.")
@click.option("--engine", "engine_path", type=FOLDER, help="Made by `degrade-engine build`.")
@click.option(
    "--degrader",
    type=click.Choice(degraders.KINDS),
    help="Instead of an engine: a degradation without networks, of --hr alone. It reads no reference and none of the "
    "options from --preset to --no-filter.",
)
@click.option(
    "--weights", type=FILE, help="Of --degrader or --start binned: made by `degrade-engine calibrate degradation`."
)
@click.option("--degrader-options", type=FILE, help="TOML laid over the published settings of --degrader or --start.")
@click.option(
    "--lr-size",
    type=click.IntRange(8),
    metavar="PX",
    help="LR size of the pairs. Larger than the engine's: made in tiles of its size, which overlap. [default: the "
    "engine's; 128 with --degrader]",
)
@click.option(
    "--tile-overlap",
    type=click.IntRange(1),
    metavar="PX",
    help="LR pixels that neighbouring tiles share at least. [default: a quarter of the engine's LR size]",
)
@photograph_options
@click.option("--out", type=FOLDER, required=True, help="Where the pairs go; a run that stopped goes on.")
@click.option(
    "--sink",
    type=click.Choice(sinks.KINDS),
    default="folder",
    show_default=True,
    help="How: PNG files in gt/ and lq/; gt.lmdb and lq.lmdb, as BasicSR and its relatives read them; tars in "
    "webdataset/. All three hold the same images.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(FORMATS),
    default="png",
    show_default=True,
    help="Of GT and LQ. webp: lossless WebP, smaller files that take longer to write. BasicSR, Real-ESRGAN, neosr and "
    "traiNNer-redux read it; KAIR lists no .webp and finds no images.",
)
@click.option("--pairs", type=click.IntRange(1), metavar="N", help="How many pairs to make.")
@click.option(
    "--preset",
    type=click.Choice(list(RECIPES["realdgen"])),
    default="recommended",
    show_default=True,
    help="Settings to start from; each of the options up to --noise overrides one of them. Shown are RealDGen's.",
)
@click.option(
    "--tau",
    metavar="N|LOW:HIGH",
    help="Noising steps of the start image: one number, or a uniform range with both ends. 0 returns the "
    "start image. " + _presets(lambda p: f"{p.tau[0]}:{p.tau[1]}"),
)
@click.option(
    "--steps",
    metavar="full|K",
    help="Network calls a candidate: every timestep, or K. " + _presets(lambda p: p.steps or "full"),
)
@click.option(
    "--spacing",
    type=click.Choice(SPACINGS),
    help="Of the K calls: equal strides, or strides that shrink with the noise. " + _presets(lambda p: p.spacing),
)
@click.option(
    "--solver", type=click.Choice(SOLVERS), help="How x_tau is denoised. " + _presets(lambda p: p.solver)
)
@click.option(
    "--eta",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    help="Noise of ddim: 0 deterministic, 1 as much as ddpm.",
)
@click.option(
    "--start",
    type=click.Choice(STARTS),
    help="The image that is noised: the HR at LR size, the model's own feed-forward LR, or what a --degrader makes of "
    "the HR, with its --degrader-options or --weights. " + _presets(lambda p: p.start),
)
@click.option(
    "--candidates",
    type=click.IntRange(1),
    metavar="K",
    help="Candidates a pair, of which the filter keeps one; at most as many as the engine was built for. "
    + _presets(lambda p: p.candidates),
)
@click.option(
    "--fusion-weight",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    help="Of an engine of the kind uddm: the share of P-DDM in each LR; 0 is DDM alone. [default: 0.5]",
)
@click.option(
    "--noise",
    type=click.FloatRange(0),
    metavar="SIGMA",
    help="White noise on each finished LR: its standard deviation in grey levels; 0 is none. It is added after the "
    f"filter has chosen. [default: {RECIPES['lway']['recommended'].noise:g} for an engine of the kind lway, else 0]",
)
@click.option("--no-filter", is_flag=True, help="Keep the first candidate instead of the best one.")
@click.option(
    "--scale", type=click.Choice(["4", "2"]), default="4", show_default=True, help="HR size over LR size."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    metavar="S",
    help="Decides every crop, pairing, tau and noise. [default: 0]",
)
@click.option(
    "--shard-pairs",
    type=click.IntRange(1),
    metavar="N",
    help="Pairs committed at a time: what a stopped run may have to repeat. [default: an eighth of the run, "
    f"{plans.MOST_SHARD_PAIRS} at most]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    help="Threads of the engine, and of the image pool. [default: as many as there are cores]",
)
@click.option(
    "--gt",
    type=click.Choice(get_args(Gt)),
    default="crop",
    show_default=True,
    help="crop: each GT is encoded. link: an HR file that is a whole GT and a plain 8-bit RGB PNG is hard-linked (or "
    "copied) as it is, others are encoded. none: lq/ alone, for a loader of your own that crops the HR by the "
    "manifest; no paired trainer reads it.",
)
@click.option(
    "--png-level",
    type=click.IntRange(0, 9),
    default=sinks.Output().png_level,
    show_default=True,
    help="zlib's level for all PNGs: 1 is written 1.6 times as fast as 2 and is a third larger, above 2 little is "
    "gained, 0 is as large as the pixels.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=GRACE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long SIGTERM or Ctrl-C lets the batch in hand end; a second one stops at once.",
)
@click.option(
    "--log-every",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="A line about the run so often where stderr is no terminal; 0 for none.",
)
@click.option(
    "--save-candidates/--no-save-candidates",
    default=None,
    help="Keep start, reference and candidates in extra/ for the report. [default: up to "
    f"{SAVE_UP_TO} pairs]",
)
@runner_options
@click.pass_context
def command(ctx: click.Context, engine_path: Path | None, threads: int | None, **asked: Any) -> None:
    """Make LR/HR training pairs: content from sharp photographs, degradation from real LR ones.

    OUT gets gt/ and lq/ (images only, same names) and meta_info files, or what --sink says; manifest.jsonl (how each
    pair came about) and rejects.jsonl (what was left out and why). However a run was stopped, the same command goes on
    and ends with the same bytes. Calls with one OUT at one time, on one machine or on several that mount it, share
    the work.

    Exit code 0: every pair was made; 3: finished, and some pairs could not be made; 2: a mistake, a full disk, a
    broken engine, no memory, or a photograph that cannot be read or is not there, as the message says; 130 and 143:
    stopped by Ctrl-C or SIGTERM.
    """
    from degrade_engine.engine.sampling.starts import StartEngine
    from degrade_engine.engine.schedule import Schedule  # here, so that --help needs no network runtime

    how = How.of(asked, threads)
    if asked["degrader"]:
        if engine_path:
            raise DegradeError("--engine and --degrader were both given", wanted="one of them")
        plan, found = make_degrader_plan(asked)
        make_pairs(ctx, plan, found, how.run(plan, found, StartEngine(), Schedule(), asked), asked)
        return
    if engine_path is None:
        raise DegradeError("neither --engine nor --degrader was given", wanted="one of them")
    with how.engine(engine_path, asked["lr_size"], asked["tile_overlap"]) as engine:
        plan, found = make_plan(engine, asked)
        run = how.run(plan, found, engine, engine.spec.schedule, asked, engine_path)
        make_pairs(ctx, plan, found, run, asked)


def make_pairs(
    ctx: click.Context, plan: plans.Plan, found: sources.Sources, run: Run, asked: dict[str, Any]
) -> None:
    """Run the plan, with a live line, and say what came of it."""
    from degrade_engine.engine.runners import runner
    from degrade_engine.engine.runners.run_folder import opening

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    references = f" and {len(plan.reference)} reference" if plan.reference else ""
    console.print(
        f"{plan.options.pairs} pairs at scale {plan.options.scale} from {len(plan.hr)} HR{references} images; "
        f"{say_settings(plan)}"
    )
    output = output_of(asked)
    with opening(asked["out"], plan, output, float(asked["lease_s"])):
        if found.scanned:
            found.write_page(asked["out"])
    if asked["dry_run"]:
        click.echo(say_plan(plan, found))
        return
    try:
        with live(console, plan.options.pairs, asked["log_every"]) as on_progress:
            began = time.perf_counter()
            latest: Progress | None = None

            def seen(now: Progress) -> None:
                nonlocal latest
                latest = now
                on_progress(now)

            page, notes = run(seen, say_stopping, console.print)
            took = time.perf_counter() - began
    except runner.Interrupted as stop:
        console.print(
            f"Stopped: {stop.done} of {stop.shards} shards are done. The same command goes on from there."
        )
        ctx.exit(128 + stop.number)
    for note in notes:
        console.print(note)
    click.echo(say_summary(page, asked["out"], took, latest))
    if page["pairs"] < page["pairs_asked"]:
        ctx.exit(PAIRS_MISSING)


def say_stopping(number: int) -> None:
    """Called in the signal's handler, where only a plain write is safe."""
    os.write(2, b"\nStopping after the batch in hand; once more stops at once.\n")


def say_settings(plan: plans.Plan) -> str:
    """The settings in a line."""
    options, recipe = plan.options, plan.options.recipe
    if not plan.networks:
        return f"degrader {recipe.start}, LR size {plan.lr_size}, seed {options.seed}"
    low, high = recipe.tau
    tau = str(low) if low == high else f"{low}:{high}"
    steps = "every step" if recipe.steps is None else f"{recipe.steps} {recipe.spacing} steps"
    fusion = "" if recipe.fusion_weight is None else f"fusion weight {recipe.fusion_weight:g}, "
    noise = f"noise {recipe.noise:g}, " if recipe.noise else ""
    tiles = f"LR size {plan.lr_size} in tiles that share {options.tile_overlap}, " if options.tile_overlap else ""
    return (
        f"preset {recipe.label}: tau {tau}, {steps}, {recipe.solver}, start {recipe.start}, "
        f"{recipe.candidates} candidates{'' if recipe.filter else ' (no filter)'}, "
        f"{fusion}{noise}{tiles}seed {options.seed}"
    )


def say_summary(page: dict[str, Any], out: Path, took: float, last: Progress | None) -> str:
    """The end of a run in a few plain lines. took: seconds of this call; last: its last progress, of all processes."""
    rate = None if last is None else last.pairs_per_second
    speed = f", {rate:.2f} pairs/s" if rate else ""
    useful = f"; {100 * page['useful_share']:.1f} % of the row-steps useful" if page["executed_row_steps"] else ""
    lines = [f"{page['pairs']} of {page['pairs_asked']} pairs in {out} ({took:.1f} s{speed}{useful})"]
    rejected = ", ".join(f"{count} {reason}" for reason, count in page["rejects"].items())
    lines.append(f"left out: {rejected} (see rejects.jsonl)" if rejected else "left out: nothing")
    if page["missing"]:
        lines.append(f"photographs that were missing and gone on without (--allow-missing): {page['missing']}")
    return "\n".join(lines)
