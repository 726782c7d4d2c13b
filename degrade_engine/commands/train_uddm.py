"""`degrade-engine train uddm --stage ddm|pddm`: the two branches of UDDM, one at a time, in either order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .train_lway import common, training, training_extra

FOLDERS = click.Path(exists=True, path_type=Path)
RATES = {"ddm": 4e-4, "pddm": 2e-4}  # peaks of the learning rates


@click.command("uddm")
@click.option("--stage", type=click.Choice(["ddm", "pddm"]), required=True)
@click.option("--preset", type=click.Choice(["paper", "tiny"]), default="tiny", show_default=True)
@click.option(
    "--lr", "lr_", type=FOLDERS, multiple=True, required=True, help="Folder of real LR photographs (repeatable)."
)
@click.option("--hr", type=FOLDERS, multiple=True, help="Stage pddm: folder of sharp photographs (repeatable).")
@click.option("--crop", type=click.IntRange(8), default=64, show_default=True, help="LR pixels a side (paper: 128).")
@click.option("--alpha", type=click.FloatRange(0), help="Stage pddm: weight of the adversarial loss (eq. 5).")
@common
def command(stage: str, preset: str, lr_: tuple[Path, ...], crop: int, alpha: float | None, **given: Any) -> None:
    """UDDM: a diffusion model of real LR photographs, conditioned on what extreme downsampling leaves of them (ddm),
    and a degradation whose parameters follow the photograph (pddm). HR and LR belong to no pairs.

    The diffusion needs no HR: --hr is read by the stage pddm alone. OUT/uddm.safetensors is there when both stages are.
    """
    with training_extra():
        from degrade_engine.originals.runs import Machine, Source
        from degrade_engine.originals.uddm.adversarial import ALPHA
        from degrade_engine.originals.uddm.config import PRESETS
        from degrade_engine.originals.uddm.train import Options, train_stage
    options = Options(given["batch"], given["learning_rate"] or RATES[stage], ALPHA if alpha is None else alpha)
    source = Source(given["hr"], held_out=given["hold_out"], lr=lr_)
    machine = Machine(given["workers"], given["threads"])
    train_stage(stage, PRESETS[preset], options, source, crop, training(given), given["out"], machine)  # type: ignore[arg-type]
