"""`degrade-engine train uddm --stage ddm|pddm`: the two branches of UDDM, one at a time, in either order."""

from __future__ import annotations

from typing import Any

import click
import cloup

from .training import FOLDERS, LR, PRESET, setup, trained, training_extra

RATES = {"ddm": 4e-4, "pddm": 2e-4}  # peaks of the learning rates


@cloup.command("uddm", short_help="UDDM, one of its two stages at a time.")
@trained(
    click.option("--stage", type=click.Choice(["ddm", "pddm"]), required=True,
                 help="ddm: the diffusion model. pddm: the degradation with parameters. In either order."),
    PRESET,
    LR,
    click.option("--hr", type=FOLDERS, multiple=True, help="Stage pddm: folder of sharp photographs (repeatable)."),
    click.option("--crop", type=click.IntRange(8), metavar="PX", default=64, show_default=True,
                 help="Side of the LR crops in pixels (the paper: 128)."),
    click.option("--alpha", type=click.FloatRange(0), metavar="X",
                 help="Stage pddm: weight of the adversarial loss (eq. 5)."),
)  # fmt: skip
def command(stage: str, preset: str, crop: int, alpha: float | None, **given: Any) -> None:
    """Train UDDM, one of its two stages at a time.

    \b
    Example:
      degrade-engine train uddm --stage ddm --lr my/camera --out training

    Stage ddm is a diffusion model of real LR photographs, conditioned on their strongly reduced versions. Stage pddm is
    a degradation whose parameters depend on the photograph. When both stages are trained, OUT/uddm.safetensors is
    there.
    """
    with training_extra():
        from degrade_engine.originals.uddm.adversarial import ALPHA
        from degrade_engine.originals.uddm.config import PRESETS
        from degrade_engine.originals.uddm.train import Options, train_stage
    options = Options(given["batch"], given["learning_rate"] or RATES[stage], ALPHA if alpha is None else alpha)
    train_stage(stage, PRESETS[preset], options, crop, setup(given))  # type: ignore[arg-type]
