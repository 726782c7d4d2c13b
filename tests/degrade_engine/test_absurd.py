"""Absurd values on the command line: every option of every command, and whole runs with what passes the door. One
sentence with what was expected, exit code 2 (or 1), never a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from degrade_engine import cli

from ..engine.pair_sets import generate, photographs

REALS = ("nan", "inf", "-inf", "1e300", "-1e300", "")
WHOLES = (str(2**63), str(2**64), "9" * 5000, "-1", "1.5", "")
LONG = "x" * 5000
DEEP = "/".join(["folder"] * 900)


@dataclass(frozen=True)
class One:
    """An option or argument of a command."""

    words: tuple[str, ...]
    command: click.Command
    param: click.Parameter

    def __str__(self) -> str:
        return " ".join((*self.words, self.param.opts[-1]))

    def kinds(self) -> list[click.ParamType]:
        """Of its values, one or several."""
        kind = self.param.type
        return list(kind.types) if isinstance(kind, click.Tuple) else [kind] * max(1, self.param.nargs)


def every(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[One]:
    """Every parameter of every command."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from every(child, (*words, name))
        return
    for param in command.params:
        yield One(words, command, param)


@pytest.fixture(scope="module")
def options() -> list[One]:
    pytest.importorskip("torch", reason="the commands that train are imported")
    return list(every(cli.app))


def of(options: list[One], *kinds: type) -> list[One]:
    return [one for one in options if isinstance(one.kinds()[0], kinds)]


class Reached(Exception):
    """A command's own code was reached."""


@pytest.fixture
def door(monkeypatch, capsys, tmp_path):
    """Runs the door alone: what a command is given to do is not done. Returns None where the values were let through,
    else what was said."""
    for name in ("file", "folder"):
        (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_text("")

    def fill(kind: click.ParamType) -> str:
        if isinstance(kind, click.Path):
            return str(tmp_path / ("folder" if kind.dir_okay else "file"))
        if isinstance(kind, click.Choice):
            return str(kind.choices[0])
        return "64"

    def run(one: One, values: list[str]) -> str | None:
        def reached(*_: object, **__: object) -> None:
            raise Reached

        monkeypatch.setattr(one.command, "callback", reached)
        words = list(one.words)
        for param in one.command.params:
            if param is one.param:
                continue
            if param.required:
                kinds = One(one.words, one.command, param).kinds()
                words += [] if isinstance(param, click.Argument) else [param.opts[-1]]
                words += [fill(kind) for kind in kinds]
        if isinstance(one.param, click.Argument):  # before the others, which are options
            words = [*one.words, *values, *words[len(one.words) :]]
        else:
            words += [one.param.opts[-1], *values]
        try:
            code = cli.main(words)
        except Reached:
            return None
        said = capsys.readouterr().err
        assert code == 2 and "Traceback" not in said, (words, said)
        return said

    return run


def filled(one: One, value: str) -> list[list[str]]:
    """The value at each place of an option that takes several, beside sound ones."""
    kinds = one.kinds()
    return [["1" if at != place else value for at in range(len(kinds))] for place in range(len(kinds))]


def test_every_number_has_bounds(options, door):
    numbers = of(options, click.types.IntParamType, click.types.FloatParamType)
    assert len(numbers) > 100
    for one in numbers:
        for kind in one.kinds():
            bounded = isinstance(kind, click.IntRange | click.FloatRange) and kind.min is not None
            assert bounded or one.words[0] == "bench", f"{one} has no least value of its own"
        absurd = REALS if isinstance(one.kinds()[0], click.types.FloatParamType) else WHOLES
        for value in (value for value in absurd if value not in passed(one)):
            for values in filled(one, value):
                said = door(one, values)
                assert said is not None, f"{one} takes {value[:20]!r}"
                assert one.param.opts[-1] in said, (str(one), said)


def passed(one: One) -> tuple[str, ...]:
    """What only looks absurd: a seed may have 64 bits."""
    most = getattr(one.kinds()[0], "max", None)
    return (str(2**63),) if most is not None and most >= 2**63 else ()


def test_every_path_is_one_that_can_be(options, door, tmp_path):
    paths = of(options, click.Path)
    assert len(paths) > 80
    for one in paths:
        for absurd in ("a\0b", LONG, DEEP):
            for values in filled(one, absurd):
                assert door(one, values), f"{one} takes {absurd[:20]!r}"
        kind = one.kinds()[0]
        assert isinstance(kind, click.Path)
        if not kind.dir_okay:
            assert all(door(one, values) for values in filled(one, str(tmp_path / "folder"))), one
        if not kind.file_okay:
            assert all(door(one, values) for values in filled(one, str(tmp_path / "file"))), one


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return photographs(tmp_path_factory.mktemp("absurd") / "hr", 72)


def refused(capsys, words: list[str], *codes: int) -> str:
    """What is said of a command that has to end with one of the codes (2)."""
    capsys.readouterr()
    code = cli.main(words)
    told = capsys.readouterr()
    assert code in (codes or (2,)) and "Traceback" not in told.err, (words, code, told.err)
    assert len(told.err.split("Error:")[-1].splitlines()) <= 2, told.err
    return str(told.err)


ODD = {
    "--tau": ["nan", "-1", "1:", "9" * 5000, "30:1", "1:2:3", "\u0663"],
    "--steps": ["0", "-1", "9" * 5000, "nan", "half"],
    "--devices": ["", ",", "-1", "9" * 5000, "0;1", "0"],
    "--hr": ["", "\udcff", LONG, DEEP, "a\0b", "://", "::", "gone://x", "http://[::1", "zip://::", "[", "**/[",
             "/dev/null", ".txt"],
    "--pair-list": ["/dev/null", "/etc", LONG],
    "--degrader-options": ["/dev/null/x", "/etc", LONG],
    "--weights": ["/dev/null", "/etc"],
    "--cameras": ["/dev/null", "/etc"],
    "--out": ["/dev/null", "/dev/null/x", "/proc/x/y", LONG, "\udcff\0"],
    "--pairs": ["99999999999", "100000001"],
    "--lr-size": ["16384", "7"],
    "--ray-address": ["auto"],
}  # fmt: skip


@pytest.mark.parametrize("option", ODD)
def test_a_run_with_it_is_refused(photos, tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    sound = {"--degrader": "bicubic", "--hr": str(photos), "--out": "out", "--lr-size": "16", "--pairs": "4"}
    for value in ODD[option]:
        words = ["generate"] + [word for pair in (sound | {option: value}).items() for word in pair]
        refused(capsys, words)
    assert not [one for one in tmp_path.iterdir() if one.name != "out"], "it wrote elsewhere"


def test_what_sounds_absurd_and_is_not_makes_the_pairs(photos, tmp_path):
    more = ("--grace", 86400, "--log-every", 1e9, "--threads", 1024, "--shard-pairs", 2**31 - 1, "--seed", 2**64 - 1)
    assert generate("folder", photos, tmp_path / "out", *more, "--lease", 2**31 - 1) == 0


@pytest.mark.parametrize("command", ["status", "check", "report", "verify", "build", "export"])
def test_a_path_that_is_nothing_of_ours_is_a_sentence(photos, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"\0")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    out = ["-o", "out"] if command in ("report", "build", "export") else []
    for name in ("file", "empty", "pipe", "loop", "gone", "gone/far", "file/x", "", "\udcff", "s3://a/b", "/dev/null"):
        said = refused(capsys, [command, name, *out])
        assert "Error" in said and not (tmp_path / "out").exists(), (name, said)
