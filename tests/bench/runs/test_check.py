"""`bench check` lays each defect on right pairs and counts what `check` names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from degrade_engine import cli
from degrade_engine.bench.runs import check
from degrade_engine.engine.images import encode_png, resize_bicubic

from ...engine.pair_sets import photograph


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A corpus of a few photographs and of three sets of true pairs."""
    for name in check.SHARP:
        (tmp_path / name).mkdir()
    for n in range(6):
        (tmp_path / "hr_gb82" / f"{n}.png").write_bytes(encode_png(photograph(n, 160)))
    for name in check.TRUE:
        for n in range(2):
            sharp = np.ascontiguousarray(photograph(10 + n, 128)[:, :128])
            for role, image in (("HR", sharp), ("LR", resize_bicubic(sharp, (32, 32)))):
                (tmp_path / name / role).mkdir(parents=True, exist_ok=True)
                (tmp_path / name / role / f"{n}.png").write_bytes(encode_png(image))
    return tmp_path


def test_rows_count_what_is_named(data: Path, tmp_path: Path, capsys):
    out = tmp_path / "rows.jsonl"
    words = ["--degrader", "bicubic", "--lr-size", "32", "--pairs", "8", "-o", str(out)]
    assert cli.main(["bench", "check", "--data", str(data), *words]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    found = {(row["set"], row["defect"]): row for row in rows}
    assert {name for name, _ in found} == {"bicubic", *check.TRUE}
    assert {defect for _, defect in found} == {"none", "next scene", "foreign scene", *check.DEFECTS}
    assert all(row["named"] == 0 for row in rows if row["defect"] == "none")
    for defect in ("next scene", "turned by 180", "mirrored", "BGR"):
        assert found["bicubic", defect]["named"] == found["bicubic", defect]["pairs"] == 8, defect
        assert found["pairs_drealsr_dev", defect]["named"] == 2, defect
    assert all(row["commit"] and row["pairs_per_second"] > 0 and row["split"] == "reported" for row in rows)
    (tmp_path / "check.jsonl").write_bytes(out.read_bytes())
    assert "| bicubic | 32 | 0 of 8 | 100 |" in check.table(tmp_path)


def test_the_two_splits_share_no_photograph(data: Path, tmp_path: Path):
    lists = [check.photographs(data, split, tmp_path / split).read_text().split() for split in ("chosen", "reported")]
    assert len(lists[0]) == len(lists[1]) == 3 and not set(lists[0]) & set(lists[1])


def test_of_pairs_of_one_crop_the_first_is_taken(tmp_path: Path):
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "a.png").write_bytes(encode_png(np.ascontiguousarray(photograph(0, 128)[:128, :128])))
    words = ["--hr", str(tmp_path / "hr"), "--degrader", "bicubic", "--lr-size", "32", "--pairs", "3"]
    assert [pair.gt.stem for pair in check.generated(tmp_path / "run", words)] == ["0000000"]
