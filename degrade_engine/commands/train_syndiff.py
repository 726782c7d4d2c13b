"""`degrade-engine train syndiff`: an unconditional diffusion model of real LR photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .training import LR, PRESET, common, setup, training_extra

RATE = 3e-4  # peak of the learning rate


@click.command("syndiff")
@PRESET
@LR
@click.option(
    "--pretrained", type=click.Path(dir_okay=False, path_type=Path), metavar="CHECKPOINT",
    help="Begin with its weights: SynDiff reads no reference, so it knows one camera only by its own training.",
)  # fmt: skip
@click.option("--low-share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Share of the rows with t in the quarter of the schedule that generation uses.")  # fmt: skip
@click.option("--crop", type=click.IntRange(8), default=64, show_default=True, help="LR pixels a side.")
@common()
def command(preset: str, pretrained: Path | None, low_share: float, crop: int, **given: Any) -> None:
    """SynDiff (Yang et al. 2023), the peer that RealDGen is compared with."""
    with training_extra():
        from degrade_engine.originals.syndiff.config import PRESETS
        from degrade_engine.originals.syndiff.train import train_syndiff
    rate = given["learning_rate"] or RATE
    train_syndiff(PRESETS[preset], rate, low_share, given["batch"], crop, setup(given), pretrained)
