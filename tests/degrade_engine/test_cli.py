"""The front door: what it lists, what it loads, and how it ends."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from degrade_engine import cli
from degrade_engine.engine.errors import DegradeError


def test_help_lists_the_commands_that_are_there(capsys):
    assert cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert cli.available() and all(name in said for name in cli.available())
    assert "\x1b" not in said  # no colour codes where the output is not a terminal


@pytest.mark.parametrize("name", cli.available())
def test_each_command_explains_itself(name, capsys):
    assert cli.main([name, "--help"]) == 0
    assert f"degrade-engine {name}" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"degrade-engine {cli.package_version()}\n"


def test_help_loads_no_command_and_no_network_library():
    code = (
        "import sys; from degrade_engine.cli import main; main(['--help']); "
        "print([m for m in sys.modules if m.startswith('degrade_engine.commands.') "
        "or m in ('torch', 'onnxruntime', 'cv2')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (
            DegradeError("The cup is empty", mend="fill it"),
            2,
            "Error: The cup is empty. Fix: fill it.",
        ),
        (click.UsageError("no such thing"), 2, "no such thing"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (MemoryError(), 2, "not enough memory"),
        (RuntimeError("can't start new thread"), 2, "not enough memory (can't start new thread)"),
        (ValueError("(-4:Insufficient memory) Failed to allocate 9 bytes"), 2, "Fix: close other programs"),
        (OSError(28, "No space left on device", "/x/y"), 2, "Error: /x/y: No space left on device. Fix"),
        (OSError("odd"), 2, "Error: odd. Fix"),
    ],
)
def test_a_mistake_is_a_sentence_and_an_exit_code(monkeypatch, capsys, raised, code, said):
    @click.command()
    def command() -> None:
        raise raised

    monkeypatch.setattr(cli.Front, "get_command", lambda *_: command)
    assert cli.main(["doctor"]) == code
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err


def test_an_unknown_command_is_refused(capsys):
    assert cli.main(["degenerate"]) == 2
    assert "degenerate" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(monkeypatch):
    @click.command()
    def command() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli.Front, "get_command", lambda *_: command)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


def test_python_m_is_the_same_door():
    done = subprocess.run([sys.executable, "-m", "degrade_engine", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("degrade-engine ")
