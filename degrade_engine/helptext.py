"""The look of `--help`: click's own layout, with headings, option names and metavars set apart by colour.

Click strips the colours where the output is not a terminal, so scripts see plain text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import click

from degrade_engine.guard import check

_OPTION = re.compile(r"(?<![\w-])(--?[a-z][\w-]*)")
_METAVAR = re.compile(r"(?<![\w-])((?:<[^>]+>)|(?:\[[a-z0-9_|:.-]+\])|(?:[A-Z][A-Z:|]+)(?![\w-]))")


class Formatter(click.HelpFormatter):
    """Click's formatter with bold headings, cyan option names and yellow metavars; wider than click's 80
    columns.
    """

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        if width is None:
            width = min(terminal_width(), max_width or 110)
        super().__init__(indent_increment=indent_increment, width=width, max_width=max_width or 110)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix=click.style("Usage: ", bold=True) if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        self.write(" " * self.current_indent + click.style(heading, bold=True) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 34, col_spacing: int = 2) -> None:
        styled = []
        for term, text in rows:
            term = _METAVAR.sub(lambda m: click.style(m.group(1), fg="yellow"), term)
            styled.append((_OPTION.sub(lambda m: click.style(m.group(1), fg="cyan"), term), text))
        if styled:
            super().write_dl(styled, col_max=col_max, col_spacing=col_spacing)


class Context(click.Context):
    """A click context whose help is written by `Formatter`, and whose values go through `guard.check`."""

    formatter_class = Formatter

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        check(self)
        return super().invoke(*args, **kwargs)


def terminal_width() -> int:
    """Columns of the terminal, 100 where there is none."""
    try:
        return max(60, os.get_terminal_size().columns - 2)
    except OSError:
        return 100
