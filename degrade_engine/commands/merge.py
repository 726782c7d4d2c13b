"""`degrade-engine merge`: several sets of pairs as one."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("merge", short_help="Join finished sets of pairs into one.")
@click.argument(
    "pairs", type=click.Path(file_okay=False, path_type=Path), nargs=-1, required=True, metavar="PAIRS PAIRS"
)
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Folder for the new set. It must be new or empty.")  # fmt: skip
@click.option("--rename", is_flag=True, help="Name the pairs by their number in the new set: 0000000, 0000001, …")
def command(pairs: tuple[Path, ...], out: Path, rename: bool) -> None:
    """Join finished sets of pairs into one.

    \b
    Example:
      degrade-engine merge canon nikon -o both

    PAIRS are --out folders of `generate` with one --sink, --format and --scale, and different names of pairs
    (`generate --name-prefix`). The new set has the images as they are, all manifest rows and all rejects. Each row
    says under "set" which of the sets in plan.json it comes from. Image files are hard links where possible.
    """
    from degrade_engine.engine.sinks.merging import merge  # here, so that --help needs no image library

    count = merge(pairs, out, rename=rename, say=lambda text: click.echo(text, err=True))
    click.echo(f"{count} pairs in {out}")
