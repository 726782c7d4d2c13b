"""`degrade-engine match`: are the LR of a set like a camera's?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from degrade_engine.engine.report.match import Match

SAID = {"low": "lower", "same": "alike", "high": "higher", "unsure": "?"}
ROW = "{:25}{:>20}{:>20}{:>20}  {}"
SHOWN = 10  # of what was left out
SETS = ("lr", "bicubic")


@click.command("match", short_help="Compare the LR of a set with a camera's photographs.")
@click.argument("pairs", type=click.Path(file_okay=False, path_type=Path))
@click.option("--against", required=True, metavar="FOLDER|GLOB|LIST|URL",
    help="Photographs of the camera. They need not be the set's references, and may show anything.")  # fmt: skip
@click.option("--limit", type=click.IntRange(5), metavar="N", default=96, show_default=True,
    help="Number of crops that are measured, of the set and of the camera each.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), metavar="S", default=0, show_default=True, help="Places of the crops.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(pairs: Path, against: str, limit: int, seed: int, as_json: bool) -> None:
    """Compare the LR of a set with a camera's photographs.

    \b
    Example:
      degrade-engine match pairs --against my/camera

    PAIRS is what `generate` wrote, or a folder of pairs from elsewhere, as `check` reads them.

    The table has sharpness, detail, noise, blocks and clipping of the LR, of bicubic of the same HR, and of the camera,
    each with its 95 % interval over photographs. The last column says what LR are beside the camera: alike, higher,
    lower, or ? where the photographs are too few to tell. Below are two distances to the camera: by all measures, with
    how much they differ from image to image; and of fine detail, by random filters (Fréchet). Smaller is nearer. Two
    halves of the camera's own photographs show what chance gives. The last line says what differs and what to do.

    Images are measured as they are: photographs that were made smaller or saved again do not show the camera.
    """
    from degrade_engine.engine.report.match import match  # here, so that --help needs no image library

    found = match(pairs, against, most=limit, seed=seed)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
        return
    for one in found.gathered.left_out[:SHOWN]:
        click.echo(f"left out: {one}", err=True)
    if (more := len(found.gathered.left_out) - SHOWN) > 0:
        click.echo(f"left out: {more} more, which --json names", err=True)
    for line in lines(found):
        click.echo(line)


def lines(found: Match) -> Iterator[str]:
    """The table, the distances, the sentence."""
    from degrade_engine.engine.report.measures import MEASURES
    from degrade_engine.engine.report.verdict import shown

    seen, columns = found.gathered, {one.key: one for one in found.verdict.columns}
    for name, some, photographs in (("set", seen.lq, seen.scenes), ("camera", seen.camera, seen.shots)):
        count = len(set(photographs))
        yield f"{name}: {len(some)} crops of {seen.side} x {seen.side} from {count} photograph{'s' * (count > 1)}"
    yield ROW.format("", "LR", "bicubic", "camera", "LR are").rstrip()
    for of in MEASURES:
        means = [columns[key].means[of.key] for key in (*SETS, "real")]
        if any(means):
            cells = [_cell(*shown(one)) if one else "–" for one in means]
            outcome = found.beside.get(of.key)
            name = f"{of.name}, {of.unit}" if of.unit in ("%", "dB") else of.name
            yield ROW.format(name, *cells, SAID[outcome] if outcome else "").rstrip()
    if far := found.far:
        chance = [f"(halves {value:.2f})" for value in far.halves] if far.halves else ["", ""]
        yield ROW.format("Distance by measures", *(f"{far.measures[key]:.2f}" for key in SETS), chance[0], "").rstrip()
        spans = [(far.frechet[key].value, far.frechet[key].interval) for key in SETS]
        cells = [f"{value:.2f}" + (f" ({span[0]:.2f}–{span[1]:.2f})" if span else "") for value, span in spans]
        yield ROW.format("Distance of fine detail", *cells, chance[1], "").rstrip()
    yield found.sentence


def _cell(value: str, interval: str) -> str:
    return f"{value} ({interval.replace(' to ', '–')})" if interval and interval[0] in "−0123456789" else value
