"""`degrade-engine train uddm --stage ddm|pddm`: the two branches of UDDM, one at a time, in either order."""

from __future__ import annotations

from typing import Any

import click

from .training import FOLDERS, LR, PRESET, common, setup, training_extra

RATES = {"ddm": 4e-4, "pddm": 2e-4}  # peaks of the learning rates


@click.command("uddm")
@click.option("--stage", type=click.Choice(["ddm", "pddm"]), required=True)
@PRESET
@LR
@click.option("--hr", type=FOLDERS, multiple=True, help="Stage pddm: folder of sharp photographs (repeatable).")
@click.option("--crop", type=click.IntRange(8), default=64, show_default=True, help="LR pixels a side (paper: 128).")
@click.option("--alpha", type=click.FloatRange(0), help="Stage pddm: weight of the adversarial loss (eq. 5).")
@common()
def command(stage: str, preset: str, crop: int, alpha: float | None, **given: Any) -> None:
    """UDDM: a diffusion model of real LR photographs, conditioned on what extreme downsampling leaves of them (ddm),
    and a degradation whose parameters follow the photograph (pddm). HR and LR belong to no pairs.

    The diffusion needs no HR: --hr is read by the stage pddm alone. OUT/uddm.safetensors is there when both stages are.
    """
    with training_extra():
        from degrade_engine.originals.uddm.adversarial import ALPHA
        from degrade_engine.originals.uddm.config import PRESETS
        from degrade_engine.originals.uddm.train import Options, train_stage
    options = Options(given["batch"], given["learning_rate"] or RATES[stage], ALPHA if alpha is None else alpha)
    train_stage(stage, PRESETS[preset], options, crop, setup(given))  # type: ignore[arg-type]
