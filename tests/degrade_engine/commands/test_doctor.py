"""`degrade-engine doctor`: one line a finding, and the exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from degrade_engine.cli import main
from degrade_engine.commands.doctor import command
from degrade_engine.engine import doctor


def test_here_a_backend_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(doctor.diagnose(doctor.look()))
    assert any("onnxruntime" in line and "runs on the CPU" in line for line in printed)


def test_exit_code_one_where_nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = replace(doctor.look(), providers=None, failures={"onnxruntime": "No module named 'onnxruntime'"},
                   installed={})  # fmt: skip
    monkeypatch.setattr(doctor, "look", lambda: bare)
    done = CliRunner().invoke(command)
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("No backend works here")
    assert main(["doctor"]) == 1
