"""`degrade-engine doctor`: one line a finding, and the exit code."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from degrade_engine.cli import main
from degrade_engine.commands.doctor import command
from degrade_engine.engine import doctor, machine


def test_here_a_backend_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(doctor.diagnose())
    assert any("onnxruntime" in line and "runs on the CPU" in line for line in printed)


def test_exit_code_one_where_nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "load_error", lambda module: f"No module named {module!r}")
    done = CliRunner().invoke(command)
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("No backend works here")
    assert main(["doctor"]) == 1
