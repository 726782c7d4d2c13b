"""Is the generated LR like the real one? RealDGen's Table 3 and its ablations on true pairs, one JSONL row a setting.

A row of the same generator, setting and pairs is replaced where it stands, so that a file can be measured again in
place: `--again ROWS.jsonl -o ROWS.jsonl`. Seeds are fixed: the same engine makes the same row. A row's cost is its
denoiser calls; `speed`, `table12` and `latency` time them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from degrade_engine.engine.api import Engine
from degrade_engine.engine.errors import DegradeError

from ..options import EITHER, FILE, FOLDER, integer, one_of, random_seed, rows_replaced
from ..rows import read_rows, replaced, write_rows
from . import baselines, settings
from .baselines import Baseline
from .corpus import CORPUS
from .jobs import Bench, Job, asked_again, facts, generated, lacking
from .scores import Scores, open_scores
from .true_pairs import SPLITS, Pairs, read_folder, read_pairs

SCORING_S = 4.0  # of a row: its figures and their intervals, about


def seconds_a_call(engines: Sequence[Engine], pairs: Pairs) -> float:
    """Of the slowest engine's denoiser, for one image: a batch with one call less the same batch with none."""
    slowest = 0.0
    for engine in engines:
        spec, few = engine.spec, pairs.first(min(engine.spec.batch, len(pairs.hr)))
        took = []
        for tau in (0, 1) if spec.model_kind.has_steps else ():
            began = time.perf_counter()
            generated(engine, few, settings.made(start=spec.starts[0], tau=tau, steps=1, filter=False), seed=0)
            took.append(time.perf_counter() - began)
        if took:
            slowest = max(slowest, (took[1] - took[0]) / (len(few.hr) * spec.candidates))
    return slowest


def carry_out(jobs: Sequence[tuple[Job, Pairs]], scores: Scores, seed: int, out: Path, a_call: float) -> None:
    """Makes every row, the file written after each."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    lengths = [SCORING_S + a_call * job.calls for job, _ in jobs]
    calls = sum(job.calls for job, _ in jobs)
    console.print(f"{len(jobs)} rows, {calls:,} denoiser calls of one image at {a_call:.3f} s here: "
                  f"about {sum(lengths) / 60:.0f} min")  # fmt: skip
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("rows", total=sum(lengths))
        for (job, pairs), length in zip(jobs, lengths, strict=True):
            figures = scores(job.make(), pairs.lr)
            row = {"generator": job.generator, "setting": job.setting} | job.how | figures | job.about
            row |= facts(pairs, seed)
            write_rows(out, replaced(read_rows(out) if out.exists() else [], row))
            progress.advance(task, length)
            click.echo(line(row))


def line(row: dict[str, Any]) -> str:
    """A row for the eye."""
    setting = " ".join(f"{k}={v}" for k, v in row["setting"].items())
    return (
        f"{row['split']} {row['generator']:28} {setting:90} PSNR {row['psnr_db']:.2f} SSIM {row['ssim']:.3f} "
        f"gap {row['laplacian_gap']:.2f} ({row['laplacian_bias']:+.2f}) noise {row['noise_gap']:.2f} "
        f"({row['noise_bias']:+.2f}) spectrum {row['spectrum_db']:.2f} Fréchet {row['frechet_random']:.4f}"
    )


@click.command()
@click.option("--data", type=FOLDER, help=f"{CORPUS} Give this or --pairs.")
@click.option("--pairs", "folder", type=FOLDER,
    help="Folder of your own true pairs, aligned: HR/NAME and LR/NAME. Give this or --data.")  # fmt: skip
@one_of("--split", SPLITS, "reported",
    "Pairs of --data that are used. chosen: RealSR Canon scenes 021 to 030, on which settings may be chosen. "
    "reported: 031 to 050, for the figures that are reported. scale2: City100 Nikon, at scale 2.")  # fmt: skip
@click.option("--engine", "engines", type=FOLDER, multiple=True,
    help="Folder of an engine to measure, of any kind. Can be repeated. All need the same LR size.")  # fmt: skip
@click.option("--checkpoint", type=FILE,
    help="RealDGen checkpoint. --set table5 makes engines without one of the extractors from it.")  # fmt: skip
@click.option("--degrader", "degraders", type=click.Choice(baselines.NAMES), multiple=True, metavar="NAME",
    help=f"Degrader without networks to measure: {'; '.join(baselines.NAMES)}. Can be repeated. [default: all; those "
    "that need a file only with it]")  # fmt: skip
@click.option(
    "--weights", type=FILE, help="File weights.json of `calibrate degradation`, for the degrader 'binned, calibrated'."
)
@click.option("--cameras", type=FILE,
    help="File of `calibrate camera`, or of a model of `tune` (.json), for 'camera, fitted'.")  # fmt: skip
@click.option("--set", "sets", type=click.Choice(settings.NAMES), multiple=True,
    help="Set of settings to measure. table3: each kind of generator as its presets run it. table4: RealDGen over "
    "tau. table5: RealDGen without an extractor. table7: with and without the filter. curve: over solver, tau and "
    "steps. fusion: UDDM over its fusion weight. Can be repeated.")  # fmt: skip
@click.option("--settings", "listed", type=str, metavar="JSON",
    help="Your own settings, measured with every engine: a JSON list, e.g. '[{\"tau\": 30}]'. Keys: start, tau, "
    "steps, spacing, solver, eta, reference, filter. Each has a default.")  # fmt: skip
@click.option("--again", type=FILE, help="File of rows. Measure the settings of these rows again.")
@click.option(
    "--new", is_flag=True, help="Measure only what --out does not have yet. [default: measure all, and replace rows]"
)
@integer("--lr-size", None, "Side of the LR images in pixels. [default: the engines', or 128]", least=8, metavar="PX")
@integer("--scenes", None, "Use only the first N pairs, at least 2. [default: all]", least=2)
@click.option("--features-from", type=EITHER,
    help="RealDGen engine or checkpoint whose degradation extractor (E_deg) compares the images. [default: the first "
    "RealDGen engine]")  # fmt: skip
@click.option("--perceptual", "networks", type=FOLDER,
    help="Folder of weights for LPIPS, DISTS, FID and CLIP score. Those without files are left out. [default: none "
    "of them]")  # fmt: skip
@random_seed()
@integer("--threads", None, "Threads of the networks. [default: one per physical core]")
@rows_replaced("generator, setting and pairs")
def main(
    data: Path | None, folder: Path | None, split: str, engines: tuple[Path, ...], checkpoint: Path | None,
    degraders: tuple[str, ...], weights: Path | None, cameras: Path | None, sets: tuple[settings.Name, ...],
    listed: str | None, again: Path | None, new: bool, lr_size: int | None, scenes: int | None,
    features_from: Path | None, networks: Path | None, seed: int, threads: int | None, out: Path,
) -> None:  # fmt: skip
    """Compare generated LR with real LR, on true pairs (RealDGen's Table 3).

    \b
    Examples:
      degrade-engine bench papers quality --data corpus --engine engine \\
        --set table3 -o quality.jsonl
      degrade-engine bench papers quality --pairs my/pairs --engine engine \\
        --settings '[{"tau": 30}]' -o quality.jsonl

    Each engine and degrader makes LR from the HR of the true pairs. A row is one generator at one setting: how near its
    LR are to the real ones, and how alike they look.

    Say what to measure by --set, --settings or --again.
    """
    if (data is None) == (folder is None):
        raise DegradeError("Pairs were given twice, or not at all", wanted="exactly one of --data and --pairs")
    with ExitStack() as stack:
        opened = [stack.enter_context(Engine.open(path, threads=threads)) for path in engines]
        sizes = {engine.spec.lr_size for engine in opened} | ({lr_size} if lr_size else set()) or {128}
        if len(sizes) > 1:
            raise DegradeError(f"The LR sizes are {sorted(sizes)}", wanted="one, so that rows can be compared")
        given = {baselines.CALIBRATED: weights, baselines.FITTED: cameras}
        names = degraders or [n for n in baselines.NAMES if given.get(n, n) is not None]
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(opened, {n: Baseline(n, weights, cameras) for n in names}, checkpoint, stack, work, seed)
        known: dict[str, Pairs] = {}

        def pairs_of(name: str) -> Pairs:
            if name not in known:
                whole = read_folder(folder, max(sizes)) if folder else read_pairs(data or Path(), name, max(sizes))
                known[name] = whole.first(scenes or len(whole.hr))
                for sentence in whole.left_out:
                    click.echo(f"left out: {sentence}", err=True)
            return known[name]

        pairs = pairs_of(split)
        jobs = [(job, pairs) for name in sets for job in bench.jobs_of_set(name, pairs)]
        for setting in settings.parse_settings(listed or "[]"):
            jobs += [(bench.job_of(engine, setting, pairs), pairs) for engine in opened]
        if again is not None:
            jobs += asked_again(read_rows(again), bench, pairs_of)
        if not jobs:
            raise DegradeError("Nothing was asked for", wanted="--set, --settings or --again, with what they need")
        own = (path for path, engine in zip(engines, opened, strict=True) if engine.spec.kind == "realdgen")
        scores, missing = open_scores(features_from or next(own, None), networks, len(pairs.hr), threads)
        for sentence in missing:
            click.echo(sentence, err=True)
        if new and out.exists():
            jobs = lacking(jobs, read_rows(out), ["spectrum_db", *scores.sets], seed)
        carry_out(jobs, scores, seed, out, seconds_a_call(opened, pairs) if jobs else 0.0)
