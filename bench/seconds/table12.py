"""Table 12 of RealDGen on this machine: seconds per image, reading and writing included, and PSNR against the real LR.

True pairs have an HR of scale times the engine's LR size; the reference of one is the real LR of another. The original
is PyTorch, one image and one candidate at a time, as the authors' code does it (originals/realdgen/oracle.py), with the
published start, the Real-ESRGAN degradation of the HR. The paper's own figures are of other machines, another model and
an image size that it does not state: they are printed beside these, and a row of ours is not comparable with them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from degrade_engine.engine import draws
from degrade_engine.engine.api import Engine
from degrade_engine.engine.classical import realesrgan
from degrade_engine.engine.cores import cores
from degrade_engine.engine.images import encode_png, read_rgb, resize_bicubic
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.pipeline.batches import Runs
from degrade_engine.engine.planning import BATCH, Order, Planned, make_plan
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.runners import runner
from degrade_engine.engine.sampling.batch import Batch, Begun
from degrade_engine.engine.sampling.starts import StartEngine
from degrade_engine.engine.schedule import Schedule
from degrade_engine.kernels import pixels
from degrade_engine.originals.checkpoint import load
from degrade_engine.originals.realdgen.model import RealDGen
from degrade_engine.originals.realdgen.oracle import generate

from .. import metrics
from ..machine import processor, stamp
from ..options import FILE, FOLDER, ROWS_WRITTEN, integer
from ..rows import write_rows
from ..samples import squares
from .eager import normals

SEED = 0
PUBLISHED = {  # RealDGen, Table 12: platform, seconds per image, PSNR on RealSR
    "BSRGAN": ("4 CPU", 0.4267, 23.26),
    "Real-ESRGAN": ("4 V100", 0.1085, 24.39),
    "SynDiff": ("4 V100", 0.7801, 25.24),
    "RealDGen": ("4 V100", 0.6086, 26.16),
}
ONE_SHARD = 10**6  # pairs
SCALE = 4  # of the bundled photographs


@dataclass(frozen=True)
class Pair:
    """An HR, the reference, and what the camera really made of the HR, where that is known."""

    hr: Path
    reference: Path
    real: Path | None


@dataclass
class Timed:
    """What a way made: LR images by pair, seconds in all, of each batch, and of each batch without I/O: its networks,
    kernels and scores."""

    lr: list[np.ndarray]
    seconds: float
    batches: list[float]
    without_io: list[float]


class Stopwatch:
    """An engine, and seconds of each of its batches."""

    def __init__(self, engine: Runs) -> None:
        self.engine, self.hr_scale = engine, engine.hr_scale
        self.seconds: list[float] = []

    def begin(self, batch: Batch, **how: Any) -> Begun:
        began = time.perf_counter()
        result = self.engine.begin(batch, **how).result()
        self.seconds.append(time.perf_counter() - began)
        return Begun(True, lambda: result)


def true_pairs(folder: Path, count: int) -> list[Pair]:
    """So many pairs, over and over if there are fewer."""
    names = sorted(p.name for p in (folder / "HR").iterdir() if (folder / "LR" / p.name).is_file())
    if not names:
        raise click.ClickException(f"{folder} holds no pairs: wanted are HR/NAME.png and LR/NAME.png")
    one = [Pair(folder / "HR" / n, folder / "LR" / names[(i + len(names) // 2) % len(names)], folder / "LR" / n)
           for i, n in enumerate(names)]  # fmt: skip
    return [one[i % len(one)] for i in range(count)]


def bundled_pairs(samples: Path, lr_size: int, count: int, folder: Path) -> list[Pair]:
    """So many of sharp photographs and cameras' references, over and over: squares, written into the folder as PNG."""
    written: dict[str, list[Path]] = {"hr": [], "reference": []}
    for role, side in (("hr", SCALE * lr_size), ("reference", lr_size)):
        (folder / role).mkdir()
        for stem, image in squares(samples / role, side).items():
            written[role].append(folder / role / f"{stem}.png")
            written[role][-1].write_bytes(encode_png(image))
    sharp, camera = (cycle(written[role]) for role in written)
    return [Pair(hr, reference, None) for hr, reference in islice(zip(sharp, camera, strict=False), count)]


def order_of(pairs: Sequence[Pair], scale: int, folder: Path, with_reference: bool, **how: Any) -> Order:
    """The pairs as a pair list: everything in one shard, nothing kept but the pairs."""
    lines = ["hr,reference" if with_reference else "hr"]
    lines += [f"{p.hr.resolve()},{p.reference.resolve()}" if with_reference else str(p.hr.resolve()) for p in pairs]
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    root = Path("/")
    return Order(hr=root, reference=root if with_reference else None, pair_list=path, scale=scale, seed=SEED,
                 shard_pairs=ONE_SHARD, save_candidates=False, **how)  # fmt: skip


def by_plan(planned: Planned, engine: Any, schedule: Schedule, folder: Path) -> Timed:
    """The whole pipeline: decode, crop, networks, filter, encode, write."""
    plan, found = planned.plan, planned.sources
    ends: list[float] = []
    watched = Stopwatch(engine)
    began = time.perf_counter()
    page = runner.run(plan, folder / "pairs", engine=watched, schedule=schedule, folders=found.folders,
                      rejects=found.rejects, on_progress=lambda now: ends.append(time.perf_counter()))  # fmt: skip
    seconds = time.perf_counter() - began
    if page["pairs"] != plan.options.pairs:
        raise click.ClickException(f"{page['pairs']} of {plan.options.pairs} pairs were made: {page['rejects']}")
    images = [read_rgb(p) for p in sorted((folder / "pairs" / "lq").iterdir())]
    return Timed(images, seconds, np.diff([began, *ends[1:]]).tolist(), watched.seconds)


def by_engine(engine: Engine, recipe: Recipe, scale: int, pairs: Sequence[Pair], folder: Path) -> Timed:
    """An engine of any kind."""
    order = order_of(pairs, scale, folder, engine.spec.model_kind.reads_reference, engine=engine.folder, recipe=recipe)
    return by_plan(make_plan(order, engine), engine, engine.spec.schedule, folder)


def by_degrader(kind: str, scale: int, lr_size: int, pairs: Sequence[Pair], folder: Path) -> Timed:
    """A degradation without networks."""
    order = order_of(pairs, scale, folder, False, degrader=kind, lr_size=lr_size)
    return by_plan(make_plan(order, None), StartEngine(), Schedule(), folder)


def by_original(model: RealDGen, recipe: Recipe, scale: int, pairs: Sequence[Pair], folder: Path) -> Timed:
    """PyTorch, one image and one candidate at a time."""
    made, times, networks = [], [], []
    taus = draws.taus(SEED, recipe.tau, 0, len(pairs))  # the engine's
    for i, pair in enumerate(pairs):
        began = time.perf_counter()
        hr, reference = read_rgb(pair.hr), read_rgb(pair.reference)
        size = hr.shape[0] // scale
        theta = realesrgan.draw(SEED, i, realesrgan.REALESRGAN)
        start = realesrgan.apply(hr, theta, scale=scale, noise_seed=i)
        x_hr, x_lr, x_start = (
            torch.from_numpy(pixels.to_planar(image[None])[0])
            for image in (resize_bicubic(hr, (size, size)), reference, start)
        )

        def noise(candidate: int, step: int, i: int = i, size: int = size) -> np.ndarray:
            of_pair, of_candidate, of_step = (np.array([n], np.uint32) for n in (i, candidate, step))
            return normals(of_pair, of_candidate, of_step, size)[0].numpy()

        denoising = time.perf_counter()
        result = generate(model, x_hr, x_lr, x_start, int(taus[i]), noise, recipe.candidates)
        networks.append(time.perf_counter() - denoising)
        made.append(pixels.to_bytes(result.candidates[result.kept][None].numpy())[0])
        (folder / f"{i}.png").write_bytes(encode_png(made[-1]))
        times.append(time.perf_counter() - began)
    return Timed(made, sum(times), times, networks)


@dataclass(frozen=True)
class Way:
    """One way to make LR images. published: its name in the paper's table; recipe: of the networks, None without any;
    batch: images at a time."""

    name: str
    published: str
    run: Callable[[Sequence[Pair], Path], Timed]
    images: int
    batch: int
    recipe: Recipe | None = None

    def calls(self, images: int) -> float:
        """Of the denoiser, one a candidate and step, in whole batches; by the mean tau where every step is run."""
        if self.recipe is None:
            return 0
        steps = self.recipe.steps or sum(self.recipe.tau) / 2
        return -(-images // self.batch) * self.batch * self.recipe.candidates * steps

    def row(self, made: Timed, pairs: Sequence[Pair]) -> dict[str, Any]:
        """The measured figures, the paper's own beside them under their own names. PSNR is None without real LR."""
        both = zip(made.lr, pairs, strict=True)
        psnr = [metrics.psnr(lr, read_rgb(pair.real)) for lr, pair in both if pair.real is not None]
        p50, p95 = (float(np.percentile(made.batches, p)) for p in (50, 95))
        n, without_io = len(pairs), {}
        if self.recipe is not None:
            without_io = {f"batch_{name}_s_without_io": round(float(np.percentile(made.without_io, p)), 4)
                          for name, p in (("p50", 50), ("p95", 95))}  # fmt: skip
            without_io["images_a_second_without_io"] = round(n / sum(made.without_io), 3)
        platform, seconds, db = PUBLISHED[self.published]
        return {
            "name": self.name, "mean_s": round(made.seconds / n, 4), "images_a_second": round(n / made.seconds, 3),
            "mean_s_without_io": None if self.recipe is None else round(sum(made.without_io) / n, 4), **without_io,
            "batch_p50_s": round(p50, 4), "batch_p95_s": round(p95, 4),
            "psnr_db": round(float(np.mean(psnr)), 3) if psnr else None,
            "images": n, "io": True, "batch": self.batch, **in_short(self.recipe), "published_as": self.published,
            "published_platform": platform, "published_s": seconds, "published_psnr_db": db,
        }  # fmt: skip


def in_short(recipe: Recipe | None) -> dict[str, Any]:
    """The setting of a row."""
    if recipe is None:
        return {}
    low, high = recipe.tau
    return {"tau": low if low == high else [low, high], "steps": recipe.steps, "solver": recipe.solver,
            "start": recipe.start, "candidates": recipe.candidates}  # fmt: skip


def ways_of(
    model: RealDGen, engine: Engine, also: Sequence[Engine], syndiff: Engine | None, scale: int, images: int, slow: int
) -> list[Way]:
    """Every way, the cheapest first. also: engines of other precisions, and of one call. images: of the quick ways;
    slow: of those that run every step."""
    ways, batch = [], engine.spec.batch
    kinds = {"BSRGAN": "bsrgan", "Real-ESRGAN": "realesrgan"}
    for name, kind in kinds.items():
        run = partial(by_degrader, kind, scale, engine.spec.lr_size)
        ways.append(Way(name, name, run, images, BATCH))
    if syndiff is not None:
        for name, recipe in KINDS["syndiff"].recipes.items():
            run = partial(by_engine, syndiff, recipe, scale)
            count = slow if recipe.steps is None else images
            ways.append(Way(f"SynDiff, engine, {name}", "SynDiff", run, count, syndiff.spec.batch, recipe))
    recommended, paper = (KINDS["realdgen"].recipes[name] for name in ("recommended", "paper"))
    run = partial(by_engine, engine, recommended, scale)
    ways.append(Way("RealDGen, engine, recommended", "RealDGen", run, images, batch, recommended))
    for one in (one for one in also if one.spec.kind == "onecall"):
        label = f"RealDGen in one call, engine {one.spec.key.precision_computed}"
        for m in (1, 4):
            recipe = Recipe.named("onecall", "recommended").but(references=m)
            run, said = partial(by_engine, one, recipe, scale), f"{m} reference{'s' * (m > 1)}"
            ways.append(Way(f"{label}, {said}", "RealDGen", run, images, one.pairs(1), recipe))
    for one in (one for one in also if one.spec.kind == "realdgen"):
        label = f"RealDGen, engine {one.spec.key.precision_computed}"
        for name, recipe in {"recommended": recommended, "tau 1:30": paper}.items():
            count = images if recipe is recommended else slow
            run = partial(by_engine, one, recipe, scale)
            ways.append(Way(f"{label}, {name}", "RealDGen", run, count, one.spec.batch, recipe))
    for name, recipe in {"tau 1:30": paper, "tau 30": paper.but(tau=30)}.items():
        run = partial(by_engine, engine, recipe, scale)
        ways.append(Way(f"RealDGen, engine, {name}", "RealDGen", run, slow, batch, recipe))
        run = partial(by_original, model, recipe, scale)
        ways.append(Way(f"RealDGen, original, {name}", "RealDGen", run, slow, 1, recipe))
    return ways


def seconds_a_call(way: Way, pairs: Sequence[Pair], folder: Path) -> float:
    """Of the denoiser, and all else with it, by one batch of a way."""
    folder.mkdir()
    return way.run(pairs[: way.batch], folder).seconds / way.calls(way.batch)


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("--engine", "folder", type=FOLDER, required=True, help="Folder of the engine, built from CHECKPOINT.")
@click.option(
    "--also", type=FOLDER, multiple=True, help="Another engine to time, e.g. of precision bf16. Can be repeated."
)
@click.option("--syndiff", "other", type=FOLDER, help="Folder of a SynDiff engine to time. [default: no SynDiff row]")
@click.option("--pairs", "pairs_in", type=FOLDER,
    help="Folder of true pairs: HR/NAME and LR/NAME. Their real LR give the PSNR. [default: the photographs of "
    "--samples, without PSNR]")  # fmt: skip
@click.option("--samples", type=FOLDER, default=Path("samples"), show_default=True,
    help="Folder with the photographs that are used without --pairs: hr/ and reference/.")  # fmt: skip
@integer("--images", 100, "Images that each way makes. The paper has 100.")
@integer("--slow", 8, "Images of the slow ways: those that run every time step.")
@ROWS_WRITTEN
def main(
    checkpoint: Path,
    folder: Path,
    also: tuple[Path, ...],
    other: Path | None,
    pairs_in: Path | None,
    samples: Path,
    images: int,
    slow: int,
    out: Path,
) -> None:
    """Measure RealDGen's Table 12 on this machine: seconds per image, and PSNR.

    \b
    Example:
      degrade-engine bench table12 realdgen-tiny.safetensors --engine engine \\
        -o table12.jsonl

    CHECKPOINT is a RealDGen checkpoint. The rows are BSRGAN, Real-ESRGAN, SynDiff, and RealDGen in PyTorch and by the
    engine. Reading and writing of PNG files is included; loading of networks is not. PSNR is that of the generated LR
    against the real LR.
    """
    threads = cores()
    torch.set_num_threads(threads)
    rows = []
    with ExitStack() as stack:
        engine, *others = [stack.enter_context(Engine.open(one)) for one in (folder, *also)]
        syndiff = stack.enter_context(Engine.open(other)) if other else None
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        count = max(images, slow, engine.spec.batch)
        if pairs_in is None:
            pairs = bundled_pairs(samples, engine.spec.lr_size, count, scratch)
        else:
            pairs = true_pairs(pairs_in, count)
        scale = read_rgb(pairs[0].hr).shape[0] // engine.spec.lr_size
        place = {"lr_size": engine.spec.lr_size, "scale": scale, "devices": f"{processor()}, {threads} threads"}
        ways = ways_of(load(checkpoint, RealDGen)[0], engine, others, syndiff, scale, images, slow)
        quick = next(way for way in ways if way.name == "RealDGen, engine, recommended")
        call = seconds_a_call(quick, pairs, scratch / "first")
        for i, way in enumerate(ways, 1):
            left = call * sum(one.calls(one.images) for one in ways[i - 1 :])
            said = f"{way.name}, {way.images} images; about {left / 60:.1f} minutes left by the engine's first batch"
            click.echo(f"{i} of {len(ways)}: {said}", err=True)
            work = scratch / way.name
            work.mkdir()
            row = way.row(way.run(pairs[: way.images], work), pairs[: way.images]) | place | stamp()
            psnr = "" if row["psnr_db"] is None else f", {row['psnr_db']:.2f} dB"
            click.echo(f"{way.name:34} {row['mean_s']:8.4f} s per image{psnr}")
            rows.append(row)
    write_rows(out, rows)
