"""What no option of any command may be, checked at the door: a number that is none, or beyond all sense; a path that no
system can hold. An option that knows narrower bounds declares them itself.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from degrade_engine.engine.secrecy import URL

MOST_WHOLE, MOST_REAL = 2**31 - 1, 1e9
MOST = {"threads": 1024, "workers": 1024, "processes": 1024, "batch": 2**16, "candidates": 1024, "lr_size": 2**14,
        "crop": 2**14, "reference_crop": 2**14, "tile_overlap": 2**14, "grace": 86400.0, "minutes": 1e6}  # fmt: skip
"""By name, where fewer make sense in every command that has the option: threads, rows, pixels, seconds, minutes."""
LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, on Linux


def check(ctx: click.Context) -> None:
    """Raises click.BadParameter for the first such value among the context's parameters."""
    for param in ctx.command.params:
        for value in _leaves(ctx.params.get(param.name or "")):
            reason = _wrong(param, value)
            if reason:
                raise click.BadParameter(reason, ctx, param)


def nul_in(words: list[str]) -> str | None:
    """What is wrong where a word of the command line holds a NUL: no system call takes one."""
    found = next((word for word in words if "\0" in word), None)
    return None if found is None else f"The argument {found!r} holds a NUL byte. Expected: an argument without one."


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for one in value:
            yield from _leaves(one)
    else:
        yield value


def _wrong(param: click.Parameter, value: Any) -> str | None:
    if isinstance(value, float):
        most = MOST.get(param.name or "", MOST_REAL)
        if not math.isfinite(value) or abs(value) > most:
            return f"{value} makes no sense here. Expected: a number of at most {most:g}."
    if isinstance(value, int) and not isinstance(value, bool) and not _bounded(param.type):
        most = MOST.get(param.name or "", MOST_WHOLE)
        if not 0 <= value <= most:
            return f"{value} makes no sense here. Expected: a whole number from 0 to {most}."
    if isinstance(value, Path):
        if not value.name and isinstance(param.type, click.Path) and not param.type.dir_okay:
            return "the path is empty. Expected: a file."
        if URL.match(str(value)):
            return "a URL came. Expected: a path on this machine. `generate` takes URLs as --hr, --reference and --out."
        names = str(value).split(os.sep)
        longest = max(len(os.fsencode(name)) for name in names)
        if longest > LONGEST_NAME or len(os.fsencode(value)) > LONGEST_PATH:
            return (
                f"{str(value)[:60]}… is too long. Expected: a path of {LONGEST_PATH} bytes at most, and names of 255."
            )
    return None


def _bounded(kind: click.ParamType[Any]) -> bool:
    """Whether an option has both bounds of its own: a seed may be larger than MOST_WHOLE."""
    return isinstance(kind, click.IntRange) and kind.max is not None
