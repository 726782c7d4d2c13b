"""`degrade-engine train syndiff`: an unconditional diffusion model of real LR photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from .training import LR, PRESET, setup, trained, training_extra

RATE = 3e-4  # peak of the learning rate


@cloup.command("syndiff", short_help="SynDiff: a diffusion model of one camera.")
@trained(
    PRESET,
    LR,
    click.option("--pretrained", type=click.Path(dir_okay=False, path_type=Path), metavar="CHECKPOINT",
                 help="Start from its weights, for example to fit a model to your camera."),
    click.option("--low-share", type=click.FloatRange(0, 1), metavar="0..1", default=0.5, show_default=True,
                 help="Share of the images with a time step in the quarter of the schedule that generation uses."),
    click.option("--crop", type=click.IntRange(8), metavar="PX", default=64, show_default=True,
                 help="Side of the LR crops in pixels."),
)  # fmt: skip
def command(preset: str, pretrained: Path | None, low_share: float, crop: int, **given: Any) -> None:
    """Train SynDiff (Yang et al. 2023) on real LR photographs.

    \b
    Example:
      degrade-engine train syndiff --lr my/camera --out training

    SynDiff reads no reference when it makes pairs. It imitates the camera whose photographs it was trained on.
    """
    with training_extra():
        from degrade_engine.originals.syndiff.config import PRESETS
        from degrade_engine.originals.syndiff.train import train_syndiff
    rate = given["learning_rate"] or RATE
    train_syndiff(PRESETS[preset], rate, low_share, given["batch"], crop, setup(given), pretrained)
