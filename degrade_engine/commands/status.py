"""`degrade-engine status`: how far is a run?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from degrade_engine.engine.runners.status import Status

UNFINISHED = 1
SHOWN = 20  # failed pairs that get a line


@click.command("status", short_help="Say which shards and pairs of a run are done, missing or failed.")
@click.argument("pairs", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with the numbers of all missing pairs.")
@click.pass_context
def command(ctx: click.Context, pairs: Path, as_json: bool) -> None:
    """Say how far the run in PAIRS is, the --out folder of `generate`, while it runs or after it stopped.

    It goes by the plan and the shards' records and opens no image (`check` does). Exit code 0: finished; 1: not yet,
    the same generate command goes on; 2: no run.
    """
    from degrade_engine.engine.runners.status import status  # here, so that --help needs no image library

    found = status(pairs)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        for line in lines(found):
            click.echo(line)
    if not found.finished:
        ctx.exit(UNFINISHED)


def lines(found: Status) -> Iterator[str]:
    """The same for people."""
    done, torn = len(found.done), len(found.torn)
    broken = f" ({torn} with a record that is torn or of another plan)" if torn else ""
    yield f"shards: {done} of {found.shards} done, {found.shards - done} missing{broken}"
    yield (
        f"pairs:  {found.made} of {found.pairs} made, {len(found.failed)} failed, {found.missing} missing "
        f"({found.sink})"
    )
    for one in found.failed[:SHOWN]:
        yield f"failed: {one.pair:07d}: {one.reason}: {one.detail}"
    if len(found.failed) > SHOWN:
        yield f"failed: {len(found.failed) - SHOWN} more, which --json lists"
    yield "finished" if found.finished else "not finished: the same generate command goes on"
