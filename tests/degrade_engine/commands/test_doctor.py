"""`degrade-engine doctor`: one line a finding, and the exit code."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from degrade_engine.cli import main
from degrade_engine.commands.doctor import command
from degrade_engine.engine import doctor, machine


def test_the_verdict_comes_first_and_the_findings_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    short = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"This machine: \d+ cores?( with [\w -]+)?, .+\.", short[0])
    assert re.fullmatch(r"Best: [\w-]+, (FP32|(bf16|INT8) \(generate --precision (bf16|int8)\))\.", short[1])
    assert main(["doctor", "--all"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == short[:2] and len(printed) > len(doctor.diagnose())
    assert any("onnxruntime" in line and "runs on the CPU" in line for line in printed)


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page["format"] == "degrade-engine/doctor/1" and page["backend"] and page["machine"]
    assert len(page["findings"]) == len(doctor.diagnose())
    assert {"section", "name", "state", "text"} == set(page["findings"][0])


def test_exit_code_one_where_nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "load_error", lambda module: f"No module named {module!r}")
    done = CliRunner().invoke(command)
    assert done.exit_code == 1
    assert "No backend works here" in done.output and "Broken: numpy" in done.output
    assert main(["doctor"]) == 1
