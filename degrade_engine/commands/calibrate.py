"""`degrade-engine calibrate ...`: what is measured before pairs are made."""

from __future__ import annotations

import click

from degrade_engine.commands import (
    calibrate_camera,
    calibrate_degradation,
    calibrate_precision,
    calibrate_recipe,
    calibrate_solver,
)


@click.group("calibrate")
def command() -> None:
    """Fit a recipe, a sampler or a degrader to your camera; find FP32 layers.

    \b
    Example:
      degrade-engine calibrate degradation \\
        --reference my/camera --hr my/sharp -o weights.json
    """


command.add_command(calibrate_recipe.command)
command.add_command(calibrate_solver.command)
command.add_command(calibrate_precision.command)
command.add_command(calibrate_degradation.command)
command.add_command(calibrate_camera.command)
