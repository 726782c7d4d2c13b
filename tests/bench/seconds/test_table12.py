"""Table 12 in small: every way runs, on the same pairs, and its row says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("skimage", reason="needs the extra metrics")

from degrade_engine.bench.seconds import table12  # noqa: E402
from degrade_engine.engine import images  # noqa: E402
from degrade_engine.engine.build import build  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.kinds import KINDS  # noqa: E402
from degrade_engine.engine.recipe import Recipe  # noqa: E402

RECOMMENDED = KINDS["realdgen"].recipes["recommended"]
PAPER = KINDS["realdgen"].recipes["paper"]
SIDE = 16


@pytest.fixture(scope="module")
def pairs(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three true pairs: an HR of 64 pixels and its bicubic LR, which every degraded LR is compared with."""
    folder = tmp_path_factory.mktemp("pairs")
    for role in ("HR", "LR"):
        (folder / role).mkdir()
    for path in sorted((samples / "hr").iterdir())[:3]:
        hr = np.ascontiguousarray(images.read_rgb(path)[:64, :64])
        (folder / "HR" / path.name).write_bytes(images.encode_png(hr))
        (folder / "LR" / path.name).write_bytes(images.encode_png(images.resize_bicubic(hr, (SIDE, SIDE))))
    return folder


def test_each_way_makes_the_same_pairs_and_has_a_row(
    realdgen_bundle: Path, checkpoint: Path, pairs: Path, tmp_path: Path
) -> None:
    engine = build(realdgen_bundle, tmp_path / "engine", lr_size=SIDE, batch=2, candidates=3, threads=1).folder
    words = [checkpoint, "--engine", engine, "--pairs", pairs, "--images", 4, "--slow", 2, "-o", tmp_path / "rows"]
    done = CliRunner().invoke(table12.main, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [row["name"] for row in rows] == [
        "BSRGAN", "Real-ESRGAN", "RealDGen, engine, recommended", "RealDGen, engine, tau 1:30",
        "RealDGen, original, tau 1:30", "RealDGen, engine, tau 30", "RealDGen, original, tau 30",
    ]  # fmt: skip
    for row in rows:
        assert row["images"] == (2 if "tau" in row["name"].split(", ")[-1] else 4)
        assert row["mean_s"] > 0 and (row["mean_s_without_io"] or 0) <= row["mean_s"] and 5 < row["psnr_db"] < 60
    by_name = {row["name"]: row for row in rows}
    for row in rows:
        if row["mean_s_without_io"] is None:
            assert "batch_p50_s_without_io" not in row
            continue
        assert 0 < row["batch_p50_s_without_io"] <= row["batch_p95_s_without_io"]
        assert row["images_a_second_without_io"] == pytest.approx(1 / row["mean_s_without_io"], rel=0.01, abs=1e-3)
    for tau in ("tau 30", "tau 1:30"):  # one algorithm in two ways; noise and start are each its own
        engine_db, original_db = (by_name[f"RealDGen, {way}, {tau}"]["psnr_db"] for way in ("engine", "original"))
        assert engine_db == pytest.approx(original_db, abs=4)
    assert by_name["BSRGAN"]["published_s"] == 0.4267 and by_name["Real-ESRGAN"]["published_psnr_db"] == 24.39


def test_what_is_left_is_counted_in_whole_batches() -> None:
    def way(preset: Recipe | None, batch: int) -> table12.Way:
        return table12.Way("", "RealDGen", lambda *_: None, 9, batch, preset)

    assert way(None, 16).calls(9) == 0
    assert way(RECOMMENDED, 4).calls(9) == 12 * RECOMMENDED.candidates * RECOMMENDED.steps
    assert way(PAPER, 1).calls(2) == 2 * 3 * 15.5, "the mean of tau 1:30"


def test_a_folder_without_pairs_is_a_sentence(tmp_path: Path) -> None:
    for role in ("HR", "LR"):
        (tmp_path / role).mkdir()
    with pytest.raises(table12.click.ClickException, match="wanted are HR/NAME.png"):
        table12.true_pairs(tmp_path, 3)


def test_the_samples_are_cut_to_squares_and_have_no_real_lr(tmp_path: Path) -> None:
    """From the top left; a photograph that is too small is left out."""
    sides = {"hr/a": (70, 64), "hr/b": (63, 90), "hr/c": (64, 99), "reference/d": (17, 40)}
    drawn = {name: np.random.default_rng(0).integers(0, 256, (*side, 3), np.uint8) for name, side in sides.items()}
    for name, image in drawn.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.png").write_bytes(images.encode_png(image))
    made = tmp_path / "made"
    made.mkdir()
    pairs = table12.bundled_pairs(tmp_path, SIDE, 3, made)
    assert [pair.hr.stem for pair in pairs] == ["a", "c", "a"] and {pair.real for pair in pairs} == {None}
    for pair, whole in zip(pairs, (drawn["hr/a"][:64], drawn["hr/c"][:, :64]), strict=False):
        assert np.array_equal(images.read_rgb(pair.hr), whole)
        assert np.array_equal(images.read_rgb(pair.reference), drawn["reference/d"][:16, :16])
    nothing = table12.Way("BSRGAN", "BSRGAN", lambda *_: None, 3, 16)
    row = nothing.row(table12.Timed([drawn["hr/a"]] * 3, 1.0, [1.0], []), pairs)
    assert row["psnr_db"] is None and row["images"] == 3
    (tmp_path / "again").mkdir()
    with pytest.raises(DegradeError, match="has 128 x 128 pixels"):
        table12.bundled_pairs(tmp_path, 32, 3, tmp_path / "again")
