"""Eq. 4 by hand and in its limits; the calibration itself with features whose answer is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.calib import degradation, heatmap
from degrade_engine.calib.degradation import Crops, calibrate, degraded_bins, read_crops, spread, weights_of
from degrade_engine.calib.features import Features
from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.artefact import read_json, write_json_atomic
from degrade_engine.engine.classical.binned import Calibrated, Space
from degrade_engine.engine.classical.settings import preset
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.report.frechet import fit

SPACE = Space((0.0, 1.0, 3.0), (0.0, 5.0, 25.0), (), "area")  # four bins: noise, then blur


def test_eq_4_by_hand():
    found = weights_of([2.0, 4.0, 3.0], alpha=2)
    raw = [math.e - 1, 0.0, math.exp(0.25) - 1]
    np.testing.assert_allclose(found, np.array(raw) / sum(raw), rtol=1e-12)


def test_limits_of_eq_4():
    distances = np.random.default_rng(0).uniform(1, 9, 75)
    np.testing.assert_allclose(weights_of(distances, 0), 1 / 75, rtol=1e-12)
    np.testing.assert_allclose(weights_of([3.0] * 5, 25), 0.2, rtol=1e-12)
    assert weights_of(distances, 1e6)[distances.argmin()] == pytest.approx(1)
    np.testing.assert_allclose(weights_of(7 * distances + 3, 25), weights_of(distances, 25))  # only their ratios count
    entropy = [-(w * np.log(np.maximum(w, 1e-300))).sum() for w in (weights_of(distances, a) for a in (0, 1, 5, 25))]
    assert entropy == sorted(entropy, reverse=True)
    for wrong in ((distances, -1.0), ([1.0, math.nan], 25.0)):
        with pytest.raises(DegradeError):
            weights_of(*wrong)


def scenes(count: int, side: int) -> np.ndarray:
    dice = np.random.default_rng(4)
    coarse = dice.integers(40, 216, (count, side // 4, side // 4, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def sharpness_and_noise(pixels: np.ndarray) -> np.ndarray:
    """Two features that blur and noise move: medians of the differences across edges and within blocks."""
    grey = pixels.astype(np.float64).mean(axis=3)
    steps = np.abs(np.diff(grey, axis=2))
    return np.stack([steps.reshape(len(steps), -1).mean(1), np.median(steps.reshape(len(steps), -1), axis=1)], axis=1)


FEATURES = Features({"name": "by hand"}, sharpness_and_noise)


@pytest.mark.parametrize("truth", range(4))
def test_the_bin_that_made_the_references_weighs_most(truth):
    hr = scenes(60, 64)
    made = list(degraded_bins(SPACE, hr[::2], scale=2, seed=9, workers=1))
    found = calibrate(
        Crops(made[truth], {"crops": 30}), Crops(hr[1::2], {"crops": 30}), FEATURES, SPACE, scale=2, workers=2
    )
    assert int(np.argmax(found.weights)) == truth and found.weights[truth] > 0.5
    assert 0 <= found.spread < 0.5
    again = calibrate(
        Crops(made[truth], {"crops": 30}), Crops(hr[1::2], {"crops": 30}), FEATURES, SPACE, scale=2, workers=1
    )
    assert again == found


def test_a_known_sharpening_is_found():
    """Overshoot beside edges is what an unsharp mask adds and no blur has."""

    def overshoot(pixels: np.ndarray) -> np.ndarray:
        grey = pixels.astype(np.float64).mean(axis=3).reshape(len(pixels), -1)
        return np.stack([grey.std(axis=1), sharpness_and_noise(pixels)[:, 0]], axis=1)

    space = Space((0.0, 2.0, 4.0), (0.0,), (), "area", (0.0, 0.5, 1.0))
    hr, features = scenes(60, 64), Features({"name": "by hand"}, overshoot)
    made = list(degraded_bins(space, hr[::2], scale=2, seed=9, workers=1))
    for truth in range(space.bins):
        found = calibrate(Crops(made[truth], {}), Crops(hr[1::2], {}), features, space, scale=2, workers=1)
        assert int(np.argmax(found.weights)) == truth


def test_few_references_spread_more_than_many():
    dice = np.random.default_rng(1)
    made = [fit(dice.normal(shift, 1, (100, 3))) for shift in (0.0, 0.3, 0.6, 2.0)]
    few, many = (spread(made, dice.normal(0.1, 1, (n, 3)), 25, 0) for n in (6, 300))
    assert many < few


def test_weights_json_comes_back(tmp_path):
    hr = scenes(8, 64)
    found = calibrate(Crops(hr[:4, ::2, ::2], {}), Crops(hr[4:], {}), FEATURES, SPACE, scale=2, workers=1)
    write_json_atomic(tmp_path / "weights.json", found)
    assert read_json(Calibrated, tmp_path / "weights.json") == found


def folder_of(path: Path, count: int, height: int, width: int) -> Path:
    path.mkdir()
    for n in range(count):
        pixels = np.random.default_rng(n).integers(0, 256, (height, width, 3), np.uint8)
        (path / f"{n}.png").write_bytes(images.encode_png(pixels))
    return path


def test_crops_do_not_overlap_and_come_evenly(tmp_path):
    folder = folder_of(tmp_path / "photos", 3, 40, 70)  # 2 x 4 tiles of 16 pixels each
    found = read_crops(folder, "reference", most=10, side=16)
    assert found.pixels.shape == (10, 16, 16, 3) and found.page["crops"] == 10 and found.page["images"] == 3
    assert len({crop.tobytes() for crop in found.pixels}) == 10
    assert degradation._shares([8, 8, 8], 10) == [4, 3, 3] and degradation._shares([1, 9], 5) == [1, 4]
    assert len(read_crops(folder, "reference", most=1000, side=16).pixels) == 24
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:900])
    assert len(read_crops(folder, "reference", most=1000, side=16).pixels) == 16
    with pytest.raises(DegradeError, match="0 reference crops"):
        read_crops(folder, "reference", most=10, side=100)


def test_the_picture_has_a_square_a_bin():
    svg = heatmap.draw(SPACE, [("a", "", (0.5, 0.5, 0, 0)), ("b", "", (1, 0, 0, 0))], "t <&>")
    assert svg.count("<rect") == 8 and svg.count("#08306b") == 3 and "t &lt;&amp;&gt;" in svg and "no JPEG" in svg


def test_the_picture_has_a_row_of_panels_for_each_sharpening():
    space = Space((0.0, 1.0, 3.0), (0.0, 5.0), (30.0, 60.0, 90.0), "area", (0.0, 0.5, 1.0))
    svg = heatmap.draw(space, [("a", "", [1 / 8] * 8)], "t")
    assert svg.count("<rect") == 8 and "sharpening 0.5 to 1" in svg
    places = {part.split('fill="')[0] for part in svg.split("<rect ")[1:]}
    assert len(places) == 8, "no square lies on another"


def test_the_command(tmp_path, capsys):
    pytest.importorskip("torch", reason="random-alexnet needs the extra train")
    reference, hr = folder_of(tmp_path / "lr", 3, 70, 70), folder_of(tmp_path / "hr", 3, 140, 140)
    space = tmp_path / "space.toml"
    space.write_text("blur_sigma = [0, 1, 2]\nnoise_level = [0, 10]\njpeg_quality = []\n")
    out = tmp_path / "weights.json"
    words = ["calibrate", "degradation", "--reference", reference, "--hr", hr, "-o", out, "--space", space]
    words += ["--scale", 2, "--threads", 1, "--crop", 64]
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr()
    assert "Warning: 3 reference crops" in said.err and "of the weight moves" in said.err
    assert len(read_json(Calibrated, out).weights) == 2 and out.with_suffix(".svg").is_file()
    space.write_text("blur = [0, 1]\n")
    assert main([str(word) for word in words]) == 2
    assert "'blur' is unknown" in capsys.readouterr().err
    assert main([str("fine" if word is space else word) for word in words]) == 0
    assert read_json(Calibrated, out).space == preset(Space, "binned-fine")
