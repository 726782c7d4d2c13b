"""Do the weights of a binned space find a degradation that is known? The four settings of the paper's Table 1.

100 crops of half of the photographs are degraded by a setting and stand for the references; crops of the other half are
Y_w. `--settings other`: sixteen settings of the same widths anywhere in the box, on other crops (`--seed 1`). What is
free in the extractors was chosen on these (bench/results/binned_choice.jsonl), so that Table 1 only reports.
`--features-seed`, repeated, shows how much chance there is in random weights; the picture has the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from degrade_engine.calib.degradation import degraded_bins, distances_of, measured, read_crops, weights_of
from degrade_engine.calib.features import NAMES, Features, Name, open_features
from degrade_engine.calib.heatmap import draw
from degrade_engine.engine.classical.binned import PAPER, Space
from degrade_engine.engine.report.frechet import fit

from ..machine import machine
from ..options import EITHER, FOLDER, OUT, SEED, integer, random_seed, rows_replaced
from ..rows import Row, read_rows, write_rows
from .corpus import CORPUS

SETTINGS = {
    1: Space((0, 1), (0, 10), (80, 90), PAPER.downsample),
    2: Space((0.5, 1.5), (15, 25), (75, 85), PAPER.downsample),
    3: Space((1.5, 2.5), (5, 15), (75, 85), PAPER.downsample),
    4: Space((2.5, 3.5), (25, 35), (65, 75), PAPER.downsample),
}
"""Table 1: each a space of one bin."""


def other_settings() -> dict[int, Space]:
    """Sixteen that are not Table 1's, 101 to 116: from a blur of 0 to 3.5, noise of 0 to 35, quality of 35 to 80."""
    dice, found = np.random.default_rng(7), {}
    for number in range(101, 117):
        s, l, q = dice.uniform(0, 3.5), dice.uniform(0, 35), dice.uniform(35, 80)  # noqa: E741
        found[number] = Space((s, s + 1), (l, l + 10), (q, q + 10), PAPER.downsample)
    return found


ALPHAS = (0.0, 5.0, 25.0)
CROP, SCALE, COUNT = 72, 4, 100


def overlapping(setting: Space, space: Space = PAPER) -> np.ndarray:
    """Which bins share more than a border with the setting, bool [bins]."""
    wanted = setting.box(0)[1:]  # neither has a sharpening
    return np.array([
        all(low < there[1] and there[0] < high for (low, high), there in zip(space.box(bin)[1:], wanted, strict=True))
        for bin in range(space.bins)
    ])  # fmt: skip


def ratio(weights: Sequence[float] | np.ndarray, inside: np.ndarray) -> float:
    """Mean weight of the bins inside over the mean weight of the others."""
    found = np.asarray(weights)
    return float(found[inside].mean() / found[~inside].mean())


def degraded(data: Path, settings: dict[int, Space], seed: int, threads: int) -> dict[str, np.ndarray]:
    """real: the references of each setting, uint8 [settings, n, s, s, 3]; made: X_w of each bin, [75, n, s, s, 3]."""
    sharp = read_crops(data / "hr_cid22", "HR", most=2 * COUNT, side=CROP * SCALE, seed=seed).pixels
    held_back, y_w = sharp[::2], sharp[1::2]
    real = [
        next(degraded_bins(setting, held_back, scale=SCALE, seed=seed + 1000 + number, workers=threads))
        for number, setting in settings.items()
    ]
    made = list(degraded_bins(PAPER, y_w, scale=SCALE, seed=seed, workers=threads))
    return {"real": np.stack(real), "made": np.stack(made)}


def measure(
    pixels: dict[str, np.ndarray], settings: dict[int, Space], features: Features, about: dict[str, Any], seed: int
) -> Iterator[Row]:
    """A row a setting and alpha."""
    vectors, of_settings = ([features(crops) for crops in pixels[name]] for name in ("made", "real"))
    made, real = measured(vectors, of_settings, features)
    for (number, setting), crops in zip(settings.items(), real, strict=True):
        inside, distances = overlapping(setting), distances_of(made, fit(crops))
        for alpha in ALPHAS:
            weights = weights_of(distances, alpha)
            yield {
                "extractor": features.page, "setting": number, "alpha": alpha,
                "ratio": round(ratio(weights, inside), 3),
                "share_inside": round(float(weights[inside].sum()), 4), "bins_inside": int(inside.sum()),
                "heaviest_is_inside": bool(inside[int(np.argmax(weights))]),
                "references": len(crops), "hr": len(pixels["made"][0]),
                "crop": CROP, "scale": SCALE, "seed": seed, "weights": [round(float(w), 5) for w in weights], **about,
            }  # fmt: skip


def picture_of(rows: Sequence[Row]) -> str:
    """The heat-maps at the largest alpha, a setting's own bins above what the extractors found."""
    first = {row["extractor"]["name"]: row["extractor"] for row in reversed(rows)}  # of random weights, the first seed
    maps: list[tuple[str, str, Sequence[float]]] = []
    for number, setting in SETTINGS.items():
        inside = overlapping(setting)
        maps.append((f"setting {number}", "the bins it overlaps", (inside / inside.sum()).tolist()))
        for row in rows:
            wanted = row["extractor"] == first[row["extractor"]["name"]]
            if wanted and row["setting"] == number and row["alpha"] == ALPHAS[-1]:
                maps.append((row["extractor"]["name"], f"inside / outside {row['ratio']:.1f}", row["weights"]))
    return draw(PAPER, maps, f"Weights of the paper's 75 bins, alpha {ALPHAS[-1]:g}")


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@click.option("--features", "name", type=click.Choice(NAMES), required=True,
    help="Features that tell degradations apart. random-alexnet needs no file; the others read --features-from."
)  # fmt: skip
@click.option("--features-from", "path", type=EITHER,
    help="For e-deg: an engine folder or a checkpoint. For alexnet and vgg19: a file of ImageNet weights.")  # fmt: skip
@click.option("--degraded", "kept", type=OUT,
    help="File for the crops (.npz). It is read if it exists, and written if not. [default: crops are not kept]"
)  # fmt: skip
@click.option("--settings", "which", type=click.Choice(["table1", "other"]), default="table1", show_default=True,
    help="Degradations to find. table1: the paper's four. other: sixteen more, for choosing the features.")  # fmt: skip
@click.option("--features-seed", "draws", type=SEED, metavar="S", multiple=True, default=[0], show_default=True,
    help="Random seed of the weights of random-alexnet. Can be repeated.")  # fmt: skip
@random_seed("Random seed of crops and degradations.")
@integer("--threads", 1, "CPU threads.")
@rows_replaced("features")
@click.option("--picture", type=OUT, help="File for a picture of the weights as heat maps (SVG). [default: none]")
def main(
    data: Path, name: Name, path: Path | None, kept: Path | None, which: str, draws: tuple[int, ...], seed: int,
    threads: int, out: Path, picture: Path | None,
) -> None:  # fmt: skip
    """Check that the binned degrader's weights find a known degradation (its Table 1).

    \b
    Example:
      degrade-engine bench papers binned --data corpus \\
        --features random-alexnet -o binned.jsonl

    Crops are degraded in a known way and serve as references. A row has the mean weight of the bins with the right
    degradation, divided by the mean weight of all other bins. 1 means that the features see nothing; larger is better.
    """
    settings = SETTINGS if which == "table1" else other_settings()
    if kept is not None and kept.is_file():
        pixels = dict(np.load(kept))
    else:
        pixels = degraded(data, settings, seed, threads)
        if kept is not None:
            np.savez(kept, **pixels)  # type: ignore[arg-type]
    before = read_rows(out) if out.is_file() else []
    rows = [row for row in before if row["extractor"]["name"] != name]
    for draw_seed in draws if name == "random-alexnet" else (0,):
        features = open_features(name, path, seed=draw_seed, threads=threads)
        for row in measure(pixels, settings, features, machine(threads), seed):
            rows.append(row)
            click.echo(f"setting {row['setting']} {name} {draw_seed} alpha {row['alpha']:4g}: {row['ratio']:8.2f}")
    write_rows(out, rows)
    if picture is not None:
        picture.write_text(picture_of(rows))
