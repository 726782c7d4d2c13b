"""`degrade-engine generate`: two folders of photographs in, LR/HR training pairs out."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from degrade_engine.engine import run
from degrade_engine.engine.inputs.sources import OnFiles
from degrade_engine.engine.recipe import read_steps, read_tau
from degrade_engine.engine.run import Telling
from degrade_engine.engine.runners.workers import Workers
from degrade_engine.engine.sinks import Output
from degrade_engine.generation.calls import ordered, picked
from degrade_engine.generation.live import live
from degrade_engine.generation.options import generate_options
from degrade_engine.generation.words import headline, in_full

PAIRS_MISSING = 3
SAY_EVERY_S = 10.0


@click.command("generate", short_help="Make LR/HR training pairs with a model.")
@generate_options
@click.pass_context
def command(ctx: click.Context, /, out: Path, **asked: Any) -> None:
    """Make LR/HR training pairs: content from sharp photographs, degradation from real LR ones.

    What makes them is --model (a name such as realdgen-tiny: its engine is built at the first use), --engine, or
    --degrader.

    OUT gets gt/ and lq/ (images only, same names) and meta_info files, or what --sink says; manifest.jsonl (how each
    pair came about) and rejects.jsonl (what was left out and why). However a run was stopped, the same command goes on
    and ends with the same bytes. Calls with one OUT at one time, on one machine or on several that mount it, share
    the work.

    Exit code 0: every pair was made; 3: finished, and some pairs could not be made; 2: a mistake, a full disk, a
    broken engine, no memory, or a photograph that cannot be read or is not there, as the message says; 130 and 143:
    stopped by Ctrl-C or SIGTERM.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    asked["changes"], say = changes(asked), partial(console.print, markup=False)
    workers, order = picked(Workers, asked), ordered(asked, say)
    output = Output(asked["sink"], asked["png_level"], asked["gt"], asked["file_format"])
    from degrade_engine.engine.runners.runner import Interrupted  # here, so that --help needs no network runtime

    with live(console, asked["log_every"]) as on_progress:
        telling = Telling(saying_files(), lambda planned: console.print(headline(planned.plan)), on_progress,
                          say_stopping, console.print)  # fmt: skip
        try:
            if asked["dry_run"]:
                planned = run.plan(order, out, workers=workers, output=output, rescan=asked["rescan"], telling=telling)
                click.echo(in_full(planned.plan, planned.sources))
                return
            made = run.generate(order, out, workers=workers, output=output, rescan=asked["rescan"], telling=telling)
        except Interrupted as stop:
            console.print(stop)
            ctx.exit(128 + stop.number)
    for note in made.notes:
        console.print(note)
    click.echo(str(made))
    if made.pairs < made.asked:
        ctx.exit(PAIRS_MISSING)


def say_stopping(number: int) -> None:
    """Called in the signal's handler, where only a plain write is safe."""
    os.write(2, b"\nStopping after the batch in hand; once more stops at once.\n")


def changes(asked: dict[str, Any]) -> dict[str, Any]:
    """The fields of the recipe that were given by hand. Raises DegradeError."""
    names = ("spacing", "solver", "start", "candidates", "eta", "fusion_weight", "noise")
    given: dict[str, Any] = {name: asked[name] for name in names if asked[name] is not None}
    given |= {name: read(asked[name]) for name, read in (("tau", read_tau), ("steps", read_steps)) if asked[name]}
    return given | ({"filter": False} if asked["no_filter"] else {})


def saying_files() -> OnFiles:
    """For a scan that takes long: says how far it is, on stderr."""
    due = time.monotonic() + SAY_EVERY_S

    def on_files(role: str, count: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + SAY_EVERY_S
            click.echo(f"{count} {role} files looked at", err=True)

    return on_files
