"""Every command's help in 80 columns: nothing wider, no word cut, an example at the top."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from degrade_engine import cli
from degrade_engine.engine.errors import DegradeError
from degrade_engine.helptext import Context


def commands(group: click.Group, name: str, parent: click.Context) -> Iterator[tuple[str, click.Command]]:
    """All below a group; of bench/ those whose packages are installed."""
    for one in group.list_commands(parent):
        try:
            command = group.get_command(parent, one)
        except DegradeError:
            continue
        assert command is not None
        yield f"{name} {one}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {one}", Context(command, parent))


EVERY = dict([("degrade-engine", cli.app), *commands(cli.app, "degrade-engine", Context(cli.app))])


def shown(name: str, width: int = 80) -> str:
    """As a terminal of that width shows it."""
    *parents, last = name.split()
    context: click.Context | None = None
    for n in range(len(parents) + 1):
        command = EVERY[" ".join(name.split()[: n + 1])]
        context = Context(command, context, info_name=name.split()[n], terminal_width=width - 1,
                          help_option_names=["-h", "--help"])  # fmt: skip
    assert context is not None
    return click.unstyle(context.get_help())


@pytest.mark.parametrize("name", EVERY)
def test_it_fits_80_columns_and_cuts_no_word(name: str) -> None:
    text, command = shown(name), EVERY[name]
    assert max(map(len, text.splitlines())) < 80
    assert not [line for line in text.splitlines() if line.endswith("...") and "[ARGS]" not in line]
    told = set(re.split(r"\s+", text))
    for param in command.params:
        for word in (getattr(param, "help", None) or "").split():
            assert word in told, f"{param.name}: {word!r} is cut"
    for word in (command.help or "").replace("\b", "").split():
        assert word in told, f"{word!r} is cut"


@pytest.mark.parametrize("name", EVERY)
def test_an_example_stands_at_the_top(name: str) -> None:
    text = shown(name)
    assert "  Example" in text and text.index("  Example") < 800
    example = text[text.index("  Example") :].split("\n\n")[0]
    assert name in example


@pytest.mark.parametrize("name", EVERY)
def test_every_option_is_explained(name: str) -> None:
    for param in EVERY[name].params:
        if isinstance(param, click.Option):
            assert param.help, f"{name}: {param.opts[0]}"


def test_the_usual_options_come_first() -> None:
    lines = [line for line in shown("degrade-engine generate").splitlines() if line]
    heads = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert heads == ["The usual options:", "Input:", "Output:", "Model and recipe:", "Running:", "Advanced:",
                     "Other options:"]  # fmt: skip
    first = lines[lines.index(heads[0]) + 1 : lines.index(heads[1])]
    assert sum(line.startswith("  --") for line in first) == 10


@pytest.mark.parametrize("width", [40, 60, 120])
def test_other_widths_work(width: int) -> None:
    assert "--hr WHERE" in shown("degrade-engine generate", width)
