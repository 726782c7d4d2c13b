"""Does the noise of LR follow the camera's? Five cameras' noisy photographs as references, one content.

    degrade-engine bench papers noise --data DATA --engine ENGINE -o bench/results/noise.jsonl

A reference's noise is a PolyU photograph less the mean of many shots of its scene (Xu et al., 2018). That of an LR is
half of the difference between two LR of the same pair that differ in their seed alone: what the engine drew, without
the content. Both are measured where the content is flatter than its median, as `bench papers camera` does. The content
is the HR of Canon pairs. The bundled models saw PolyU's photographs in training, with other contents.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np

from degrade_engine.engine.api import Engine
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.engine.recipe import Recipe
from degrade_engine.originals.noise import roughness

from ..machine import context
from ..options import FOLDER, ROWS_APPENDED
from ..rows import Row, add_row, markdown, rows_of
from . import camera
from .corpus import CORPUS
from .jobs import several
from .true_pairs import Image, read_pairs

SHOWN = {"luma_sd": "luma, sd", "cb_share": "Cb by luma", "cr_share": "Cr by luma", "luma_lag1": "luma, next pixel",
         "cb_lag1": "Cb, next pixel"}  # fmt: skip


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@click.option("--engine", "folder", type=FOLDER, required=True, help="Folder of an engine that reads references.")
@click.option(
    "--split",
    type=click.Choice(["chosen", "reported"]),
    default="reported",
    show_default=True,
    help="Canon scenes whose HR is the content. chosen: 021 to 030. reported: 031 to 050.",
)
@ROWS_APPENDED
def main(data: Path, folder: Path, split: str, out: Path) -> None:
    """Measure whether the noise of LR follows the noise of the references.

    \b
    Example:
      degrade-engine bench papers noise --data corpus --engine engine \\
        -o noise.jsonl

    The references are photographs of PolyU's five cameras. The recipe is the recommended one.
    """
    with Engine.open(folder) as engine:
        recipe, size = Recipe.named(engine.spec.kind, "recommended"), engine.spec.lr_size
        pairs = read_pairs(data, split, size)
        plain = [resize_bicubic(hr, (size, size)) for hr in pairs.hr]
        for name, files in shots(data).items():
            own = [smoothest(path, size) for path in files]
            turn = several([own[at % len(own)][0] for at in range(len(plain))], recipe.references)
            one, other = (
                list(engine.degrade(pairs.hr, turn, recipe=recipe, scale=pairs.scale, seed=seed).lr) for seed in (0, 1)
            )
            row: Row = {
                "camera": name, "photographs": len(own), "kind": engine.spec.kind, "references": recipe.references,
                "split": split, "pairs": len(plain),
                "reference": mean(camera.noise(real, still, still) for real, still in own),
                "output": drawn(one, other, plain),
            }  # fmt: skip
            add_row(out, row | context(engine))
            click.echo(f"{name:10} reference {row['reference']} output {row['output']}")


def shots(data: Path) -> dict[str, list[Path]]:
    """PolyU's noisy photographs by camera."""
    found: dict[str, list[Path]] = {}
    for path in sorted((data / "pairs_polyu_noise").glob("*_real.JPG")):
        found.setdefault(path.name.split("_")[0], []).append(path)
    return found


def smoothest(path: Path, size: int) -> tuple[Image, Image]:
    """The square of a photograph that is smoothest but for its noise, and the mean of all shots of it."""
    real, still = read_rgb(path), read_rgb(path.with_name(path.name.replace("_real", "_mean")))
    rows, columns = (range(0, n - size + 1, size // 2) for n in real.shape[:2])
    at = min((np.s_[y : y + size, x : x + size] for y in rows for x in columns), key=lambda one: roughness(still[one]))
    return real[at], still[at]


def drawn(lr: list[Image], other: list[Image], plain: list[Image]) -> dict[str, float]:
    """The noise of LR that differ from others in their seed alone. plain: the same without noise."""
    found = mean(camera.noise(*images) for images in zip(lr, other, plain, strict=True))
    return found | {"luma_sd": round(found["luma_sd"] / 2**0.5, 3)}


def mean(noises: Iterable[np.ndarray]) -> dict[str, float]:
    """Of each of SHOWN, over images."""
    every = dict(zip(camera.NOISE, np.array(list(noises)).T, strict=True))
    return {key: round(float(np.nanmean(every[key])), 3) for key in SHOWN}


def table(folder: Path) -> str:
    """Reference → output, a row for each kind of engine and camera."""
    body = [
        [f"{row['kind']}, {row['camera']}"]
        + [f"{row['reference'][key]:.2f} → {row['output'][key]:.2f}" for key in SHOWN]
        for row in rows_of(folder, "noise")
    ]
    return markdown(["kind, reference's camera", *SHOWN.values()], body)
