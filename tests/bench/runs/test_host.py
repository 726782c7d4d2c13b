"""`bench pipeline --host` makes whole runs without networks, as now and as before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from degrade_engine.bench.runs import host
from degrade_engine.cli import main
from degrade_engine.engine import images


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    (tmp_path / "hr").mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (14, 9, 3), np.uint8)
    Image.fromarray(coarse).resize((600, 1100)).save(tmp_path / "hr" / "a.png")
    return tmp_path / "hr"


def test_a_row_of_each_source_size_and_output(hr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ROUNDS", 1)
    monkeypatch.setattr(host, "SIDES", (512,))
    out = tmp_path / "rows.jsonl"
    assert main(["bench", "pipeline", "--hr", str(hr), "--host", "2", "-o", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    runs = [row for row in rows if row["what"] == "host" and row["engine"] == "instant"]
    degraded = [row["engine"] for row in rows if row.get("engine") in host.DEGRADERS]
    assert degraded == ["bsrgan", "bsrgan", "realesrgan", "realesrgan"]
    assert {(row["source"], row["hr"], row["output"], row["code"]) for row in runs} == {
        (source, side, output, code) for source in host.SOURCES for side in host.SIDES for output in host.OUTPUTS
        for code in ("0.2", "now")
    }  # fmt: skip
    for row in runs:
        assert row["cpu_ms_a_pair"] > 0 and row["commit"]
        assert row["pairs_a_second_a_core"] == pytest.approx(1000 / row["cpu_ms_a_pair"], rel=0.01)
    steps = [row for row in rows if row["what"] == "host stages"]
    assert len(steps) == 4 and all(row["decode_cpu_ms"] > 0 for row in steps)


def test_squares_differ_and_are_of_whole_tiles(hr: Path) -> None:
    tiles = host.cut(hr, host.TILE)
    made = host.large(tiles, 1024, 9)
    assert {one.shape for one in made} == {(1024, 1024, 3)}
    assert len({one.tobytes() for one in made}) == 9
    assert np.array_equal(made[0][:512, :512], tiles[0])


def test_before_is_pillow() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    now = images.resize_bicubic
    with host.as_before():
        assert images.resize_bicubic is not now
        assert np.array_equal(images.resize_bicubic(image, (16, 16)), now(image, (16, 16)))
    assert images.resize_bicubic is now
