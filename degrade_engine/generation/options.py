"""The options of `degrade-engine generate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from cloup import option_group

from degrade_engine.engine import plan as plans
from degrade_engine.engine import sinks
from degrade_engine.engine.artefact import CACHE
from degrade_engine.engine.classical.degraders import DEGRADERS
from degrade_engine.engine.faults import PATIENCE_S
from degrade_engine.engine.images import BYTES_A_PIXEL, FAST, FORMATS, PIXEL_LIMIT, Alpha, PngLevel
from degrade_engine.engine.inputs.inventory import IDENTITIES
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.pipeline.stops import GRACE_SECONDS
from degrade_engine.engine.planning import SAVE_UP_TO
from degrade_engine.engine.recipe import MOST_CHANCE, MOST_REFERENCES, STARTS, Recipe
from degrade_engine.engine.runners.claims import LEASE_S
from degrade_engine.engine.schedule import LEARNED, SOLVERS, SPACINGS
from degrade_engine.engine.sinks.sink import Gt
from degrade_engine.engine.spec import PrecisionChoice
from degrade_engine.generation.logs import LogFormat
from degrade_engine.generation.outs import OUT
from degrade_engine.models.ready import BATCH

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
PRESETS = list(dict.fromkeys(name for kind in KINDS.values() for name in kind.recipes))


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.5 alone
    """Comma-separated numbers: "0,1"."""

    name = "N,N,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not all(one.strip().isdecimal() and len(one) < 5 for one in value.split(",")):
            self.fail(f"{value[:60]!r} is no list of numbers such as 0,1", param, ctx)
        return tuple(int(one) for one in value.split(","))


class PngLevels(click.ParamType):  # type: ignore[type-arg]
    """ "fast", or a level of zlib."""

    name = "fast|0..9"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PngLevel:
        if value == FAST:
            return FAST
        if not (str(value).isdecimal() and len(str(value)) == 1):
            self.fail(f"{str(value)[:60]!r} is neither fast nor a whole number from 0 to 9", param, ctx)
        return int(value)


def _presets(of: Callable[[Recipe], object]) -> str:
    """What the recipes of the bundled RealDGen models set, for an option's help: "[default: 1 for realdgen-small, 5 for
    realdgen-tiny, full with --preset paper]"."""
    tiny = KINDS["realdgen"].recipes
    small, usual, paper = of(KINDS["onecall"].recipes["recommended"]), of(tiny["recommended"]), of(tiny["paper"])
    more = "" if paper == usual else f", {paper} with --preset paper"
    return f"[default: {small} for realdgen-small, {usual} for realdgen-tiny{more}]"


_ONE = KINDS["onecall"].recipes["recommended"]
GROUPS = {
    "The usual options": (
        click.option("--hr", metavar="WHERE",
                     help="Sharp photographs: they become the HR images. A folder, a quoted glob ('photos/**/*.jpg'), "
                     "a .txt file with one path per line, archives (.tar, .zip, .lmdb, .parquet; "
                     "'shard-{000..099}.tar'), or a URL that fsspec reads (s3://bucket/a)."),
        click.option("--reference", metavar="WHERE",
                     help="Real LR photographs of one camera, whose degradation is imitated. Like --hr, or the list "
                     "(.jsonl) that `degrade-engine references` writes."),
        click.option("--model", type=click.Path(path_type=Path), metavar="NAME|PATH",
                     help="The model: a name that `degrade-engine models` lists, a checkpoint, or a bundle. Its engine "
                     "is built at the first use and kept in the cache."),
        click.option("--degrader", type=click.Choice(tuple(DEGRADERS)), metavar="KIND",
                     help="Degrade without a model and without references: " + ", ".join(DEGRADERS) + "."),
        click.option("--preset", type=click.Choice(PRESETS), metavar="NAME",
                     help="Recipe to start from: " + ", ".join(PRESETS) + ". [default: recommended]"),
        click.option("--out", type=OUT, required=True,
                     help="Folder for the pairs, or s3://bucket/name with --sink webdataset or parquet. A stopped run "
                     "continues there."),
        click.option("--pairs", type=click.IntRange(1), metavar="N",
                     help="Number of pairs. A set in OUT that has fewer grows."),
        click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, metavar="S",
                     help="Random seed. The same seed gives the same files. [default: 0]"),
        click.option("--sink", type=click.Choice(sinks.KINDS), default="folder", show_default=True, metavar="KIND",
                     help="Output layout: image folders (folder), BasicSR LMDB (lmdb), WebDataset tars "
                     "(webdataset), or Parquet files for Hugging Face datasets (parquet)."),
        click.option("--dry-run", is_flag=True,
                     help="Make no pairs. Print the plan, the disk space and the files needed; write plan.json and "
                     "inventory.jsonl."),
    ),
    "Input": (
        click.option("--pair-list", type=FILE,
                     help="CSV with the columns hr,reference (hr alone where no reference is read): make exactly these "
                     "pairs, in this order. Paths are relative to --hr and --reference, or to the CSV's folder."),
        click.option("--alpha", type=click.Choice(get_args(Alpha)), default="white", show_default=True,
                     help="Transparent images: composite on white, or reject."),
        click.option("--allow-missing", is_flag=True,
                     help="Skip photographs that do not exist or may not be read, instead of stopping. Other "
                     "photographs take their place. rejects.jsonl lists them."),
    ),
    "Output": (
        click.option("--scale", type=click.Choice(["4", "2"]), default="4", show_default=True,
                     callback=lambda *given: int(given[-1]), help="HR size divided by LR size."),
        click.option("--lr-size", type=click.IntRange(8), metavar="PX",
                     help="Side of the LR images in pixels. Larger than the engine's: computed in overlapping tiles. "
                     "[default: the engine's; 128 with --model or --degrader]"),
        click.option("--format", "file_format", type=click.Choice(FORMATS), default="png", show_default=True,
                     help="File format. webp is lossless WebP: smaller and slower to write. KAIR does not read it."),
        click.option("--gt", type=click.Choice(get_args(Gt)), default="crop", show_default=True,
                     help="crop: encode each HR crop. link: hard-link an HR file that is used whole and is a plain "
                     "8-bit RGB PNG. none: write lq/ only, for a loader that crops the HR itself."),
        click.option("--name-prefix", default="", metavar="TEXT",
                     help="Begin each pair's name with TEXT, so that sets can be merged."),
        click.option("--save-candidates/--no-save-candidates", default=None,
                     help="Keep start image, reference and candidates in extra/ for the report. "
                     f"[default: for up to {SAVE_UP_TO} pairs]"),
    ),
    "Model and recipe": (
        click.option("--recipe", type=FILE,
                     help="File made by `degrade-engine calibrate recipe` or `calibrate solver`, instead of --preset. "
                     "Other options change single settings of it."),
        click.option("--engine", type=FOLDER, help="Engine folder made by `degrade-engine build`, instead of --model."),
        click.option("--precision", type=click.Choice(get_args(PrecisionChoice)),
                     help="Precision of the engine that --model builds. auto: the fastest that is good on this "
                     "machine. [default: fp32]"),
        click.option("--weights", type=FILE,
                     help="For --degrader or --start binned: made by `degrade-engine calibrate degradation`."),
        click.option("--cameras", type=FILE,
                     help="For --degrader or --start camera: made by `degrade-engine calibrate camera`, or the .json "
                     "of a model that `tune` made."),
        click.option("--degrader-options", type=FILE,
                     help="TOML file that changes settings of --degrader or --start."),
        click.option("--tau", metavar="N|LOW:HIGH",
                     help="Number of noising steps: one number, or a range that is drawn from uniformly. 0 returns the "
                     "start image. " + _presets(lambda p: f"{p.tau[0]}:{p.tau[1]}")),
        click.option("--steps", metavar="full|K",
                     help="Network calls per candidate: every time step, or K. "
                     + _presets(lambda p: p.steps or "full")),
        click.option("--start", type=click.Choice(STARTS), metavar="IMAGE",
                     help="Image that is noised and then denoised: " + ", ".join(STARTS) + ". bicubic is the HR at LR "
                     "size; reconstruction is the model's own feed-forward LR; the others are degraders. "
                     + _presets(lambda p: p.start)),
        click.option("--references-per-pair", "references", type=click.IntRange(1, MOST_REFERENCES), metavar="N",
                     help="References per pair, from one folder. What they say of the camera is put together. "
                     + _presets(lambda p: p.references)),
        click.option("--candidates", type=click.IntRange(1), metavar="K",
                     help="Candidates per pair, of which the filter keeps the best. "
                     + _presets(lambda p: p.candidates)),
        click.option("--no-filter", is_flag=True, help="Keep the first candidate, not the best."),
        click.option("--noise", type=click.FloatRange(0), metavar="SIGMA",
                     help="White noise added to each finished LR: standard deviation in grey levels. "
                     f"[default: {Recipe.named('lway', 'recommended').noise:g} for LWay, 0 for other models]"),
    ),
    "Running": (
        click.option("--threads", type=click.IntRange(1), metavar="N",
                     help="Threads per process. [default: one per core]"),
        click.option("--processes", type=click.IntRange(1), metavar="N",
                     help="Worker processes on this machine's CPU. [default: this process only]"),
        click.option("--devices", type=Numbers(),
                     help="GPUs to use, one worker process each: 0,1. [default: the first GPU, in this process]"),
        click.option("--runner", type=click.Choice(["local", "ray"]), default="local", show_default=True,
                     help="local: this machine. ray: a Ray cluster whose nodes reach all paths."),
        click.option("--ray-address", metavar="ADDRESS",
                     help="auto (a running cluster, else a local one), local, or HOST:PORT. [default: auto]"),
        click.option("--ray-actors", type=click.IntRange(1), metavar="N",
                     help="Number of actors. [default: one per GPU; on CPUs, cores ÷ --threads]"),
        click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors."),
        click.option("-v", "--verbose", is_flag=True,
                     help="Print also how busy each stage is and which photographs are left out."),
        click.option("--log-format", type=click.Choice(get_args(LogFormat)), default="text", show_default=True,
                     help="json: one JSON object per line on stderr."),
        click.option("--log-every", type=click.FloatRange(0), default=30.0, show_default=True, metavar="SECONDS",
                     help="Progress interval when stderr is not a terminal; 0 disables."),
    ),
    "Advanced": (
        click.option("--spacing", type=click.Choice(SPACINGS),
                     help="How the K steps are placed: at equal distances, or closer where there is little noise. "
                     + _presets(lambda p: p.spacing)),
        click.option("--solver", type=click.Choice((*SOLVERS, LEARNED)),
                     help="Sampler. learned: a table of `degrade-engine calibrate solver`, given with --recipe. "
                     + _presets(lambda p: p.solver)),
        click.option("--eta", type=click.FloatRange(0, 1), metavar="0..1",
                     help="Noise of ddim: 0 is deterministic, 1 is as much as ddpm."),
        click.option("--fusion-weight", type=click.FloatRange(0, 1), metavar="0..1",
                     help="For UDDM: share of P-DDM in each LR; 0 is DDM alone. [default: 0.5]"),
        click.option("--variety", type=click.FloatRange(0, MOST_CHANCE), metavar="0..2",
                     help="For realdgen-small: how much the degradation differs from pair to pair. 0: all pairs have "
                     f"the camera's mean. [default: {_ONE.variety:g}]"),
        click.option("--temperature", type=click.FloatRange(0, MOST_CHANCE), metavar="0..2",
                     help="For realdgen-small: how much noise of its own each LR gets. "
                     f"[default: {_ONE.temperature:g}]"),
        click.option("--tile-overlap", type=click.IntRange(1), metavar="PX",
                     help="Least overlap of neighbouring tiles in LR pixels. [default: a quarter of the engine's LR "
                     "size]"),
        click.option("--batch", type=click.IntRange(1), metavar="N",
                     help=f"Pairs per batch of the engine that --model builds. [default: {BATCH}]"),
        click.option("--cache", type=FOLDER,
                     help=f"Cache folder for the engines of --model. [default: {CACHE}, or the user's cache folder]"),
        click.option("--pixel-limit", type=click.IntRange(1), default=PIXEL_LIMIT, show_default=True, metavar="N",
                     help="Reject images with more pixels, before they are decoded. Pixels of more than "
                     f"{BYTES_A_PIXEL} bytes are rejected, too."),
        click.option("--identity", type=click.Choice(IDENTITIES), default="size", show_default=True,
                     help="How a changed photograph is noticed: by file size, by size and time, or by hash. hash reads "
                     "every file once more."),
        click.option("--patience", type=click.FloatRange(0, 86400), default=PATIENCE_S, show_default=True,
                     metavar="SECONDS",
                     help="How long a read, or a request to an object store, that fails is tried again before the run "
                     "stops."),
        click.option("--rescan", is_flag=True, help="Scan the photographs again, although inventory.jsonl exists."),
        click.option("--png-level", type=PngLevels(),
                     help="How PNG files are written: fast, by our own writer, or by zlib with this level. Level 2 "
                     "takes six times as long as fast for files as small. 0 does not compress. [default: fast; 2 "
                     "where nothing was compiled; a run that goes on keeps its own]"),
        click.option("--shard-pairs", type=click.IntRange(1), metavar="N",
                     help="Pairs per shard, rounded down to whole batches. A stopped run repeats at most one shard. "
                     "[default: an eighth of the run, "
                     f"at most {plans.MOST_SHARD_PAIRS}]"),
        click.option("--grace", type=click.FloatRange(0), default=GRACE_SECONDS, show_default=True, metavar="SECONDS",
                     help="Time for the current batch to end after Ctrl-C or SIGTERM. A second signal stops at once."),
        click.option("--lease", "lease_s", type=click.IntRange(5), default=int(LEASE_S), show_default=True,
                     metavar="SECONDS",
                     help="Seconds without a heartbeat before a worker on another machine is presumed dead and its "
                     "shards are reassigned. Use one value for all workers."),
    ),
}  # fmt: skip


def generate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds them to a command, in their order."""
    for heading, options in reversed(GROUPS.items()):
        command = option_group(heading, *options)(command)
    return command
