"""`degrade-engine status`: how far is a run?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from degrade_engine.engine.objects import Out
from degrade_engine.generation.outs import OUT
from degrade_engine.generation.units import clock

if TYPE_CHECKING:
    from degrade_engine.engine.runners.status import Status

UNFINISHED = 1
SHOWN = 20  # failed pairs that get a line


@click.command("status", short_help="Show how far a run is: pairs, rate, time left, workers.")
@click.argument("pairs", type=OUT)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with the numbers of all missing pairs.")
@click.option("--metrics", is_flag=True, help="Print Prometheus's text format.")
@click.pass_context
def command(ctx: click.Context, pairs: Out, as_json: bool, metrics: bool) -> None:
    """Show how far the run in PAIRS is, while it runs or after it stopped.

    \b
    Example:
      degrade-engine status pairs

    PAIRS is the --out of `generate`, a folder or a URL. No image is opened; `check` does that.

    Exit code 0: finished. 1: not finished; the same generate command continues it. 2: PAIRS holds no run.
    """
    from degrade_engine.engine.runners.status import status  # here, so that --help needs no image library

    if as_json and metrics:
        raise click.UsageError("--json and --metrics were both given. Expected: one of them.")
    found = status(pairs)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    elif metrics:
        click.echo(found.to_metrics(), nl=False)
    else:
        for line in lines(found):
            click.echo(line)
    if not found.finished:
        ctx.exit(UNFINISHED)


def lines(found: Status) -> Iterator[str]:
    """The same for people."""
    done, torn = len(found.done), len(found.torn)
    broken = f" ({torn} with a record that is incomplete or of another plan)" if torn else ""
    yield f"shards: {done} of {found.shards} done, {found.shards - done} missing{broken}"
    yield (
        f"pairs:  {found.made} of {found.pairs} made, {len(found.failed)} failed, {found.missing} missing "
        f"({found.sink})"
    )
    if found.missing and found.pairs_per_second and found.seconds_left is not None:
        yield f"rate:   {found.pairs_per_second:.2f} pairs/s, {clock(found.seconds_left)} left"
    for worker in found.workers:
        yield f"worker: {worker.host}, process {worker.pid}: last sign {worker.silent_s:.0f} s ago"
    for one in found.failed[:SHOWN]:
        yield f"failed: {one.pair:07d}: {one.reason}: {one.detail}"
    if len(found.failed) > SHOWN:
        yield f"failed: {len(found.failed) - SHOWN} more, which --json lists"
    yield "finished" if found.finished else "not finished: run the same generate command to continue"
