"""The kinds of options that measurements share."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EITHER = click.Path(exists=True, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)  # a file to be written
WORK = click.Path(file_okay=False, path_type=Path)  # a folder to be made
SEED = click.IntRange(0, 2**31 - 1)
AT_LEAST_1 = click.IntRange(1)
