"""`degrade-engine calibrate ...`: what is measured before pairs are made."""

from __future__ import annotations

import click

from degrade_engine.commands import calibrate_degradation, calibrate_precision


@click.group("calibrate")
def command() -> None:
    """Measure on your own photographs what an engine or a degrader is to be given."""


command.add_command(calibrate_precision.command)
command.add_command(calibrate_degradation.command)
