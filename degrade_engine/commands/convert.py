"""`degrade-engine convert`: a set of pairs in another trainer's layout."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.engine.sinks import converting


@click.command("convert", short_help="Write a set of pairs in another trainer's layout.")
@click.argument("pairs", type=click.Path(file_okay=False, path_type=Path))
@click.option("--to", type=click.Choice(converting.TRAINERS), required=True, help="The trainer.")
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Folder for the new layout. It must be new or empty.")  # fmt: skip
def command(pairs: Path, to: converting.Trainer, out: Path) -> None:
    """Write a set of pairs in another trainer's layout.

    \b
    Example:
      degrade-engine convert pairs --to seesr -o seesr

    PAIRS is a finished --out folder of `generate`, of any --sink. seesr: gt/, sr_bicubic/ (the LR enlarged to the
    size of the GT) and tag/ (empty texts, which a tagger has to fill).
    """
    count = converting.convert(pairs, to, out, on_pairs=lambda done: click.echo(f"{done} pairs …", err=True))
    click.echo(f"{count} pairs in {out}")
