"""The measurement of the pipeline says what a run's page says, and a longer plan costs little memory."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from degrade_engine.bench.runs import pipeline
from degrade_engine.cli import main
from degrade_engine.engine.planning import Order


def test_shares_leave_out_the_first_and_the_last_shard_and_add_up():
    def shard(pairs: int, wall: float, engine: float, starved: float) -> dict[str, float]:
        return {"pairs": pairs, "wall": wall, "decode": 1.0, "degrade": 2.0, "engine": engine, "write": 1.0,
                "starved": starved, "blocked": 0.0}  # fmt: skip

    page = {"timeline": [shard(8, 99, 1, 98), shard(8, 10, 9.5, 0.5), shard(8, 10, 9.7, 0.1), shard(1, 50, 1, 0)]}
    assert pipeline.shares(page, threads=2) == {
        "shards": 2, "pairs_per_second": 0.8, "busy": 0.96, "starved": 0.03, "blocked": 0.0,
        "io_share": round(4 / (4 + 4 + 2 * 19.2), 4),
    }  # fmt: skip


def test_planning_needs_little_more_memory_for_a_thousand_times_the_pairs(samples, tmp_path):
    order = Order(degrader="bicubic", hr=samples / "hr")
    few, many = (pipeline.alone(pipeline.planned, order, pairs, tmp_path / str(pairs)) for pairs in (1_000, 1_000_000))
    assert many[1] - few[1] < 100, (few, many)


def test_the_command_writes_a_row_of_each(tmp_path, monkeypatch):
    (tmp_path / "hr").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (520, 520, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "hr" / "a.png"), noise)
    monkeypatch.setattr(pipeline, "COUNTS", (50, 100))
    monkeypatch.setattr(pipeline, "alone", lambda task, *args: task(*args))  # its own processes are tried above
    out: Path = tmp_path / "deep" / "rows.jsonl"
    said = main(["bench", "pipeline", "--hr", str(tmp_path / "hr"), "--quick", "33", "--most", "9000", "-o", str(out)])
    assert said == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["what"], row["pairs"]) for row in rows] == [
        ("plan", 50), ("books", 50), ("plan", 9000), ("books", 9000), ("generate", 33), ("generate", 33),
    ]  # fmt: skip
    assert all(0 <= row["io_share"] <= 1 and row["commit"] and row["threads"] for row in rows[4:])
