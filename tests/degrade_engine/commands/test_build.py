"""`degrade-engine build` from the command line: a bundle, a checkpoint, and mistakes in one sentence."""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path

import pytest

from degrade_engine.cli import main
from degrade_engine.engine.api import Engine

SIZES = ["--lr-size", "16", "--batch", "2", "--candidates", "2", "--threads", "1"]


def test_bundle_to_engine(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "engine"
    assert main(["build", str(tiny_bundle), "-o", str(out), "--precision", "fp16", *SIZES]) in (0, None)
    said = capsys.readouterr()
    assert "computes in FP32" in said.err and "LR 16x16, 2 pairs x 2 candidates" in said.out
    assert "comparisons passed" in said.out
    with Engine.open(out) as engine:
        assert engine.spec.batch == 2
    assert main(["build", str(tiny_bundle), "-o", str(out), "--precision", "fp16", *SIZES]) in (0, None)
    assert "up to date" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--backend", "onnxruntime-cuda"], "The backend onnxruntime-cuda builds on the GPU that will run the engine"),
        (["--target", "sm_89"], "leave --target out"),
        (["--lr-size", "15"], "multiple of 2"),
    ],
)
def test_mistakes_are_sentences(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], said: str
) -> None:
    assert main(["build", str(tiny_bundle), "-o", str(tmp_path / "e"), *SIZES, *change]) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_no_such_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nothing", "nothing.safetensors"):
        assert main(["build", str(tmp_path / name), "-o", str(tmp_path / "e")]) == 2
        assert name in capsys.readouterr().err


def test_a_checkpoint_is_exported_first(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export itself is tested with torch; here it is that the command hands over, once for all sizes."""
    made: list[Path] = []

    def export_checkpoint(checkpoint: Path, out: Path) -> Path:
        made.append(out)
        assert checkpoint.name == "model.safetensors" and not out.exists()
        return Path(shutil.copytree(tiny_bundle, out))

    fake = types.ModuleType("degrade_engine.export")
    fake.export_checkpoint = export_checkpoint  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "degrade_engine.export", fake)
    monkeypatch.setenv("DEGRADE_ENGINE_CACHE", str(tmp_path / "cache"))
    checkpoint = a_checkpoint(tmp_path)
    for size in ("16", "32"):
        sizes = [*SIZES, "--lr-size", size]
        assert main(["build", str(checkpoint), "-o", str(tmp_path / "engine"), *sizes]) in (0, None)
    assert len(made) == 1 and made[0].parent == tmp_path / "cache" / "bundles"
    with Engine.open(tmp_path / "engine") as engine:
        assert engine.spec.lr_size == 32


def a_checkpoint(folder: Path) -> Path:
    """Two files that only an export would look into."""
    (folder / "model.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder / "model.safetensors"


def test_a_checkpoint_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "degrade_engine.export", None)
    assert main(["build", str(a_checkpoint(tmp_path)), "-o", str(tmp_path / "engine")]) == 2
    assert "degrade-engine[train,cpu]" in capsys.readouterr().err
