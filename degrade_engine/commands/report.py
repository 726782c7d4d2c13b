"""`degrade-engine report`: look at a run."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("report", short_help="Write one HTML page that shows a run's pairs.")
@click.argument("pairs", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="File for the page. It needs no other file and no network.",
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    default=24,
    show_default=True,
    help="Number of pairs that are shown large.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the facts as one JSON object, and write no page.")
def command(pairs: Path, out: Path, limit: int, as_json: bool) -> None:
    """Write one HTML page that shows a run's pairs.

    \b
    Example:
      degrade-engine report pairs -o report.html

    PAIRS is the --out folder of `generate`. The page shows pairs beside their references, what was left out and why,
    the recipe's draws, and where the time went.
    """
    from degrade_engine.engine.report import finished, report  # here, so that --help needs no image library

    if as_json:
        click.echo(json.dumps(report.to_json(finished.open_run(pairs)), indent=1))
        return
    report.write(pairs, out, limit)
    click.echo(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")
