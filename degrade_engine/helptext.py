"""The look of `--help`: cloup's groups of options in 80 columns, in colour where the output is a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import click
import cloup
from cloup import HelpFormatter, HelpTheme, Style
from cloup.formatting import HelpSection

from degrade_engine.guard import check

HYPHEN = "\ue000"  # stands for "-" while lines are wrapped: click cuts words at their hyphens
ENVIRONMENT = "DEGRADE_ENGINE"  # DEGRADE_ENGINE_GENERATE_THREADS=8 is --threads 8 of `generate`
_RANGE = re.compile(r"(?:; |(?<=\[))[\d.]*<?=?x[<>]?=?[\d.]*\]")  # such as 0<=x<=1, which click adds to the help

_CHOICES = re.compile(r"\[([^][]+\|[^][]+)\]")


class Formatter(HelpFormatter):
    """Cloup's formatter, which never cuts a word."""

    def __init__(self, **settings: Any) -> None:
        theme = HelpTheme(heading=Style(bold=True), col1=Style(fg="cyan"))
        super().__init__(**{"col1_max_width": 24, "theme": theme, **settings})

    def write_text(self, text: str, *args: Any, **settings: Any) -> None:
        super().write_text(text.replace("-", HYPHEN), *args, **settings)

    def write_dl(self, rows: Iterable[Any], *args: Any, **settings: Any) -> None:
        plain = []
        for term, said in rows:
            if len(term) > self.available_width and (choices := _CHOICES.search(term)):
                term, said = term.replace(choices[0], "NAME"), f"{choices[1].replace('|', ', ')}. {said}"
            plain.append((term, _RANGE.sub("]", said).removesuffix("  []").replace("-", HYPHEN)))
        super().write_dl(plain, *args, **settings)

    def getvalue(self) -> str:
        return super().getvalue().replace(HYPHEN, "-")


class Context(cloup.Context):
    """A context whose help is written by `Formatter`, and whose values go through `guard.check`."""

    formatter_class = Formatter

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        check(self)
        return super().invoke(*args, **kwargs)


def dress(command: click.Command) -> None:
    """Give a command, and the commands under it, this help page."""
    command.context_class = Context
    if isinstance(command, click.Group):  # one whose commands are lazy has none here, and dresses them itself
        for child in command.commands.values():
            dress(child)


def write_commands(formatter: click.HelpFormatter, groups: dict[str, dict[str, str]]) -> None:
    """Write lists of commands under their headings, in one column: {heading: {name: what it does}}."""
    assert isinstance(formatter, HelpFormatter)
    formatter.write_many_sections([HelpSection(heading, list(some.items())) for heading, some in groups.items()])
