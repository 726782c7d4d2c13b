"""`bench papers camera` measures what it says, on images whose filter and noise are known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from degrade_engine.bench.papers import camera
from degrade_engine.cli import main
from degrade_engine.engine.images import encode_png


def texture(side: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 60, (side, side, 3))
    return np.clip(128 + cv2.GaussianBlur(noise, (0, 0), 0.7), 0, 255).astype(np.uint8)


def test_transfer_is_that_of_a_known_filter_and_noise_has_no_part_in_it():
    before = texture(192)
    noise = np.random.default_rng(1).normal(0, 5, before.shape)
    after = np.clip(cv2.GaussianBlur(before, (0, 0), 0.8) * 0.9 + 5 + noise, 0, 255).astype(np.uint8)
    middle = (camera.BANDS[1:] + camera.BANDS[:-1]) / 2
    wanted = np.exp(-2 * (np.pi * 0.8 * middle) ** 2)
    assert camera.transfer(before, after) == pytest.approx(wanted / wanted[0], abs=0.04)


def test_noise_is_named_as_it_was_made():
    dice = np.random.default_rng(2)
    content = np.full((256, 256, 3), 128, np.uint8)
    content[:100], content[156:] = 30, 220
    luma = dice.normal(0, 6, (256, 256))
    luma[:100] *= 0.5
    luma[156:] *= 0.25
    cb = cv2.GaussianBlur(dice.normal(0, 1, (256, 256)), (0, 0), 1.5)
    cb *= 2 / cb.std()
    coloured = luma[..., None] + cb[..., None] * np.array([0, -0.344, 1.772])
    noisy = np.clip(np.rint(content + coloured), 0, 255).astype(np.uint8)
    found = dict(zip(camera.NOISE, camera.noise(noisy, content, content), strict=True))
    assert found["dark"] == pytest.approx(0.5, rel=0.1) and found["bright"] == pytest.approx(0.25, rel=0.2)
    assert abs(found["luma_lag1"]) < 0.06 and abs(found["luma_lag2"]) < 0.06
    assert found["cb_lag1"] == pytest.approx(np.exp(-1 / 9), abs=0.06)
    assert found["cb_lag2"] == pytest.approx(np.exp(-4 / 9), abs=0.08)
    assert found["cb_share"] == pytest.approx(2 / found["luma_sd"], rel=0.1) and found["cr_share"] < 0.15


def test_what_is_held_lies_between_the_outer_quantiles():
    drawn = np.linspace(0, 1, 101)[:, None].repeat(2, axis=1)
    real = np.array([[0.5, 0.01], [0.98, np.nan], [0.2, 0.5], [0.3, 0.6]])
    assert camera.covered(real, drawn) == [0.75, 0.67]
    assert camera.nearest(real[:1], drawn) == {"drawn": 0.245, "bicubic": 0.784}


def test_the_rows_are_written_from_a_corpus(tmp_path: Path):
    places = ("pairs_realsr_canon_x4/HR", "pairs_realsr_canon_x4/LR", "pairs_city100_nikond5500/HR",
              "pairs_city100_nikond5500/LR", "pairs_polyu_noise")  # fmt: skip
    for place in places:
        (tmp_path / place).mkdir(parents=True)
    for n in range(1, 21):
        whole = texture(256, n)
        for place, image in (("HR", whole), ("LR", cv2.resize(whole, (64, 64), interpolation=cv2.INTER_AREA))):
            (tmp_path / "pairs_realsr_canon_x4" / place / f"Canon_{n:03d}_LR4.png").write_bytes(encode_png(image))
    for name, image in (("HR/001H.PNG", texture(512)), ("LR/001L.PNG", cv2.blur(texture(512), (3, 3)))):
        (tmp_path / "pairs_city100_nikond5500" / name).write_bytes(encode_png(image))
    still = cv2.GaussianBlur(texture(256), (0, 0), 8)
    for name, image in (("mean", still), ("real", cv2.add(still, texture(256, 5) // 32))):
        cv2.imwrite(str(tmp_path / "pairs_polyu_noise" / f"Make_5_1_1_a_1_{name}.JPG"), image)
    out = tmp_path / "camera.jsonl"
    assert main(["bench", "papers", "camera", "--data", str(tmp_path), "--cameras", "8", "-o", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["measure"] for row in rows} == {"transfer", "noise", "variety", "tone", "seconds"}
    assert all("commit" in row and "versions" in row for row in rows)
