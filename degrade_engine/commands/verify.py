"""`degrade-engine verify`: an engine through its parity gate again, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.commands.build import gate_line
from degrade_engine.engine.verify import verify


@click.command("verify", short_help="Check an engine against its reference on this machine.")
@click.argument("engine", type=click.Path(file_okay=False, path_type=Path), metavar="ENGINE")
@click.option("--bundle", type=click.Path(file_okay=False, path_type=Path),
              help="Bundle that it was built from. Needed for compiled engines: it is their reference.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads of the networks. [default: one per core]")
def command(engine: Path, bundle: Path | None, threads: int | None) -> None:
    """Check an engine against its reference on this machine, and write the result into its engine.json.

    \b
    Example:
      degrade-engine verify engine --bundle bundle

    Needed once where an engine is used that was built on a machine without the GPU. An engine that fails is renamed to
    ENGINE.quarantine.
    """
    spec = verify(engine, bundle, threads=threads, say=lambda text: click.echo(f"{text} …", err=True))
    click.echo(f"{engine}: {gate_line(spec.parity)}")
