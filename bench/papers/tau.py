"""Would a tau for each pair be better than one for all, and what does the filter add?

    degrade-engine bench papers tau --hr my/sharp --engine engine -o bench/results/tau.jsonl

Each pair has a known answer: two scenes under one draw of a degrader, the first as target, the second as reference. LR
of the first are made from several tau, and compared with the target by their spectrum (sharpness and noise at every
frequency) and by PSNR. Ridge regression learns on one half of the pairs which tau to take by F_deg, and is judged on
the other half; both halves in turn.

Rows: of a number of steps, the mean error with one tau for all (the best on the half that is learnt on), with the
regressor's, and with the best of each pair, which nobody can know; of a tau, the error of the candidate that the filter
keeps less the mean over the candidates, of all pairs and of the noisier half. With 95 % intervals over pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from degrade_engine.calib.degradation import read_crops
from degrade_engine.engine.api import Engine
from degrade_engine.engine.classical.degraders import open_degrader
from degrade_engine.engine.embedding import Embedding
from degrade_engine.engine.recipe import Recipe

from .. import metrics
from ..machine import context
from ..options import FOLDER, ROWS_WRITTEN, integer
from ..rows import Row, write_rows

Floats = NDArray[np.float64]

TAUS, STEPS, SCALE = (50, 100, 200, 400), (5, 1), 4
DEGRADERS = ("camera", "realesrgan")  # in turn
ERRORS: dict[str, Callable[[Any, Any], float]] = {
    "spectrum_db": metrics.spectrum_distance,
    "minus_psnr_db": lambda made, real: -metrics.psnr(made, real),
}
PENALTY = 1.0  # of the ridge, per pair, on features of unit variance


@click.command()
@click.option("--hr", type=FOLDER, required=True, help="Folder of sharp photographs.")
@click.option("--engine", "folder", type=FOLDER, required=True, help="Folder of a RealDGen engine.")
@integer("--pairs", 64, "Pairs that are made.", least=8)
@ROWS_WRITTEN
def main(hr: Path, folder: Path, pairs: int, out: Path) -> None:
    """Measure what a tau of each pair's own would gain, and the filter.

    \b
    Example:
      degrade-engine bench papers tau --hr my/sharp \\
        --engine engine -o tau.jsonl

    Pairs are synthetic, so that the right LR is known.
    """
    rows: list[Row] = []
    with Engine.open(folder, threads=1) as engine:
        side = engine.lr_size[0]
        sharp, target, reference = material(read_crops(hr, "HR", most=2 * pairs, side=SCALE * side).pixels)
        noise = np.array([metrics.noise_std(one) for one in target])
        f_deg = Embedding.open(folder, threads=1)(reference)
        for steps in STEPS:
            kept, all_of = {}, {}
            for tau in TAUS:
                recipe = Recipe.named("realdgen", "recommended").but(tau=tau, steps=steps, candidates=3)
                made = engine.degrade(sharp, reference, recipe=recipe, scale=SCALE, seed=0)
                for name, error in ERRORS.items():
                    kept[name, tau] = [error(a, b) for a, b in zip(made.lr, target, strict=True)]
                    all_of[name, tau] = [
                        [error(a, b) for a, b in zip(one, target, strict=True)] for one in made.candidates
                    ]
            facts = {"steps": steps, "pairs": len(sharp), "taus": TAUS} | context(engine)
            for name in ERRORS:
                first = np.array([all_of[name, tau][0] for tau in TAUS]).T
                rows.append({"what": "tau", "error": name} | chosen(first, f_deg) | facts)
                rows += [row | facts for row in filtered(name, kept, all_of, noise)]
            write_rows(out, rows)
    for row in rows:
        click.echo({key: row[key] for key in row if key not in facts})


def material(sharp: Any) -> tuple[Any, Any, Any]:
    """HR, targets and references of each pair: of 2n crops the first n, and the others under the same degradation."""
    n = len(sharp) // 2
    made: tuple[list[Any], list[Any]] = ([], [])
    for pair in range(n):
        degrader = open_degrader(DEGRADERS[pair % len(DEGRADERS)])
        for at, side in enumerate(made):
            found, _ = degrader.degrade(sharp[pair + at * n], scale=SCALE, seed=0, pair=pair, noise_seed=2 * pair + at)
            side.append(found)
    return sharp[:n], np.stack(made[0]), np.stack(made[1])


def chosen(errors: Floats, f_deg: NDArray[Any]) -> Row:
    """Of errors [pairs, tau]: with one tau, with the regressor's, with each pair's best."""
    n, rows = len(errors), np.arange(len(errors))
    one, own = np.empty(n), np.empty(n)
    for learnt in (rows % 4 < 2, rows % 4 >= 2):  # both degraders in each half
        one[~learnt] = errors[~learnt, errors[learnt].mean(axis=0).argmin()]
        predicted = ridge(f_deg[learnt], errors[learnt])(f_deg[~learnt])
        own[~learnt] = errors[rows[~learnt], predicted.argmin(axis=1)]
    best = errors.min(axis=1)
    return {
        "one_tau": round(float(one.mean()), 4), "by_f_deg": round(float(own.mean()), 4),
        "best_of_each": round(float(best.mean()), 4),
        "gain_by_f_deg": _mean(own - one), "gain_of_the_best": _mean(best - one),
        "by_tau": errors.mean(axis=0).round(4).tolist(),
    }  # fmt: skip


def ridge(x: NDArray[Any], y: Floats, penalty: float = PENALTY) -> Callable[[NDArray[Any]], Floats]:
    """Ridge regression in closed form: x [n, c] to y [n, k], each feature brought to mean 0 and variance 1."""
    mean, spread, level = x.mean(axis=0), x.std(axis=0).clip(1e-6), y.mean(axis=0)
    z = (x - mean) / spread
    weights = np.linalg.solve(z.T @ z + penalty * len(x) * np.eye(z.shape[1]), z.T @ (y - level))
    return lambda other: np.asarray((other - mean) / spread @ weights + level)


def filtered(name: str, kept: dict[Any, Any], all_of: dict[Any, Any], noise: Floats) -> Iterator[Row]:
    """A row of each tau. noise: of the targets, grey levels; the noisier half is judged by itself, too."""
    noisy = noise > np.median(noise)
    for tau in TAUS:
        made = np.array(all_of[name, tau])
        gain = np.array(kept[name, tau]) - made.mean(axis=0)
        spread = float(made.std(axis=0).mean())
        yield {"what": "filter", "error": name, "tau": tau, "gain": _mean(gain), "between_candidates": round(spread, 4),
               "gain_of_the_noisy": _mean(gain[noisy]), "noisy_from": round(float(np.median(noise)), 2)}  # fmt: skip


def _mean(values: Floats) -> list[float]:
    """A mean and its 95 % interval."""
    return [round(float(one), 4) for one in (values.mean(), *metrics.interval(values))]
