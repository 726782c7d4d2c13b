"""`degrade-engine verify`: an engine through its parity gate again, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.commands.build import gate_line
from degrade_engine.engine.verify import verify


@click.command("verify", short_help="Run an engine's parity gate on this machine.")
@click.argument("engine", type=click.Path(file_okay=False, path_type=Path), metavar="ENGINE")
@click.option("--bundle", type=click.Path(file_okay=False, path_type=Path),
              help="The bundle that it was built from: the reference of a compiled engine.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Threads of the networks. [default: one a physical core]")
def command(engine: Path, bundle: Path | None, threads: int | None) -> None:
    """Run an engine's parity gate on this machine, and write the report into its engine.json.

    An engine that was built ahead of time, on a machine that could not run it, needs this once where it is used.
    One that fails is kept aside as ENGINE.quarantine.
    """
    spec = verify(engine, bundle, threads=threads, say=lambda text: click.echo(f"{text} …", err=True))
    click.echo(f"{engine}: {gate_line(spec.parity)}")
