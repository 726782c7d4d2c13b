"""Does the output follow its reference? One content, references that differ in one thing: noise, blur, JPEG, nothing.

The references are other scenes' images. The last kind is no degradation: crops that are texture all over, of the
bundled cameras, whose fine texture measures as noise; the output should stay near the clean reference's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np

from degrade_engine.engine.api import Engine
from degrade_engine.engine.images import read_rgb
from degrade_engine.originals.noise import roughness

from .. import metrics
from ..machine import context
from ..options import FOLDER, ROWS_APPENDED, one_of
from ..rows import Row, add_row
from .corpus import CORPUS
from .jobs import generated
from .settings import parse_settings
from .true_pairs import Image, read_pairs

CAMERAS = Path(__file__).resolve().parents[2] / "samples" / "reference"


def noisy(sigma: float) -> Callable[[Image, int], Image]:
    """White Gaussian noise of `sigma` grey levels."""

    def apply(image: Image, seed: int) -> Image:
        z = np.random.default_rng(seed).normal(0, sigma, image.shape)
        return np.clip(np.rint(image + z), 0, 255).astype(np.uint8)

    return apply


def blurred(sigma: float) -> Callable[[Image, int], Image]:
    """A Gaussian of `sigma` LR pixels."""
    return lambda image, seed: cv2.GaussianBlur(image, (0, 0), sigma)


def jpeg(quality: int) -> Callable[[Image, int], Image]:
    """Real JPEG."""

    def apply(image: Image, seed: int) -> Image:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        decoded = cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        return cv2.cvtColor(np.asarray(decoded, np.uint8), cv2.COLOR_BGR2RGB)

    return apply


@functools.cache
def roughest(size: int) -> list[Image]:
    """The roughest square of each bundled camera's photograph."""
    crops = []
    for path in sorted(CAMERAS.iterdir()):
        image = read_rgb(path)
        rows, columns = (range(0, n - size + 1, size // 2) for n in image.shape[:2])
        crops.append(max((image[y : y + size, x : x + size] for y in rows for x in columns), key=roughness))
    return crops


def texture(image: Image, seed: int) -> Image:
    """One of `roughest`, whatever the image."""
    crops = roughest(image.shape[0])
    return crops[seed % len(crops)]


KINDS: dict[str, Callable[[Image, int], Image]] = {
    "clean": lambda image, seed: image,
    "noise 5": noisy(5),
    "noise 15": noisy(15),
    "blur 0.7": blurred(0.7),
    "blur 1.5": blurred(1.5),
    "JPEG 30": jpeg(30),
    "JPEG 10": jpeg(10),
    "texture": texture,
}


def looks(images: list[Image]) -> dict[str, float]:
    """Mean sharpness, noise and blockiness of a set, grey levels."""
    measures = {"laplacian": metrics.laplacian_std, "noise": metrics.noise_std, "blocks": metrics.blockiness}
    return {name: round(float(np.mean([f(i) for i in images])), 3) for name, f in measures.items()}


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@click.option("--engine", "folder", type=FOLDER, required=True, help="Folder of an engine that reads references.")
@one_of("--split", ["chosen", "reported"], "reported",
    "RealSR Canon scenes that are used. chosen: 021 to 030, on which settings may be chosen. reported: 031 to 050, "
    "for the figures that are reported.")  # fmt: skip
@click.option("--settings", type=str, metavar="JSON", required=True,
    help="Settings to measure: a JSON list, e.g. '[{\"tau\": 10}]'. Keys: start, tau, steps, spacing, solver, eta, "
    "filter. Each has a default.")  # fmt: skip
@ROWS_APPENDED
def main(data: Path, folder: Path, split: str, settings: str, out: Path) -> None:
    """Measure what the output takes over from its reference.

    \b
    Example:
      degrade-engine bench papers references --data corpus --engine engine \\
        --settings '[{"tau": 10}]' -o references.jsonl

    Sharp images are degraded in one known way, such as noise, blur or JPEG, and used as references. A row has the
    sharpness, noise and blockiness of references and outputs: the output should change as the reference does.
    """
    chosen = parse_settings(settings)
    with Engine.open(folder) as engine:
        pairs = read_pairs(data, split, engine.spec.lr_size)
        for setting in chosen:
            for name, degrade in KINDS.items():
                references = [degrade(image, i) for i, image in enumerate(pairs.references["clean"])]
                pairs.references["made"] = references
                images, how = generated(engine, pairs, dataclasses.replace(setting, reference="made"), seed=0)
                row: Row = {
                    "kind": name,
                    "setting": setting.to_json(),
                    "reference": looks(references),
                    "output": looks(images),
                }
                add_row(out, row | how | context(engine) | {"split": split, "pairs": len(images)})
                tau = setting.recipe.tau
                click.echo(f"{name:10} tau {tau}: reference {row['reference']} output {row['output']}")
