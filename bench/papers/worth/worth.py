"""What are the pairs worth? The same small SR network is trained on each set of pairs and tested on true pairs.

    degrade-engine bench papers worth --hr my/sharp --lr my/camera --test my/pairs --generator realdgen-small \\
        --generator theirs=elsewhere/pairs --work out/worth -o worth.jsonl

RealDGen's Table 1 asks this. First weights, order of crops and number of steps are the same for every set, and so are
the HR of all that `generate` makes; the LR is what differs. White noise decides much, so every set is tried with some:
a part of the test pairs chooses, the others are reported. A row is one set, one noise and one seed; one that is there
is not made again, so a stopped run goes on.
"""

from __future__ import annotations

import dataclasses
import shlex
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
from degrade_engine.originals.trainer import bf16_helps

from ... import metrics
from ...machine import stamp
from ...options import FOLDER, OUT, WORK, integer, one_of
from ...rows import Row, add_row, read_rows
from ..corpus import CORPUS
from . import picture
from .data import CAMERAS, TRUE, Data, own
from .generators import Generator, Maker, plan_of
from .pairs import Image, Pair, digest, likeness, noisy, read_pairs, with_noise, without_noise
from .table import BICUBIC, best_noise, leaderboard
from .trainer import NETWORKS, OLD_NAMES, SMALL, Network, seconds_a_step, train

FLOOR = "bicubic enlargement"
DEFAULT = (BICUBIC, "realesrgan", "realdgen-small")


def figures(data: Data, enlarge: Callable[[Image], Image]) -> Row:
    """All figures of an SR method: LR uint8 [h, w, 3] -> SR uint8 [scale·h, scale·w, 3]."""
    found = metrics.sr_figures([enlarge(pair.lr) for pair in data.reported], [pair.hr for pair in data.reported])
    if not data.chosen:
        return found
    chosen = np.mean([metrics.psnr(enlarge(pair.lr), pair.hr) for pair in data.chosen])
    return found | {"chosen_psnr_db": round(float(chosen), 4)}


class Clock:
    """Says now and then where a training is."""

    def __init__(self, title: str, steps: int) -> None:
        self.title, self.steps, self.began, self.said = title, steps, time.monotonic(), time.monotonic()

    def __call__(self, step: int, loss: float) -> None:
        now = time.monotonic()
        if now - self.said > 30:
            left = (now - self.began) / step * (self.steps - step)
            click.echo(f"{self.title}: step {step} of {self.steps}, L1 {loss:.4f}, {left:.0f} s left")
            self.said = now


@dataclass(frozen=True)
class Bench:
    """A run. about: what all of its rows say."""

    data: Data
    maker: Maker
    network: Network
    generators: list[Generator]
    noises: tuple[float, ...]
    out: Path
    about: Row

    def rows(self) -> list[Row]:
        """Those that are there, of this network and number of pairs on these test pairs."""
        return [row for row in read_rows(self.out) if self._mine(row)] if self.out.is_file() else []

    def _mine(self, row: Row) -> bool:
        network = row["network"] | {"name": OLD_NAMES.get(row["network"]["name"], row["network"]["name"])}
        keys = ("pairs_asked", "camera", "tests", "tests_sha256", "choosing")
        older = {key: self.about[key] for key in keys[-2:]}  # what rows did not say at first
        return network == self.about["network"] and all((older | row).get(key) == self.about.get(key) for key in keys)

    def rows_of(self, one: Generator) -> list[Row]:
        """Those of a generator, at any noise."""
        return [row for row in self.rows() if without_noise(row["generator"])[0] == one.name and "set" in row]

    def lacking(self, seed: int) -> list[tuple[Generator, float]]:
        """The rows of a seed that are not there. The first seed tries every noise; if pairs choose, the others have
        the one that it did best with (before that, any)."""
        rows, found = self.rows(), []
        there = {(row["generator"], row["seed"]) for row in rows}
        for one in self.generators:
            noises = self.noises
            if seed and self.data.chosen:
                best = best_noise(rows, one.name)
                noises = noises[:1] if best is None else (best,)
            found += [(one, noise) for noise in noises if (with_noise(one.name, noise), seed) not in there]
        return found

    def check(self, one: Generator) -> None:
        """Raises DegradeError without photographs to degrade, or where rows of the same name are of something else."""
        if self.data.hr is None and not one.of_pairs:
            raise DegradeError(f"{one.name} needs sharp photographs", wanted="--hr")
        for row in self.rows_of(one):
            asked = row["set"].get("asked")
            if isinstance(asked, list) and asked != one.asked:
                fact = f"{self.out} has rows of {one.name}, made by {' '.join(asked)}"
                raise DegradeError(fact, wanted=" ".join(one.asked), mend="another NAME=, or another --out")

    def row(self, one: Generator, folder: Path, noise: float, seed: int) -> Row:
        """Of a set, a noise and a seed. Raises DegradeError for a set that holds test pairs, or that has changed."""
        name = with_noise(one.name, noise)
        pairs = read_pairs(folder, self.maker.pairs)
        tests = {pair.lr.tobytes() for pair in (*self.data.chosen, *self.data.reported)}
        if known := [pair.name for pair in pairs if pair.lr.tobytes() in tests]:
            raise DegradeError(f"{one.name} holds {len(known)} of the test pairs, such as {known[0]}", wanted="others")
        sha256 = digest(pairs)
        if any(row["set"].get("sha256", sha256) != sha256 for row in self.rows_of(one)):
            fact = f"The pairs of {one.name} have changed since {self.out} got rows of them"
            raise DegradeError(fact, mend="another NAME=, or another --out")
        pairs, clock = noisy(pairs, noise), Clock(f"{name}, seed {seed}", self.network.steps)
        trained = train(pairs, self.network, seed, scale=self.data.scale, on_step=clock)
        page = {"asked": one.asked, "plan": plan_of(folder), "sha256": sha256}
        return {
            "generator": name, "seed": seed, "pairs": len(pairs), "set": page, "lq": likeness(pairs),
            "loss": round(float(np.mean(trained.losses[-50:])), 5),
        } | figures(self.data, lambda lr: super_resolve(trained.net, lr, self.data.scale))  # fmt: skip

    def record(self, row: Row) -> None:
        """On the disk, and said."""
        add_row(self.out, row | self.about)
        chosen = f"  choosing {row['chosen_psnr_db']:.3f}" if "chosen_psnr_db" in row else ""
        click.echo(f"{row['generator']:32} seed {row['seed']}  PSNR {row['psnr_db']:.3f}{chosen}")


def say_beforehand(bench: Bench, seeds: int) -> None:
    """What is tested on, and how long it will take by a few steps."""
    data, network, left = bench.data, bench.network, sum(len(bench.lacking(seed)) for seed in range(seeds))
    click.echo(f"{_named(data.chosen)} choose the noise, {_named(data.reported)} are reported" if data.chosen else
               f"{_named(data.reported)} are reported; no pairs choose, so each noise has a line")  # fmt: skip
    if not left:
        click.echo("Every row is there")
        return
    step = seconds_a_step(data.reported, network, scale=data.scale)
    tests, began = [*data.chosen, *data.reported], time.perf_counter()
    super_resolve(network.build(data.scale), tests[0].lr, data.scale)
    one = step * network.steps + (time.perf_counter() - began) * len(tests)
    precision = "bf16" if network.bf16 else "FP32"
    click.echo(f"{left} trainings of {network.steps} steps in {precision}, {step:.3f} s a step: about "
               f"{left * one / 60:.0f} minutes, and before that the sets of pairs")  # fmt: skip


def _named(pairs: list[Pair]) -> str:
    names = [pair.name for pair in pairs]
    return f"{len(names)} test pairs ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"


@click.command()
@click.option("--hr", metavar="WHERE", help="Sharp photographs to degrade, as for `generate`.")
@click.option("--lr", metavar="WHERE", help="Photographs of the camera: the references of models that read some.")
@click.option("--test", type=FOLDER,
    help="Folder of true pairs to test on, as `check` reads them: gt/ and lq/, or HR/ and LR/. Scale 4 or 2. Of LR "
    "larger than 256 pixels the middle is taken.")  # fmt: skip
@click.option("--camera", type=click.Choice(list(CAMERAS)),
    help="Instead of --hr, --lr and --test: cameras of the development corpus. No model was trained on "
    "drealsr's.")  # fmt: skip
@click.option("--data", type=FOLDER, help=f"For --camera. {CORPUS}")
@click.option("--generator", "asked", multiple=True, metavar="'[NAME=]WHAT [OPTIONS]'",
    help="What makes pairs: a degrader (bicubic), a model (its name, checkpoint, bundle or engine), or a folder of "
    "pairs from elsewhere. OPTIONS are those of `generate`: 'rec=realdgen-small --tau 0'. With --camera, 'true pairs' "
    f"are the camera's that may be trained on. Can be repeated. [default: {', '.join(DEFAULT)}; with --camera also "
    "true pairs]")  # fmt: skip
@click.option("--noise", "noises", type=click.FloatRange(0), metavar="SIGMA", multiple=True, default=(0.0, 1.0, 2.0),
    help="White noise added to the LR, in grey levels. Can be repeated: the best on the choosing pairs counts. "
    "[default: 0, 1 and 2]")  # fmt: skip
@click.option("--choose-share", "share", type=click.FloatRange(0, 1, max_open=True), metavar="SHARE", default=0.5,
    show_default=True,
    help="Share of the test pairs that choose the noise, evenly by name. The others are reported. 0: report every "
    "noise.")  # fmt: skip
@click.option("--choose", metavar="PATTERN", help="Names of the test pairs that choose, such as 'day1_*'.")
@one_of("--network", list(NETWORKS), SMALL.name,
    "SR network. srresnet-small: 8 blocks of 32 channels. srresnet: the paper's size, 100,000 steps. compact: "
    "Real-ESRGAN's SRVGGNetCompact, 16 convolutions of 64.")  # fmt: skip
@integer("--steps", None, "Steps of each training. [default: 500; srresnet: 100000]")
@integer("--pairs", 400, "Pairs per set.")
@integer("--seeds", 3, "Trainings per set, each with another random seed. The first tries every noise, the others the "
    "best.")  # fmt: skip
@integer("--threads", 1, "CPU threads.")
@click.option("--work", type=WORK, required=True, help="Folder for engines and sets of pairs. They are kept.")
@click.option("-o", "--out", type=OUT, required=True,
    help="File for the rows (JSON Lines). Rows are appended. A row that exists is not measured again.")  # fmt: skip
@click.option("--picture", "drawn", type=OUT, help="File for a picture of the table (SVG). [default: none]")
def main(
    hr: str | None, lr: str | None, test: Path | None, camera: str | None, data: Path | None, asked: tuple[str, ...],
    noises: tuple[float, ...], share: float, choose: str | None, network: str, steps: int | None, pairs: int,
    seeds: int, threads: int, work: Path, out: Path, drawn: Path | None,
) -> None:  # fmt: skip
    """Train the same SR network on each generator's pairs, and test it on true pairs.

    \b
    Example:
      degrade-engine bench papers worth --hr my/sharp --lr my/camera \\
        --test my/pairs --generator bicubic --generator realdgen-small \\
        --generator theirs=elsewhere/pairs --work out/worth -o worth.jsonl

    This is the question of RealDGen's Table 1. All sets made here have the same HR; only the LR differs. A row is one
    set, one noise and one seed. A stopped run continues with the same command. It ends with a table: PSNR, also with
    each test image's own gain and offset removed, and the share of the way from bicubic pairs to true pairs, if a
    generator is called 'true pairs'.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    found = _data(camera, data, work, (hr, lr, test), share, choose)
    learner = NETWORKS[network]
    learner = dataclasses.replace(learner, bf16=bf16_helps(), steps=steps or learner.steps)
    words = asked or (*DEFAULT, *([TRUE] if found.true else []))
    generators = [Generator.read(one if one != TRUE else f"{TRUE}={shlex.quote(str(found.true))}") for one in words]
    if len({one.name for one in generators}) < len(generators):
        raise DegradeError("Two generators have the same name", wanted="NAME=WHAT, with another NAME for each")
    about = {"network": dataclasses.asdict(learner), "tests": len(found.reported), "choosing": len(found.chosen),
             "tests_sha256": found.tests_sha256, "pairs_asked": pairs, "scale": found.scale, "threads": threads,
             "versions": tool_versions()} | stamp() | ({"camera": found.name} if found.name else {})  # fmt: skip
    maker, added = Maker(found, work, pairs, threads), tuple(sorted(set(noises)))
    bench = Bench(found, maker, learner, generators, added, out, about)
    for one in generators:
        bench.check(one)
    say_beforehand(bench, seeds)
    measure(bench, seeds)
    rows = bench.rows()
    click.echo(leaderboard(rows))
    if drawn is not None:
        drawn.write_text(picture.draw(rows))


def _data(
    camera: str | None, corpus: Path | None, work: Path, places: tuple[str | None, str | None, Path | None],
    share: float, choose: str | None,
) -> Data:  # fmt: skip
    """Of the development corpus, or one's own."""
    if (camera is None) != (corpus is None) or (camera and any(places)):
        raise click.UsageError("give --camera and --data, or --hr, --lr and --test")
    if camera is None or corpus is None:
        return own(*places, share, choose)
    return CAMERAS[camera](corpus, work)


def measure(bench: Bench, seeds: int) -> None:
    """Make the rows that are not there. Seeds are the outermost loop, so that a table of one seed is there early."""
    folders = {}
    for one in dict.fromkeys(one for seed in range(seeds) for one, _ in bench.lacking(seed)):
        began = time.monotonic()
        folders[one.name] = bench.maker.make(one)
        click.echo(f"{one.name}: the pairs are there, {time.monotonic() - began:.0f} s")
    if not any(row["generator"] == FLOOR for row in bench.rows()):
        bench.record({"generator": FLOOR, "seed": None} | figures(bench.data, enlarged(bench.data.scale)))
    for seed in range(seeds):
        for one, noise in bench.lacking(seed):
            bench.record(bench.row(one, folders[one.name], noise, seed))


def enlarged(scale: int) -> Callable[[Image], Image]:
    """What needs no training: each LR enlarged."""
    return lambda lr: resize_bicubic(lr, (scale * lr.shape[0], scale * lr.shape[1]))
