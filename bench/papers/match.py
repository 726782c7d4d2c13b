"""Does `match` say which LR are nearest a camera's? Generators in its order and in that of PSNR to the real LR.

    degrade-engine bench papers match --data DATA --engine ENGINE -o bench/results/match.jsonl

The HR of true pairs are made small by each generator. PSNR sees the real LR of the same scenes. `match` sees other
photographs of the camera: Canon 001 to 020 for 021 to 030, and of DRealSR's cameras the half that may be used unpaired
for the half that is reported. Rows: of a generator, its PSNR and by how much each measure differs from the camera's, in
units of what passes for none; of a measure, the rank correlation (Spearman) of both orders over the generators.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np

from degrade_engine.engine.api import Engine
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.report.gathered import Gathered
from degrade_engine.engine.report.match import apart, compare
from degrade_engine.engine.report.measures import MEASURES
from degrade_engine.engine.report.verdict import Verdict

from .. import metrics
from ..machine import stamp
from ..options import FOLDER, ROWS_WRITTEN
from ..rows import Row, markdown, rows_of, write_rows
from .baselines import Baseline
from .corpus import CHOSEN, CORPUS, TRAINED, canon
from .true_pairs import Image, Pairs, with_references

REAL = "the real LR"
BLURRED = (0.5, 1.0, 1.5)  # LR pixels
NOISE = (1.0, 2.0, 5.0)  # grey levels
DEGRADERS = ("Real-ESRGAN", "BSRGAN")
Make = Callable[[Pairs], list[Image]]


@dataclass(frozen=True)
class Camera:
    """One. shots: other photographs of it."""

    name: str
    pairs: Pairs
    shots: list[Image]


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@click.option(
    "--engine",
    "engines",
    type=FOLDER,
    multiple=True,
    help="Folder of an engine to rank, at its recommended recipe. Can be repeated.",
)
@ROWS_WRITTEN
def main(data: Path, engines: tuple[Path, ...], out: Path) -> None:
    """Rank generators by `match` and by PSNR to the real LR.

    \b
    Example:
      degrade-engine bench papers match --data corpus --engine engine -o match.jsonl

    Generators are bicubic, blurred, noisy, Real-ESRGAN, BSRGAN, each engine, and the real LR itself.
    """
    rows: list[Row] = []
    with ExitStack() as stack:
        opened = [stack.enter_context(Engine.open(path, lr_size=128, threads=1)) for path in engines]
        for camera in cameras(data):
            own = list(generators(camera, opened))
            rows += own + correlations(own)
            for row in rows[-len(MEASURES) - 2 :]:
                click.echo(f"{row['camera']}  {row['measure']}  {row['rank_correlation']}")
    write_rows(out, [row | stamp() for row in rows])


def cameras(data: Path) -> Iterator[Camera]:
    """Canon's pairs on which settings may be chosen, then the two of DRealSR where they are."""
    chosen = canon(data, CHOSEN)
    pairs = with_references("Canon", *([read_rgb(path) for path in side] for side in zip(*chosen, strict=True)))
    yield Camera("Canon 021 to 030", pairs, [read_rgb(lr) for _, lr in canon(data, TRAINED)])
    folder = data / "pairs_drealsr_dev"
    if not folder.is_dir():
        return
    with (folder / "split.tsv").open(newline="") as lines:
        split = list(csv.DictReader(lines, delimiter="\t"))
    for name in sorted({row["camera"] for row in split}):
        mine = [row for row in split if row["camera"] == name]
        report = [(folder / "HR" / row["name"], folder / "LR" / row["lr"]) for row in mine if row["part"] == "report"]
        pairs = with_references(name, *([read_rgb(path) for path in side] for side in zip(*report, strict=True)))
        yield Camera(f"DRealSR {name}", pairs,
                     [read_rgb(folder / "LR" / row["lr"]) for row in mine if row["part"] == "tune"])  # fmt: skip


def generators(camera: Camera, engines: list[Engine]) -> Iterator[Row]:
    """A row of each."""
    pairs = camera.pairs
    bicubic = [resize_bicubic(hr, lr.shape[:2]) for hr, lr in zip(pairs.hr, pairs.lr, strict=True)]
    blurred = {f"bicubic, Gaussian {sigma:g}": (lambda s=sigma: [cv2.GaussianBlur(b, (0, 0), s) for b in bicubic])
               for sigma in BLURRED}  # fmt: skip
    noisy = {f"bicubic, noise {level:g}": (lambda v=level: [with_noise(b, v, at) for at, b in enumerate(bicubic)])
             for level in NOISE}  # fmt: skip
    made: dict[str, Callable[[], list[Image]]] = {
        "bicubic": lambda: bicubic,
        **blurred,
        **noisy,
        "bicubic, Gaussian 0.5, noise 1": lambda: [
            with_noise(cv2.GaussianBlur(b, (0, 0), 0.5), 1.0, at) for at, b in enumerate(bicubic)
        ],
        **{name: (lambda n=name: Baseline(n).make(pairs, 0)) for name in DEGRADERS},
        **{one.spec.kind: (lambda e=one: by_engine(e, camera)) for one in engines},
        REAL: lambda: pairs.lr,
    }
    scenes, shots = ([str(at) for at in range(len(some))] for some in (pairs.lr, camera.shots))
    for name, make in made.items():
        lr = make()
        seen = Gathered(lr[0].shape[0], lr, bicubic, scenes, camera.shots, shots)
        distances, halves = apart(seen)
        psnr = [metrics.psnr(a, b) for a, b in zip(lr, pairs.lr, strict=True)]
        yield {
            "camera": camera.name, "generator": name, "scenes": len(lr), "shots": len(shots),
            "psnr_db": None if name == REAL else round(float(np.mean(psnr)), 3),
            "differs": differences(compare(lr, bicubic, scenes, camera.shots, shots)),
            "frechet": round(distances["lr"].value, 4), "frechet_interval": distances["lr"].interval and [round(edge, 4) for edge in distances["lr"].interval],
            "frechet_of_halves": halves and round(halves, 4),
        }  # fmt: skip


def with_noise(image: Image, level: float, seed: int) -> Image:
    """White noise in R, G and B."""
    noise = np.random.default_rng(seed).normal(0, level, image.shape)
    return np.asarray(np.clip(np.rint(image + noise), 0, 255).astype(np.uint8))


def by_engine(engine: Engine, camera: Camera) -> list[Image]:
    """References are the camera's other photographs, in turn."""
    hr, spec = np.stack(camera.pairs.hr), engine.spec
    reference = np.stack([camera.shots[at % len(camera.shots)] for at in range(len(hr))])
    recipe = Recipe.named(spec.kind, "recommended")
    reads = reference if spec.model_kind.reads_reference else None
    return list(engine.degrade(hr, reads, recipe=recipe, scale=camera.pairs.scale, seed=0).lr)


def differences(verdict: Verdict) -> dict[str, float]:
    """Of LR from the camera, by measure, in units of what passes for none; their mean, at most 10 each, as "mean"."""
    lr, real = (column.means for column in (verdict.column("lr"), verdict.column("real")) if column)
    found = {}
    for of in MEASURES:
        one, other = lr[of.key], real[of.key]
        if one and other:
            found[of.key] = round(abs(one.value - other.value) / max(of.alike, of.share * abs(other.value)), 3)
    return found | {"mean": round(float(np.mean([min(value, 10.0) for value in found.values()])), 3)}


def correlations(rows: list[Row]) -> list[Row]:
    """A row of each measure: Spearman's rank correlation of nearness by it and PSNR, over the generators that both
    know; the real LR is the nearest by PSNR."""
    psnr = [np.inf if row["psnr_db"] is None else row["psnr_db"] for row in rows]
    by = {key: [row["differs"].get(key, np.nan) for row in rows] for key in (*(of.key for of in MEASURES), "mean")}
    return [
        {"camera": rows[0]["camera"], "measure": name, "generators": len(rows),
         "rank_correlation": rank_correlation(psnr, [-value for value in values])}
        for name, values in {**by, "frechet": [row["frechet"] for row in rows]}.items()
    ]  # fmt: skip


def rank_correlation(one: list[float], other: list[float]) -> float | None:
    """Of the values that both have; None for fewer than three."""
    from scipy.stats import spearmanr

    both = [pair for pair in zip(one, other, strict=True) if not np.isnan(pair).any()]
    return round(float(spearmanr(*zip(*both, strict=True)).statistic), 3) if len(both) > 2 else None


# ---- the tables of docs/is-it-good.md ----


def table(folder: Path) -> str:
    """The generators, by camera: PSNR, Fréchet distance and mean difference."""
    rows = [row for row in rows_of(folder, "match") if "generator" in row]
    names = list(dict.fromkeys(row["camera"] for row in rows))
    by = {(row["camera"], row["generator"]): row for row in rows}
    body = []
    for name in dict.fromkeys(row["generator"] for row in rows):
        cells = [by.get((camera, name)) for camera in names]
        body.append([name, *(_cell(row) for row in cells)])
    return markdown(["PSNR · Fréchet distance · mean difference", *names], body)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    psnr = "–" if row["psnr_db"] is None else f"{row['psnr_db']:.2f}"
    return f"{psnr} · {row['frechet']:.2f} · {row['differs']['mean']:.1f}"


def ranks(folder: Path) -> str:
    """The rank correlations, by camera."""
    rows = [row for row in rows_of(folder, "match") if "rank_correlation" in row]
    names = list(dict.fromkeys(row["camera"] for row in rows))
    words = {of.key: of.name for of in MEASURES} | {"mean": "mean over the measures", "frechet": "Fréchet distance"}
    by = {(row["camera"], row["measure"]): row["rank_correlation"] for row in rows}
    body = [[said, *("–" if by.get((name, key)) is None else f"{by[name, key]:.2f}" for name in names)]
            for key, said in words.items()]  # fmt: skip
    return markdown(["measure", *names], body)
