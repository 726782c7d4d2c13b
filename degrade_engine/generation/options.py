"""The options of `degrade-engine generate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from degrade_engine.engine import plan as plans
from degrade_engine.engine import sinks
from degrade_engine.engine.artefact import CACHE
from degrade_engine.engine.classical.degraders import DEGRADERS
from degrade_engine.engine.faults import PATIENCE_S
from degrade_engine.engine.images import BYTES_A_PIXEL, FORMATS, PIXEL_LIMIT, Alpha
from degrade_engine.engine.inputs.inventory import IDENTITIES
from degrade_engine.engine.pipeline.stops import GRACE_SECONDS
from degrade_engine.engine.planning import SAVE_UP_TO
from degrade_engine.engine.recipe import RECIPES, STARTS, Recipe
from degrade_engine.engine.runners.claims import LEASE_S
from degrade_engine.engine.schedule import SOLVERS, SPACINGS
from degrade_engine.engine.sinks.sink import Gt
from degrade_engine.engine.spec import Precision
from degrade_engine.models.ready import BATCH

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """Comma-separated numbers: "0,1"."""

    name = "N,N,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not all(one.strip().isdecimal() and len(one) < 5 for one in value.split(",")):
            self.fail(f"{value[:60]!r} is no list of numbers such as 0,1", param, ctx)
        return tuple(int(one) for one in value.split(","))


def _presets(of: Callable[[Recipe], object]) -> str:
    """What each preset of RealDGen sets, for an option's help: "[recommended: 2, paper: full]"."""
    return "[" + ", ".join(f"{name}: {of(recipe)}" for name, recipe in RECIPES["realdgen"].items()) + "]"


OPTIONS = (
    click.option("--model", type=click.Path(path_type=Path), metavar="NAME|PATH",
                 help="A name that `degrade-engine models` lists, a checkpoint, a bundle folder or an engine folder. "
                 "Its engine is built for this machine at the first use, and kept in the cache."),
    click.option("--precision", type=click.Choice(get_args(Precision)),
                 help="With --model, as of `degrade-engine build`. [default: fp32]"),
    click.option("--batch", type=click.IntRange(1), metavar="N",
                 help=f"With --model: pairs computed at a time. [default: {BATCH}]"),
    click.option("--cache", type=FOLDER,
                 help=f"With --model: where its engine is kept. [default: the variable {CACHE}, else the user's cache "
                 "folder; `degrade-engine models` shows it]"),
    click.option("--engine", type=FOLDER, help="Instead of --model: a folder made by `degrade-engine build`."),
    click.option("--degrader", type=click.Choice(tuple(DEGRADERS)),
                 help="Instead of a model: a degradation without networks, of --hr alone. It reads no reference "
                 "and none of the options from --preset to --no-filter."),
    click.option("--weights", type=FILE,
                 help="Of --degrader or --start binned: made by `degrade-engine calibrate degradation`."),
    click.option("--degrader-options", type=FILE,
                 help="TOML laid over the published settings of --degrader or --start."),
    click.option("--lr-size", type=click.IntRange(8), metavar="PX",
                 help="LR size of the pairs. Larger than the engine's: made in tiles of its size, which overlap. "
                 "[default: the engine's; 128 with --model or --degrader]"),
    click.option("--tile-overlap", type=click.IntRange(1), metavar="PX",
                 help="LR pixels that neighbouring tiles share at least. [default: a quarter of the engine's LR size]"),
    click.option("--hr", metavar="WHERE",
                 help="Sharp photographs: the content, and the GT of the pairs. A folder; a quoted glob "
                 "('photos/**/*.jpg'); a .txt file with a path a line, relative to it; or a URL that fsspec reads "
                 "(zip://::photos.zip, s3://bucket/a)."),
    click.option("--reference", metavar="WHERE", help="Real LR photographs: the degradation to imitate. As --hr."),
    click.option("--pair-list", type=FILE,
                 help="CSV with the columns hr,reference, or hr alone where no reference is read: exactly these "
                 "pairs, in this order. Paths are relative to --hr and --reference, or else to the CSV's folder."),
    click.option("--alpha", type=click.Choice(get_args(Alpha)), default="white", show_default=True,
                 help="Of partly transparent images: laid over white, or refused by name."),
    click.option("--pixel-limit", type=click.IntRange(1), default=PIXEL_LIMIT, show_default=True, metavar="N",
                 help="Images that say they have more pixels are refused before they are decoded, and so are pixels of "
                 f"more than {BYTES_A_PIXEL} bytes: at most {PIXEL_LIMIT * BYTES_A_PIXEL / 1e9:g} GB an image by "
                 "default."),
    click.option("--identity", type=click.Choice(IDENTITIES), default="size", show_default=True,
                 help="What tells, when a photograph is read, that it is the one that was planned: its length, its "
                 "length and time, or its hash (then the scan reads every file whole)."),
    click.option("--patience", type=click.FloatRange(0, 86400), default=PATIENCE_S, show_default=True,
                 metavar="SECONDS",
                 help="How long a photograph that cannot be read (a disk's error, no connection, not there) is tried "
                 "again before the run stops."),
    click.option("--allow-missing", is_flag=True,
                 help="Go on without photographs that are not there or may not be read, instead of stopping: they are "
                 "named in rejects.jsonl, counted in run.json, and other pairs are made in place of theirs."),
    click.option("--rescan", is_flag=True,
                 help="Look at all photographs again, though inventory.jsonl lies in OUT and answers the same "
                 "question."),
    click.option("--dry-run", is_flag=True,
                 help="Plan, say what would be made, and write plan.json and inventory.jsonl only."),
    click.option("--out", type=FOLDER, required=True, help="Where the pairs go; a run that stopped goes on."),
    click.option("--sink", type=click.Choice(sinks.KINDS), default="folder", show_default=True,
                 help="How: PNG files in gt/ and lq/; gt.lmdb and lq.lmdb, as BasicSR and its relatives read them; "
                 "tars in webdataset/. All three hold the same images."),
    click.option("--format", "file_format", type=click.Choice(FORMATS), default="png", show_default=True,
                 help="Of GT and LQ. webp: lossless WebP, smaller files that take longer to write. BasicSR, "
                 "Real-ESRGAN, neosr and traiNNer-redux read it; KAIR lists no .webp and finds no images."),
    click.option("--pairs", type=click.IntRange(1), metavar="N", help="How many pairs to make."),
    click.option("--preset", "recipe", type=click.Choice(list(RECIPES["realdgen"])), default="recommended",
                 show_default=True,
                 help="Settings to start from; each of the options up to --noise overrides one of them. Shown are "
                 "RealDGen's."),
    click.option("--tau", metavar="N|LOW:HIGH",
                 help="Noising steps of the start image: one number, or a uniform range with both ends. 0 returns the "
                 "start image. " + _presets(lambda p: f"{p.tau[0]}:{p.tau[1]}")),
    click.option("--steps", metavar="full|K",
                 help="Network calls a candidate: every timestep, or K. " + _presets(lambda p: p.steps or "full")),
    click.option("--spacing", type=click.Choice(SPACINGS),
                 help="Of the K calls: equal strides, or strides that shrink with the noise. "
                 + _presets(lambda p: p.spacing)),
    click.option("--solver", type=click.Choice(tuple(SOLVERS)),
                 help="How x_tau is denoised. " + _presets(lambda p: p.solver)),
    click.option("--eta", type=click.FloatRange(0, 1), metavar="0..1",
                 help="Noise of ddim: 0 deterministic, 1 as much as ddpm."),
    click.option("--start", type=click.Choice(STARTS),
                 help="The image that is noised: the HR at LR size, the model's own feed-forward LR, or what a "
                 "--degrader makes of the HR, with its --degrader-options or --weights. "
                 + _presets(lambda p: p.start)),
    click.option("--candidates", type=click.IntRange(1), metavar="K",
                 help="Candidates a pair, of which the filter keeps one; at most as many as the engine was built for. "
                 + _presets(lambda p: p.candidates)),
    click.option("--fusion-weight", type=click.FloatRange(0, 1), metavar="0..1",
                 help="Of an engine of the kind uddm: the share of P-DDM in each LR; 0 is DDM alone. [default: 0.5]"),
    click.option("--noise", type=click.FloatRange(0), metavar="SIGMA",
                 help="White noise on each finished LR: its standard deviation in grey levels; 0 is none. It is added "
                 "after the filter has chosen. "
                 f"[default: {RECIPES['lway']['recommended'].noise:g} for an engine of the kind lway, 0 for others]"),
    click.option("--no-filter", is_flag=True, help="Keep the first candidate instead of the best one."),
    click.option("--scale", type=click.Choice(["4", "2"]), default="4", show_default=True,
                 callback=lambda *given: int(given[-1]), help="HR size over LR size."),
    click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, metavar="S",
                 help="Decides every crop, pairing, tau and noise. [default: 0]"),
    click.option("--shard-pairs", type=click.IntRange(1), metavar="N",
                 help="Pairs committed at a time: what a stopped run may have to repeat. [default: an eighth of the "
                 f"run, {plans.MOST_SHARD_PAIRS} at most]"),
    click.option("--threads", type=click.IntRange(1), metavar="N",
                 help="Threads of the engine, and of the image pool. [default: as many as there are cores]"),
    click.option("--gt", type=click.Choice(get_args(Gt)), default="crop", show_default=True,
                 help="crop: each GT is encoded. link: an HR file that is a whole GT and a plain 8-bit RGB PNG is "
                 "hard-linked (or copied) as it is, others are encoded. none: lq/ alone, for a loader of your own "
                 "that crops the HR by the manifest; no paired trainer reads it."),
    click.option("--png-level", type=click.IntRange(0, 9), default=sinks.Output().png_level, show_default=True,
                 help="zlib's level for all PNGs: 1 is written 1.6 times as fast as 2 and is a third larger, above 2 "
                 "little is gained, 0 is as large as the pixels."),
    click.option("--grace", type=click.FloatRange(0), default=GRACE_SECONDS, show_default=True, metavar="SECONDS",
                 help="How long SIGTERM or Ctrl-C lets the batch in hand end; a second one stops at once."),
    click.option("--log-every", type=click.FloatRange(0), default=30.0, show_default=True, metavar="SECONDS",
                 help="A line about the run so often where stderr is no terminal; 0 for none."),
    click.option("--save-candidates/--no-save-candidates", default=None,
                 help="Keep start, reference and candidates in extra/ for the report. "
                 f"[default: up to {SAVE_UP_TO} pairs]"),
    click.option("--processes", type=click.IntRange(1), metavar="N",
                 help="Worker processes that share the CPU's cores. [default: this one alone]"),
    click.option("--devices", type=Numbers(),
                 help="GPUs to use, a worker process each: 0,1. [default: the first, in this process]"),
    click.option("--runner", type=click.Choice(["local", "ray"]), default="local", show_default=True,
                 help="local: this machine. ray: actors on a Ray cluster, whose nodes reach --out, the photographs "
                 "and the engine by the same paths."),
    click.option("--ray-address", metavar="auto|local|HOST:PORT",
                 help="auto: the cluster that is running, else a local one for this run. [default: auto]"),
    click.option("--ray-actors", type=click.IntRange(1), metavar="N",
                 help="How many. [default: one a GPU of the cluster, or as many as it has CPUs for --threads]"),
    click.option("--lease", "lease_s", type=click.IntRange(5), default=int(LEASE_S), show_default=True,
                 metavar="SECONDS",
                 help="After so long without a sign of life a process on another machine that shares --out counts as "
                 "dead, and others do its shards. The same for all."),
)  # fmt: skip


def generate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds them to a command, in their order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
