"""`bench formats` measures the bytes that `generate` writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from degrade_engine.bench.runs import formats
from degrade_engine.engine.images import encode_png, encode_webp


def test_rows_hold_the_bytes_of_the_tiles(tmp_path: Path):
    dice = np.random.default_rng(0)
    coarse = dice.integers(0, 256, (80, 70, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    sizes = {"hr": (1100, 600), "lr": (270, 130)}  # two tiles each, and a rest
    for role, (height, width) in sizes.items():
        (tmp_path / role).mkdir()
        (tmp_path / role / "0.png").write_bytes(encode_png(np.ascontiguousarray(coarse[:height, :width])))
        (tmp_path / role / "small.png").write_bytes(encode_png(np.ascontiguousarray(coarse[:50, :50])))
    words = ["--hr", str(tmp_path / "hr"), "--lr", str(tmp_path / "lr"), "--conditions", "a test"]
    done = CliRunner().invoke(formats.main, [*words, "-o", str(tmp_path / "rows.jsonl")])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert all(row["read_cpu_ms_a_megapixel"] > 0 for row in rows)
    assert all(row["conditions"] == "a test" and row["images"] == 2 for row in rows)
    for role, side in (("HR", 512), ("LR", 128)):
        tiles = [coarse[at : at + side, :side] for at in (0, side)]
        found = {row["way"]: row["bytes"] for row in rows if row["what"] == f"{role} {side}"}
        assert found["WebP"] == sum(len(encode_webp(tile)) for tile in tiles)
        assert found["PNG fast"] == sum(len(encode_png(tile)) for tile in tiles)
        assert found["PNG level 2"] == sum(len(encode_png(tile, 2)) for tile in tiles)
