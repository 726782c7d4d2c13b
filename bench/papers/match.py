"""Does `match` say which LR are nearest a camera's? Generators in its order and in that of PSNR to the real LR.

PSNR sees the real LR of the same scenes. `match` sees other photographs of the camera: Canon 001 to 020 for 021 to 030,
and of DRealSR's cameras the half that may be used unpaired for the half that is reported. Rows: of a generator, its
PSNR and its distance from the camera by each measure; of a measure, the rank correlation (Spearman) of both orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import cv2
import numpy as np

from degrade_engine.engine.api import Engine
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.report.gathered import Gathered
from degrade_engine.engine.report.match import far
from degrade_engine.engine.report.measures import MEASURES, distances, measure

from .. import metrics
from ..machine import stamp
from ..options import FOLDER, ROWS_WRITTEN
from ..rows import Row, markdown, rows_of, write_rows
from .baselines import Baseline
from .corpus import CHOSEN, CORPUS, REPORTED, TRAINED, canon, drealsr
from .jobs import several
from .true_pairs import Image, Pairs, read_files

REAL = "the real LR"
BLURRED = (0.5, 1.0, 1.5)  # LR pixels
NOISE = (1.0, 2.0, 5.0)  # grey levels
DEGRADERS = ("Real-ESRGAN", "BSRGAN")
MEAN, FRECHET = "all measures", "fine detail"
CANON = "Canon 031 to 050"  # on which worth is tested
WORTH = {
    "bicubic": "bicubic", "bicubic, Gaussian 0.5": "bicubic, Gaussian sigma 0.5",
    "bicubic, noise 1": "bicubic, noise 1 added", "bicubic, noise 2": "bicubic, noise 2 added",
    "Real-ESRGAN": "realesrgan", "BSRGAN": "bsrgan", "lway": "lway",
    "realdgen": "realdgen", "onecall": "onecall", REAL: "true pairs",
}  # fmt: skip
"""The generators whose worth was measured, by the names that they have there."""


@dataclass(frozen=True)
class Camera:
    """One. shots: other photographs of it."""

    name: str
    pairs: Pairs
    shots: list[Image]


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@click.option("--engine", "engines", type=FOLDER, multiple=True,
    help="Folder of an engine to rank, at its recommended recipe. Can be repeated.")  # fmt: skip
@ROWS_WRITTEN
def main(data: Path, engines: tuple[Path, ...], out: Path) -> None:
    """Rank generators by `match` and by PSNR to the real LR.

    \b
    Example:
      degrade-engine bench papers match --data corpus \\
        --engine engine -o match.jsonl

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
    """Canon's pairs on which settings may be chosen and those that are reported, then the two of DRealSR where they
    are."""
    shots = [read_rgb(lr) for _, lr in canon(data, TRAINED)]
    for numbers in (CHOSEN, REPORTED):
        files = canon(data, numbers)
        yield Camera(f"Canon {numbers[0]:03d} to {numbers[-1]:03d}", read_files("Canon", files), shots)
    if not (data / "pairs_drealsr_dev").is_dir():
        return
    tune = drealsr(data, "tune")
    for name, files in sorted(drealsr(data, "report").items()):
        yield Camera(f"DRealSR {name}", read_files(name, files), [read_rgb(lr) for _, lr in tune[name]])


def generators(camera: Camera, engines: list[Engine]) -> Iterator[Row]:
    """A row of each."""
    pairs = camera.pairs
    bicubic = [resize_bicubic(hr, lr.shape[:2]) for hr, lr in zip(pairs.hr, pairs.lr, strict=True)]
    plain = [(sigma, 0.0) for sigma in (0.0, *BLURRED)] + [(0.0, level) for level in NOISE] + [(0.5, 1.0)]
    made: dict[str, Callable[[], list[Image]]] = {
        **{named(*one): partial(degraded, bicubic, *one) for one in plain},
        **{name: partial(Baseline(name).make, pairs, 0) for name in DEGRADERS},
        **{one.spec.kind: partial(by_engine, one, camera) for one in engines},
        REAL: lambda: pairs.lr,
    }
    scenes, shots = ([str(at) for at in range(len(some))] for some in (pairs.lr, camera.shots))
    measured = {"real": [measure(one) for one in camera.shots], "bicubic": [measure(one) for one in bicubic]}
    for name, make in made.items():
        lr = make()
        own = measured | {"lr": [measure(one) for one in lr]}
        found = far(Gathered(lr[0].shape[0], lr, bicubic, scenes, camera.shots, shots), own)
        by_measure = distances(own["lr"], own["real"])
        psnr = [metrics.psnr(a, b) for a, b in zip(lr, pairs.lr, strict=True)]
        yield {
            "camera": camera.name, "generator": name, "scenes": len(lr), "shots": len(shots),
            "psnr_db": None if name == REAL else round(float(np.mean(psnr)), 3),
            "by_measure": {key: round(value, 3) for key, value in by_measure.items()}, "distance": found.to_json(),
        }  # fmt: skip


def named(sigma: float, level: float) -> str:
    """Such as "bicubic, Gaussian 0.5, noise 1"."""
    return "bicubic" + f", Gaussian {sigma:g}" * (sigma > 0) + f", noise {level:g}" * (level > 0)


def degraded(bicubic: list[Image], sigma: float, level: float) -> list[Image]:
    """Under a Gaussian, then with white noise in R, G and B."""
    found = []
    for at, image in enumerate(bicubic):
        soft = cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image
        noise = np.random.default_rng(at).normal(0, level, image.shape) if level else 0.0
        found.append(np.clip(np.rint(soft + noise), 0, 255).astype(np.uint8))
    return found


def by_engine(engine: Engine, camera: Camera) -> list[Image]:
    """References are the camera's other photographs, in turn."""
    hr, spec = np.stack(camera.pairs.hr), engine.spec
    recipe = Recipe.named(spec.kind, "recommended")
    shots = several(camera.shots, recipe.references)
    reads = [shots[at % len(shots)] for at in range(len(hr))] if spec.model_kind.reads_reference else None
    return list(engine.degrade(hr, reads, recipe=recipe, scale=camera.pairs.scale, seed=0).lr)


def correlations(rows: list[Row]) -> list[Row]:
    """A row of each measure: Spearman's rank correlation of nearness by it and PSNR, over the generators that both
    know; the real LR is the nearest by PSNR."""
    psnr = [np.inf if row["psnr_db"] is None else row["psnr_db"] for row in rows]
    return [
        {"camera": rows[0]["camera"], "measure": name, "generators": len(rows),
         "rank_correlation": rank_correlation(psnr, [-value for value in values])}
        for name, values in by_measure(rows).items()
    ]  # fmt: skip


def by_measure(rows: list[Row]) -> dict[str, list[float]]:
    """The distances of the generators' rows, by measure; nan where there is none."""
    found = {of.key: [row["by_measure"].get(of.key, np.nan) for row in rows] for of in MEASURES}
    return found | {MEAN: [row["distance"]["measures"]["lr"] for row in rows],
                    FRECHET: [row["distance"]["frechet"]["lr"]["distance"] for row in rows]}  # fmt: skip


def rank_correlation(one: list[float], other: list[float]) -> float | None:
    """Of the values that both have; None for fewer than three."""
    from scipy.stats import spearmanr

    both = [pair for pair in zip(one, other, strict=True) if not np.isnan(pair).any()]
    return round(float(spearmanr(*zip(*both, strict=True)).statistic), 3) if len(both) > 2 else None


# ---- the tables of docs/is-it-good.md ----


def table(folder: Path) -> str:
    """The generators, by camera: PSNR, and both distances."""
    rows = [row for row in rows_of(folder, "match") if "generator" in row]
    names = list(dict.fromkeys(row["camera"] for row in rows))
    by = {(row["camera"], row["generator"]): row for row in rows}
    body = []
    for name in dict.fromkeys(row["generator"] for row in rows):
        cells = [by.get((camera, name)) for camera in names]
        body.append([name, *(_cell(row) for row in cells)])
    return markdown(["PSNR · by measures · of fine detail", *names], body)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    psnr = "–" if row["psnr_db"] is None else f"{row['psnr_db']:.2f}"
    distance = row["distance"]
    return f"{psnr} · {distance['measures']['lr']:.2f} · {distance['frechet']['lr']['distance']:.2f}"


def ranks(folder: Path) -> str:
    """The rank correlations, by camera; and those with the generators' worth on Canon."""
    rows = rows_of(folder, "match")
    known = [row for row in rows if "rank_correlation" in row]
    names = list(dict.fromkeys(row["camera"] for row in known))
    words = {of.key: of.name for of in MEASURES} | {MEAN: "**all measures**", FRECHET: "**fine detail** (Fréchet)"}
    by = {(row["camera"], row["measure"]): row["rank_correlation"] for row in known}
    worth = with_worth([row for row in rows if "generator" in row and row["camera"] == CANON], rows_of(folder, "worth"))
    body = [[said, *(_rank(by.get((name, key))) for name in names), _rank(worth.get(key))]
            for key, said in words.items()]  # fmt: skip
    return markdown(["nearness by", *(f"{name}, PSNR" for name in names), f"{CANON}, worth"], body)


def with_worth(rows: list[Row], worth: list[Row]) -> dict[str, float | None]:
    """Rank correlations of nearness and the SR network's PSNR, mean over seeds, by measure."""
    found = {name: [row["psnr_db"] for row in worth if row["generator"] == there and not row.get("camera")]
             for name, there in WORTH.items()}  # fmt: skip
    rows = [row for row in rows if found.get(row["generator"])]
    psnr = [float(np.mean(found[row["generator"]])) for row in rows]
    return {name: rank_correlation(psnr, [-value for value in values]) for name, values in by_measure(rows).items()}


def _rank(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")
