"""The options of `generate` that say where the photographs lie, which of them are used, and how that is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from degrade_engine.engine.faults import PATIENCE_S, Patience
from degrade_engine.engine.images import BYTES_A_PIXEL, PIXEL_LIMIT, Alpha
from degrade_engine.engine.inputs.inventory import IDENTITIES
from degrade_engine.engine.inputs.sources import How

SAY_EVERY_S = 10.0
F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        "--hr",
        metavar="WHERE",
        help="Sharp photographs: the content, and the GT of the pairs. A folder; a quoted glob ('photos/**/*.jpg'); a "
        ".txt file with a path a line, relative to it; or a URL that fsspec reads (zip://::photos.zip, s3://bucket/a).",
    ),
    click.option("--reference", metavar="WHERE", help="Real LR photographs: the degradation to imitate. As --hr."),
    click.option(
        "--pair-list",
        type=click.Path(dir_okay=False, path_type=Path),
        help="CSV with the columns hr,reference, or hr alone where no reference is read: exactly these pairs, in this "
        "order. Paths are relative to --hr and --reference, or else to the CSV's folder.",
    ),
    click.option(
        "--alpha",
        type=click.Choice(get_args(Alpha)),
        default="white",
        show_default=True,
        help="Of partly transparent images: laid over white, or refused by name.",
    ),
    click.option(
        "--pixel-limit",
        type=click.IntRange(1),
        default=PIXEL_LIMIT,
        show_default=True,
        metavar="N",
        help=f"Images that say they have more pixels are refused before they are decoded, and so are pixels of more "
        f"than {BYTES_A_PIXEL} bytes: at most {PIXEL_LIMIT * BYTES_A_PIXEL / 1e9:g} GB an image by default.",
    ),
    click.option(
        "--identity",
        type=click.Choice(IDENTITIES),
        default="size",
        show_default=True,
        help="What tells, when a photograph is read, that it is the one that was planned: its length, its length and "
        "time, or its hash (then the scan reads every file whole).",
    ),
    click.option(
        "--patience",
        type=click.FloatRange(0, 86400),
        default=PATIENCE_S,
        show_default=True,
        metavar="SECONDS",
        help="How long a photograph that cannot be read (a disk's error, no connection, not there) is tried again "
        "before the run stops.",
    ),
    click.option(
        "--allow-missing",
        is_flag=True,
        help="Go on without photographs that are not there or may not be read, instead of stopping: they are named in "
        "rejects.jsonl, counted in run.json, and other pairs are made in place of theirs.",
    ),
    click.option(
        "--rescan",
        is_flag=True,
        help="Look at all photographs again, though inventory.jsonl lies in OUT and answers the same question.",
    ),
    click.option(
        "--dry-run", is_flag=True, help="Plan, say what would be made, and write plan.json and inventory.jsonl only."
    ),
]


def photograph_options(command: F) -> F:
    """Adds them to a command, in their order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def how(asked: dict[str, Any]) -> How:
    """What they say about looking. A scan that takes long says how far it is, on stderr."""
    due = time.monotonic() + SAY_EVERY_S

    def on_files(role: str, count: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + SAY_EVERY_S
            click.echo(f"{count} {role} files looked at", err=True)

    known = None if asked["rescan"] else asked["out"]
    patience = Patience(asked["patience"], asked["allow_missing"])
    return How(asked["identity"], asked["pixel_limit"], known, on_files, patience)
