"""The measure of seams, and its rows, on engines of random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from degrade_engine.bench.papers import tiles
from degrade_engine.bench.rows import RESULTS, rows_of
from degrade_engine.engine.build import build
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sampling.tiling import grid

from ...engine import tiny_bundle


def test_a_seam_is_seen_where_it_is_and_nowhere_else() -> None:
    place, images = tiles.side_by_side(48, 16), np.random.default_rng(0).normal(0, 9, (4, 48, 48, 3))
    assert abs(tiles.seam(images, place)) < 0.5, "noise has no seam"
    raised = images / 9 + 5 * (np.arange(48) // 16 % 2)[:, None, None]
    assert tiles.seam(raised, place) == pytest.approx(2, abs=0.3), "5 over the edges in y, less noise, 0 in x"
    assert tiles.seam(np.roll(raised, 8, axis=1), place) < 0


def test_inside_is_far_from_every_edge() -> None:
    far = tiles.inside(grid(128, 128, 64))
    assert tiles.edges(grid(128, 128, 64).y) == [32, 64, 96]
    assert np.flatnonzero(far[0]).tolist() == [*range(24), *range(40, 56), *range(72, 88), *range(104, 128)]
    assert (far == far.T).all()


@pytest.mark.parametrize("kind", ["uddm", "lway"])
def test_rows_of_a_kind(kind: str, samples: Path, tmp_path: Path) -> None:
    bundle = tiny_bundle.make(tmp_path / "bundle", kind=kind)
    small, large = (build(bundle, tmp_path / str(size), lr_size=size, batch=3, threads=1).folder for size in (16, 32))
    out = tmp_path / "rows.jsonl"
    out.write_text(json.dumps({"kind": "other"}) + "\n" + json.dumps({"kind": kind, "way": "of before"}) + "\n")
    words = ["--engine", small, "--whole", large, "--samples", samples, "-o", out]
    result = CliRunner().invoke(tiles.main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    first, *rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert first == {"kind": "other"} and [row["way"] for row in rows] == ["whole", "tiles", "side by side"] * 2
    assert {row["subject"] for row in rows} == {"photographs", "one grey"} and all(row["commit"] for row in rows)
    for whole, tiled, boxes in (rows[:3], rows[3:]):
        assert whole["max"] == 0 and tiled["edges_mean"] < boxes["edges_mean"]
        assert abs(tiled["seam"] - whole["seam"]) < 0.1 < boxes["seam"]
    swapped = ["--engine", str(large), "--whole", str(small), "-o", str(out)]
    with pytest.raises(DegradeError, match="two engines of one bundle"):
        CliRunner().invoke(tiles.main, swapped, catch_exceptions=False)


def test_the_committed_rows_show_no_seam_and_that_one_would_be_seen() -> None:
    """The trained models: over the tiles' edges as rough as the whole image is there; side by side, rougher. In the
    interior 99 of 100 values are within 10 grey levels, and no farther off at the edges than inside."""
    rows = {(row["kind"], row["subject"], row["way"]): row for row in rows_of(RESULTS, "tiles")}
    assert {kind for kind, _, _ in rows} == {"realdgen", "syndiff", "lway", "uddm"}
    for kind, subject, way in rows:
        if way == "tiles":
            tiled, whole, boxes = (rows[kind, subject, one]["seam"] for one in (way, "whole", "side by side"))
            assert abs(tiled - whole) < (0.1 if subject == "photographs" else 0.25), (kind, subject)
            assert boxes - tiled > 0.05, (kind, subject)
            row = rows[kind, subject, way]
            assert row["inside_p99"] <= 10 and row["edges_mean"] < row["inside_mean"] + 0.15, (kind, subject)
