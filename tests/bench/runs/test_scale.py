"""The simulation of many workers: time is counted as on machines of their own, and deaths leave what a kill leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from degrade_engine.bench.runs import crowd, scale
from degrade_engine.cli import main


@pytest.mark.parametrize(("deaths", "apart"), [(0, False), (6, False), (6, True)])
def test_every_shard_is_made_once_whoever_dies(samples: Path, deaths: int, apart: bool):
    row = scale.simulated(samples / "hr", 6, 48, deaths, apart)
    assert row["deaths"] == deaths and row["made_twice"] == 0
    assert (row["begun_twice"] > 0) == (deaths > 0) == (row["lost_s"] > 0)
    assert row["wall_s"] >= row["perfect_s"] == pytest.approx(48 * 8 * crowd.BATCH_S / 6, abs=0.01)
    if apart:  # nobody can know of a death before the lease is over
        assert row["wall_s"] > crowd.LEASE_S


def test_requests_are_counted(samples: Path):
    pytest.importorskip("moto", reason="needs the extra test")
    row = scale.requested(samples / "hr", 1, 3)
    assert row["requests"]["PUT"] >= 9 and row["requests"]["DELETE"] >= 3


def test_clocks_run_side_by_side():
    clocks, ends = crowd.Clocks(), {}

    def work(number: int) -> None:
        for _ in range(3):
            clocks.sleep(10)
        ends[number] = clocks.time()

    clocks.run(5, work)
    assert sorted(ends) == [0, 1, 2, 3, 4] and all(30 <= end < 31 for end in ends.values())


def test_the_command_adds_a_row_of_each(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "COUNTS", (200, 400))
    monkeypatch.setattr(scale, "BUCKETS", ())
    monkeypatch.setattr(scale, "alone", lambda task, *args: task(*args))
    out = tmp_path / "rows.jsonl"
    words = ["bench", "scale", "--hr", samples / "hr", "--workers", 3, "--shards", 9, "--deaths", 1, "--most", 300]
    assert main([str(word) for word in [*words, "-o", out]]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["what"] for row in rows] == ["workers"] * 4 + ["plan", "books", "plan"]
    assert rows[5]["pairs"] == 200 and rows[5]["record_bytes"] > 100 and rows[0]["workers"] == 1
