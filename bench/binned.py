"""Do the weights of a binned space find a degradation that is known? The four settings of the paper's Table 1.

    python -m degrade_engine.bench.binned --data DATA --checkpoint CHECKPOINT -o bench/results/binned.jsonl --picture docs/binned.svg

100 crops of half of the photographs are degraded by a setting and stand for the references; crops of the other half are
Y_w. A row holds, for a setting, an extractor and an alpha, the mean weight of the bins that the setting overlaps over
the mean weight of the rest: infinitely many for a perfect extractor, 1 for none.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from degrade_engine.calib.degradation import degraded_bins, distances_of, read_crops, spread, weights_of
from degrade_engine.calib.features import open_features
from degrade_engine.calib.heatmap import draw
from degrade_engine.engine.classical.binned import PAPER, Space

from .machine import machine

SETTINGS = {
    1: Space((0, 1), (0, 10), (80, 90), PAPER.downsample),
    2: Space((0.5, 1.5), (15, 25), (75, 85), PAPER.downsample),
    3: Space((1.5, 2.5), (5, 15), (75, 85), PAPER.downsample),
    4: Space((2.5, 3.5), (25, 35), (65, 75), PAPER.downsample),
}
"""Table 1: each a space of one bin."""
ALPHAS = (0.0, 5.0, 25.0)
CROP, SCALE, COUNT = 72, 4, 100


def overlapping(setting: Space, space: Space = PAPER) -> np.ndarray:
    """Which bins share more than a border with the setting, bool [bins]."""
    wanted = setting.box(0)
    return np.array([
        all(low < there[1] and there[0] < high for (low, high), there in zip(space.box(bin), wanted, strict=True))
        for bin in range(space.bins)
    ])  # fmt: skip


def ratio(weights: Sequence[float] | np.ndarray, inside: np.ndarray) -> float:
    """Mean weight of the bins inside over the mean weight of the others."""
    found = np.asarray(weights)
    return float(found[inside].mean() / found[~inside].mean())


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="The development corpus.")
@click.option("--checkpoint", type=click.Path(exists=True, path_type=Path), required=True, help="For E_deg.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="JSONL; its rows are replaced.")
@click.option("--picture", type=click.Path(path_type=Path), required=True, help="The heat-maps, SVG.")
def main(data: Path, checkpoint: Path, seed: int, threads: int, out: Path, picture: Path) -> None:
    """Measure how the weights of each extractor find the settings of Table 1."""
    sharp = read_crops(data / "hr_cid22", "HR", most=2 * COUNT, side=CROP * SCALE, seed=seed).pixels
    held_back, y_w = sharp[::2], sharp[1::2]
    real = {
        number: next(degraded_bins(setting, held_back, scale=SCALE, seed=seed + 1000 + number, workers=threads))
        for number, setting in SETTINGS.items()
    }
    extractors = {
        "random-alexnet": open_features("random-alexnet", seed=seed, threads=threads),
        "e-deg": open_features("e-deg", checkpoint, threads=threads),
    }
    made: dict[str, list[np.ndarray]] = {name: [] for name in extractors}
    for pixels in degraded_bins(PAPER, y_w, scale=SCALE, seed=seed, workers=threads):
        for name, features in extractors.items():
            made[name].append(features(pixels))
    rows: list[dict[str, Any]] = []
    maps: list[tuple[str, str, Sequence[float]]] = []
    for number, setting in SETTINGS.items():
        inside = overlapping(setting)
        maps.append((f"setting {number}", "the bins it overlaps", (inside / inside.sum()).tolist()))
        for name, features in extractors.items():
            of_real = features(real[number])
            distances = distances_of(made[name], of_real)
            for alpha in ALPHAS:
                weights = weights_of(distances, alpha)
                rows.append({
                    "extractor": features.page, "setting": number, "alpha": alpha, "ratio": round(ratio(weights, inside), 3),
                    "share_inside": round(float(weights[inside].sum()), 4), "bins_inside": int(inside.sum()),
                    "heaviest_is_inside": bool(inside[int(np.argmax(weights))]),
                    "spread": round(spread(made[name], of_real, alpha, seed), 4),
                    "references": len(held_back), "hr": len(y_w), "crop": CROP, "scale": SCALE, "seed": seed,
                    "space": dataclasses.asdict(setting), **machine(threads),
                })  # fmt: skip
                click.echo(f"setting {number} {name:15} alpha {alpha:4g}: {rows[-1]['ratio']:8.2f}")
            maps.append(("", f"{name}: {rows[-1]['ratio']:.1f} ×", weights.tolist()))
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    picture.write_text(draw(PAPER, maps, f"Weights of 75 bins, alpha {ALPHAS[-1]:g}"))
    click.echo(f"wrote {out} and {picture} ({time.strftime('%Y-%m-%d')})")


if __name__ == "__main__":
    main()
