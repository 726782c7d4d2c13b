"""The options that measurements share, and their types."""

from __future__ import annotations

from pathlib import Path

import click

from degrade_engine.engine.sinks import KINDS

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EITHER = click.Path(exists=True, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)  # a file to be written
WORK = click.Path(file_okay=False, path_type=Path)  # a folder to be made
SEED = click.IntRange(0, 2**31 - 1)
AT_LEAST_1 = click.IntRange(1)

HR = click.option(
    "--hr", type=FOLDER, default=Path("samples/hr"), show_default=True, help="Folder of sharp photographs."
)
REFERENCE = click.option(
    "--reference", type=FOLDER, default=Path("samples/reference"), show_default=True,
    help="Folder of the camera's photographs, for --engine.",
)  # fmt: skip
SINKS = click.option(
    "--sink", "sinks", type=click.Choice(KINDS), multiple=True, default=KINDS,
    help="Output layout. Can be repeated. [default: all]",
)  # fmt: skip
ROWS_APPENDED = click.option(
    "-o", "--out", type=OUT, required=True, help="File for the rows (JSON Lines). Rows are appended."
)
ROWS_WRITTEN = click.option(
    "-o", "--out", type=OUT, required=True, help="File for the rows (JSON Lines). An existing file is overwritten."
)
