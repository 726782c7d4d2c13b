"""The options that measurements share, and their types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click
from click.decorators import FC

from degrade_engine.engine.sinks import KINDS

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EITHER = click.Path(exists=True, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)  # a file to be written
WORK = click.Path(file_okay=False, path_type=Path)  # a folder to be made
SEED = click.IntRange(0, 2**31 - 1)


def integer(name: str, default: int | None, said: str, *, least: int = 1, metavar: str = "N") -> Callable[[FC], FC]:
    """An option for a whole number, from `least` on. default: None where it may be left out, which `said` explains."""
    kind = click.IntRange(least)
    return click.option(name, type=kind, metavar=metavar, default=default, show_default=default is not None, help=said)


def random_seed(said: str = "Random seed.") -> Callable[[FC], FC]:
    """The option for a seed, 0 where it is not given."""
    return click.option("--seed", type=SEED, metavar="S", default=0, show_default=True, help=said)


def one_of(name: str, names: Sequence[str], default: str, said: str) -> Callable[[FC], FC]:
    """An option for one of these names."""
    return click.option(name, type=click.Choice(names), default=default, show_default=True, help=said)


def several(name: str, key: str, names: Sequence[str], said: str, default: str = "all") -> Callable[[FC], FC]:
    """An option for some of these names: it can be repeated, and all of them are taken where it is not given."""
    said = f"{said} Can be repeated. [default: {default}]"
    return click.option(name, key, type=click.Choice(names), multiple=True, default=names, help=said)


HR = click.option("--hr", type=FOLDER, default=Path("samples/hr"), show_default=True,
    help="Folder of sharp photographs.")  # fmt: skip
REFERENCE = click.option("--reference", type=FOLDER, default=Path("samples/reference"), show_default=True,
    help="Folder of the camera's photographs, for --engine.")  # fmt: skip
SAMPLES = click.option("--samples", type=FOLDER, default=Path("samples"), show_default=True,
    help="Folder with the photographs: hr/ and reference/.")  # fmt: skip
CONDITIONS = click.option("--conditions", metavar="TEXT",
    help="Text that is stored in every row, e.g. what else ran on the machine.")  # fmt: skip
SINKS = several("--sink", "sinks", KINDS, "Output layout.")
ROWS_APPENDED = click.option("-o", "--out", type=OUT, required=True,
    help="File for the rows (JSON Lines). Rows are appended.")  # fmt: skip
ROWS_WRITTEN = click.option("-o", "--out", type=OUT, required=True,
    help="File for the rows (JSON Lines). An existing file is overwritten.")  # fmt: skip


def rows_replaced(which: str) -> Callable[[FC], FC]:
    """The option for a file of rows, in which those of the same `which` are replaced."""
    said = f"File for the rows (JSON Lines). Rows of the same {which} are replaced; others are kept."
    return click.option("-o", "--out", type=OUT, required=True, help=said)
