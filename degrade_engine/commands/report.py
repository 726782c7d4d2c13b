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
    help="The page: one file, images inside, nothing loaded from elsewhere.",
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=24,
    show_default=True,
    help="Pairs that get a card with images.",
)
@click.option("--json", "as_json", is_flag=True, help="The page's facts as one JSON object on stdout, and no page.")
def command(pairs: Path, out: Path, limit: int, as_json: bool) -> None:
    """Write one self-contained HTML page about the run in PAIRS, the --out folder of `generate`: speed over time, time
    by stage, what was left out and why, tau and scores, a contact sheet, and the first pairs up close."""
    from degrade_engine.engine.report import finished, report  # here, so that --help needs no image library

    if as_json:
        click.echo(json.dumps(report.to_json(finished.open_run(pairs)), indent=1))
        return
    report.write(pairs, out, limit)
    click.echo(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")
