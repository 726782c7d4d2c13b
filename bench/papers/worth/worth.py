"""What are the pairs worth? The same small SR network is trained on each set of pairs and tested on true pairs.

    degrade-engine bench papers worth --data DATA --engine ENGINE ... --work out/worth -o bench/results/worth.jsonl

RealDGen's Table 1 asks this. HR crops, first weights, order of crops and number of steps are the same for every set;
the LR is what differs. The test is RealSR Canon x4, scenes 031 to 050, which neither degrader nor network has seen;
`chosen_psnr_db` is that of scenes 021 to 030, on which settings may be chosen. With `--camera drealsr` it is DRealSR's
two cameras, which no model was trained on: half of their LR are references, the other half is the test. A row is one
set and one seed; one that is there is not made again, so a stopped run goes on.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import torch

from degrade_engine.engine.artefact import tool_versions
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import resize_bicubic
from degrade_engine.originals.lway.adapt import super_resolve

from ... import metrics
from ...machine import stamp
from ...options import FOLDER, OUT, WORK
from ...rows import Row, add_row, read_rows
from ..corpus import CORPUS, drealsr
from ..true_pairs import Pairs, read_files, read_pairs
from .sets import SCALE, Maker, Scenes, likeness
from .trainer import PRESETS, Image, Preset, read_set, train
from .ways import BINNED, WAYS, Way

FLOOR = "bicubic enlargement"


@dataclass(frozen=True)
class Tests:
    """True pairs: those that are reported, and those that settings are chosen on, if there are such."""

    reported: Pairs
    chosen: Pairs | None

    @classmethod
    def read(cls, data: Path, camera: str) -> Tests:
        """Out of the development corpus."""
        if camera == "canon":
            return cls(read_pairs(data, "reported", 128), read_pairs(data, "chosen", 128))
        files = [pair for pairs in drealsr(data, "report").values() for pair in pairs]
        return cls(read_files(camera, files), None)

    def figures(self, enlarge: Callable[[Image], Image]) -> Row:
        """All figures of an SR method: LR uint8 [h, w, 3] -> SR uint8 [4h, 4w, 3]."""
        found = metrics.sr_figures([enlarge(lr) for lr in self.reported.lr], self.reported.hr)
        if self.chosen is None:
            return found
        made = [enlarge(lr) for lr in self.chosen.lr]
        chosen = np.mean([metrics.psnr(a, b) for a, b in zip(made, self.chosen.hr, strict=True)])
        return found | {"chosen_psnr_db": round(float(chosen), 4)}


def floor(tests: Tests) -> Row:
    """What needs no training: each LR enlarged."""

    def enlarge(lr: Image) -> Image:
        return resize_bicubic(lr, (SCALE * lr.shape[0], SCALE * lr.shape[1]))

    return {"generator": FLOOR, "seed": None} | tests.figures(enlarge)


class Clock:
    """Says after the first steps how long a training will take, and then now and then where it is."""

    def __init__(self, title: str, steps: int) -> None:
        self.title, self.steps, self.began, self.said = title, steps, time.monotonic(), 0.0

    def __call__(self, step: int, loss: float) -> None:
        now = time.monotonic()
        if step == 10 or now - self.said > 30 or step == self.steps:
            left = (now - self.began) / step * (self.steps - step)
            click.echo(f"{self.title}: step {step} of {self.steps}, L1 {loss:.4f}, {left:.0f} s left")
            self.said = now


def worth(way: Way, maker: Maker, preset: Preset, seed: int, tests: Tests) -> Row:
    """The row of a set and a seed."""
    page = maker.make(way)
    pairs = read_set(maker.folder(way), scale=SCALE, least=preset.crop)
    trained = train(pairs, preset, seed, scale=SCALE, on_step=Clock(f"{way.name}, seed {seed}", preset.steps))
    return {
        "generator": way.name, "seed": seed, "pairs": len(pairs), "set": page, "lq": likeness(pairs),
        "loss": round(float(np.mean(trained.losses[-50:])), 5),
    } | tests.figures(lambda lr: super_resolve(trained.net, lr, SCALE))  # fmt: skip


def line(row: Row) -> str:
    """A row for the eye."""
    told = f"PSNR {row['psnr_db']:.3f}  Y {row['psnr_y_db']:.3f}  SSIM {row['ssim']:.4f}"
    return f"{row['generator']:28} seed {row['seed']}  {told}  {row.get('lq', '')}"


def done(out: Path, about: Row) -> set[tuple[str, int | None]]:
    """(generator, seed) of the rows that are there with the same network and number of pairs."""
    rows = read_rows(out) if out.is_file() else []
    same = ("network", "pairs_asked", "camera")
    return {(row["generator"], row["seed"]) for row in rows if all(row.get(key) == about.get(key) for key in same)}


def ways_of(engines: dict[str, Path], weights: dict[str, Path], only: tuple[str, ...]) -> list[Way]:
    """What can be made with these engines and weights, and was asked for."""
    unknown = set(only) - {way.name for way in WAYS}
    if unknown:
        raise DegradeError(f"no set is called {min(unknown)!r}", wanted=" or ".join(way.name for way in WAYS))
    found = []
    for way in WAYS:
        if only and way.name not in only:
            continue
        if way.engine not in (None, *engines):
            click.echo(f"{way.name} is left out: no --engine is called {way.engine!r}")
        elif way.weights not in (None, BINNED, *weights):
            click.echo(f"{way.name} is left out: no --weights are called {way.weights!r}")
        else:
            found.append(way)
    return found


def named(given: str, called: Callable[[Path], str]) -> tuple[str, Path]:
    """NAME=PATH, or a path alone, which has its own name."""
    name, equals, path = given.rpartition("=")
    if not Path(path).exists():
        raise DegradeError(f"{path} is not there", wanted="a path, or NAME=PATH")
    return name if equals else called(Path(path)), Path(path)


def kind_of(engine: Path) -> str:
    """The kind of an engine's folder."""
    from degrade_engine.engine.api import Engine

    with Engine.open(engine) as opened:
        return str(opened.spec.kind)


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@click.option(
    "--engine",
    "folders",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="Engine built with --lr-size 64, which makes sets of pairs. Its name is its kind if you give none. "
    "Can be repeated.",
)
@click.option(
    "--weights",
    "files",
    multiple=True,
    metavar="[NAME=]FILE",
    help="Weights of the binned degrader, from `calibrate degradation`. Can be repeated. [default: fitted to "
    "the references]",
)
@click.option("--work", type=WORK, required=True, help="Folder for the sets of pairs. They are kept.")
@click.option(
    "--preset",
    "name",
    type=click.Choice(list(PRESETS)),
    default="cpu",
    show_default=True,
    help=f"Size of the SR network and length of the training. cpu: {PRESETS['cpu'].steps} steps. gpu: a "
    f"larger network, {PRESETS['gpu'].steps} steps.",
)
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Steps of each training. [default: the preset's]")
@click.option("--pairs", type=click.IntRange(1), metavar="N", default=400, show_default=True, help="Pairs per set.")
@click.option(
    "--seeds",
    type=click.IntRange(1),
    metavar="N",
    default=3,
    show_default=True,
    help="Trainings per set, each with another random seed.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Use only the set of this name, e.g. bicubic. Can be repeated. [default: every set that can be made]",
)
@click.option(
    "--camera",
    type=click.Choice(["canon", "drealsr"]),
    default="canon",
    show_default=True,
    help="Cameras of the references and the test. No model was trained on drealsr's.",
)
@click.option("--threads", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="CPU threads.")
@click.option(
    "-o",
    "--out",
    type=OUT,
    required=True,
    help="File for the rows (JSON Lines). Rows are appended. A row that exists is not measured again.",
)
def main(
    data: Path, folders: tuple[str, ...], files: tuple[str, ...], work: Path, name: str, steps: int | None, pairs: int,
    seeds: int, only: tuple[str, ...], camera: str, threads: int, out: Path,
) -> None:  # fmt: skip
    """Train the same SR network on each generator's pairs, and test it on true pairs.

    \b
    Example:
      degrade-engine bench papers worth --data corpus --engine engine \\
        --work out/worth -o worth.jsonl

    This is the question of RealDGen's Table 1. The sets have the same HR; only the LR differ. The test is RealSR Canon
    x4, scenes 031 to 050. A row is one set and one seed. A stopped run continues with the same command.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    preset = PRESETS[name] if steps is None else dataclasses.replace(PRESETS[name], steps=steps)
    engines = dict(named(folder, kind_of) for folder in folders)
    weights = dict(named(file, lambda _: BINNED) for file in files)
    maker = Maker(Scenes.read(data, camera), work, engines, pairs, seed=0, threads=threads, weights=weights)
    tests = Tests.read(data, camera)
    about = {"network": dataclasses.asdict(preset), "tests": len(tests.reported.hr), "pairs_asked": pairs,
             "scale": SCALE, "threads": threads, "versions": tool_versions()} | stamp()  # fmt: skip
    if camera != "canon":  # rows of Canon are older than the word
        about["camera"] = camera
    ways = ways_of(engines, weights, only)
    work.mkdir(parents=True, exist_ok=True)
    known = done(out, about)
    click.echo(f"{len(ways)} sets, {seeds} seeds each, {preset.steps} steps a training; {len(known)} rows are there")

    def record(row: Row) -> None:
        add_row(out, row | about)
        click.echo(line(row))

    if (FLOOR, None) not in known:
        record(floor(tests))
    for seed in range(seeds):  # outermost, so that a table of one seed is there early
        for way in ways:
            if (way.name, seed) not in known:
                record(worth(way, maker, preset, seed, tests))
