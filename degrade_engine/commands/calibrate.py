"""`degrade-engine calibrate ...`: what is measured before pairs are made."""

from __future__ import annotations

import click

from degrade_engine.commands import calibrate_degradation, calibrate_precision


@click.group("calibrate")
def command() -> None:
    """Find layers that need FP32; fit a degradation distribution.

    \b
    Example:
      degrade-engine calibrate degradation \\
        --reference my/camera --hr my/sharp -o weights.json
    """


command.add_command(calibrate_precision.command)
command.add_command(calibrate_degradation.command)
