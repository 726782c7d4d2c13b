"""UDDM's weight w on true pairs: the shape of its Table 2, one JSONL row a weight.

    degrade-engine bench fusion --data DATA --engine ENGINE --split reported -o bench/results/fusion.jsonl

The paper's table scores SR models that were trained on the pairs of each w. Here the generated LR itself is held
against the real one, as in `quality.py`: w = 0 is DDM alone, w = 1 is P-DDM alone. The setting is the preset's.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from degrade_engine.engine.api import Engine
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.recipe import RECIPES

from ..options import FOLDER, OUT, SEED
from .baselines import baselines
from .jobs import context
from .scores import measure
from .true_pairs import read_pairs

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@click.command()
@click.option("--data", type=FOLDER, required=True)
@click.option("--engine", "folder", type=FOLDER, required=True)
@click.option("--split", type=click.Choice(["chosen", "reported"]), default="chosen", show_default=True)
@click.option("--preset", type=click.Choice(list(RECIPES["uddm"])), default="recommended", show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("-o", "--out", type=OUT, required=True, help="JSONL; its rows are replaced.")
def main(data: Path, folder: Path, split: str, preset: str, seed: int, out: Path) -> None:
    """Measure a UDDM engine at five weights, and the baselines, on true pairs."""
    rows: list[dict[str, Any]] = []
    with Engine.open(folder) as engine:
        if not engine.spec.fuses:
            raise DegradeError(f"{folder} is an engine of the kind {engine.spec.kind}", wanted="uddm")
        pairs = read_pairs(data, split, engine.spec.lr_size)
        about = context(engine) | {"split": split, "pairs": len(pairs.hr), "scale": pairs.scale, "seed": seed}
        for name, made in baselines(pairs, seed).items():
            rows.append({"generator": name} | measure(made, pairs.lr) | about)
        for w in WEIGHTS:
            began = time.perf_counter()
            result = engine.degrade(pairs.hr, recipe=preset, scale=pairs.scale, seed=seed, fusion_weight=w)
            seconds = round((time.perf_counter() - began) / len(pairs.hr), 4)
            how = {"generator": "uddm", "preset": preset, "fusion_weight": w, "seconds_a_pair": seconds}
            rows.append(how | measure(list(result.lr), pairs.lr) | about)
    for row in rows:
        name = row["generator"] if row["generator"] != "uddm" else f"uddm, w = {row['fusion_weight']:g}"
        click.echo(
            f"{name:28} PSNR {row['psnr_db']:.2f} SSIM {row['ssim']:.3f} gap {row['laplacian_gap']:.2f} "
            f"({row['laplacian_bias']:+.2f}) noise {row['noise_gap']:.2f} ({row['noise_bias']:+.2f})"
        )
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
