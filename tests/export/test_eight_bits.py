"""`export --precision`: what runs each step in INT8 and FP8, too (tests/engine/test_eight_bits.py has the files)."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.cli import main  # noqa: E402
from degrade_engine.engine.bundle import open_bundle  # noqa: E402
from degrade_engine.engine.spec import Precision  # noqa: E402


def test_the_files_are_added_to_the_bundle(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[Precision]] = []
    monkeypatch.setattr(  # takes most of the time, and has its own tests
        "degrade_engine.export.bundle.check_parity", lambda name, part, inputs, files, islands: {"fp32": {"error": 0.0}}
    )
    monkeypatch.setattr(
        "degrade_engine.export.bundle.add_quantised", lambda folder, precisions, say: asked.append(list(precisions))
    )
    out = tmp_path / "bundle"
    assert main(["export", str(checkpoint), "-o", str(out), "--precision", "int8", "--precision", "fp8"]) == 0
    assert asked == [["int8", "fp8"]] and set(open_bundle(out).spec.parts["denoiser"].files) == {"fp32", "fp16"}


def test_a_kind_without_steps_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lway"
    assert main(["export", "lway-tiny", "-o", str(out), "--precision", "fp8"]) != 0
    assert "--precision is fp8, for what runs in every step, and a model of the kind lway" in capsys.readouterr().err
    assert not out.exists()
