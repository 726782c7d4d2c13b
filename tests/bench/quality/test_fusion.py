"""The table of UDDM's weight, on an engine of random weights."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="bench.quality needs the extra train")
pytest.importorskip("skimage", reason="needs the extra metrics")

from degrade_engine.bench.quality import fusion, quality  # noqa: E402
from degrade_engine.engine import images  # noqa: E402
from degrade_engine.engine.build import build  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402


def engine(kind: str, folder: Path) -> Path:
    found = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[2] / "engine" / "tiny_bundle.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return build(module.make(folder / "bundle", kind=kind), folder / "engine", lr_size=32, batch=2, threads=1).folder


def test_a_row_a_weight_beside_the_baselines(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hr = [images.read_rgb(path)[:128, :128] for path in sorted((samples / "hr").iterdir())[:2]]
    lr = [images.resize_bicubic(image, (32, 32)) for image in hr]
    monkeypatch.setattr(fusion, "read_pairs", lambda *_: quality.Pairs("chosen", 4, hr, lr, {}))
    folder = engine("uddm", tmp_path)
    words = ["--data", str(tmp_path), "--engine", str(folder), "-o", str(tmp_path / "rows.jsonl")]
    result = CliRunner().invoke(fusion.main, words)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert rows[0]["generator"] == "bicubic" and rows[0]["psnr_db"] > 90, "the real LR here is the bicubic one"
    assert [row.get("fusion_weight") for row in rows] == [None, None, None, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert rows[3]["psnr_db"] != rows[-1]["psnr_db"], "the ends are one branch each"
    assert all(row["commit"] and row["pairs"] == 2 for row in rows)


def test_another_kind_is_refused(tmp_path: Path) -> None:
    words = ["--data", str(tmp_path), "--engine", str(engine("syndiff", tmp_path)), "-o", str(tmp_path / "rows.jsonl")]
    with pytest.raises(DegradeError, match="an engine of the kind syndiff"):
        CliRunner().invoke(fusion.main, words, catch_exceptions=False)
