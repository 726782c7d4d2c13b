"""`degrade-engine report`: look at a run."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("report", short_help="Write one HTML page that shows a run's pairs.")
@click.argument("pairs", type=click.Path(file_okay=False, path_type=Path))
@click.argument("other", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.html"),
    show_default=True,
    help="File for the page. It needs no other file and no network.")  # fmt: skip
@click.option("--limit", type=click.IntRange(0), metavar="N", default=24, show_default=True,
    help="Number of pairs that are shown: the worst, the best, and some from between.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object, and write no page.")
def command(pairs: Path, other: Path | None, out: Path, limit: int, as_json: bool) -> None:
    """Write one HTML page that shows a run's pairs.

    \b
    Examples:
      degrade-engine report pairs -o report.html
      degrade-engine report pairs other-pairs

    PAIRS is the --out folder of `generate`. The page shows pairs beside bicubic and their references. It says whether
    LR are as sharp and as noisy as the references, and how sure that is. Then come the run's numbers.

    With OTHER, a second run of the same seed and --hr, the page shows both side by side.
    """
    from degrade_engine.engine.report import report  # here, so that --help needs no image library

    found = report.open_report(pairs, other, limit)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
        return
    report.write(found, out, limit)
    click.echo("\n".join([*found.verdict.sentences, f"{out} ({out.stat().st_size / 1e6:.1f} MB)"]))
