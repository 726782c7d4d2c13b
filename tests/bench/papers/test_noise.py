"""The noise that an engine draws, from two LR of one pair; and the part of a photograph that shows a camera's."""

import cv2
import numpy as np
import pytest

from degrade_engine.bench.papers.noise import drawn, smoothest

WHITE = 0.6685  # luma's standard deviation for white noise of 1 in R, G and B


def noisy(sigma, seed, blur=0.0):
    z = np.random.default_rng(seed).normal(0, 1, (128, 128, 3)).astype(np.float32)
    z = cv2.GaussianBlur(z, (0, 0), blur) if blur else z
    return np.rint(128 + sigma * z / z.std()).astype(np.uint8)


@pytest.mark.parametrize(("sigma", "blur"), [(3.0, 0.0), (6.0, 0.0), (6.0, 0.8)])
def test_strength_and_correlation_are_those_of_one_lr(sigma, blur):
    found = drawn([noisy(sigma, 1, blur)], [noisy(sigma, 2, blur)], [noisy(0.0, 3)])
    assert found["luma_sd"] == pytest.approx(sigma * WHITE, rel=0.06)
    if blur:  # of a Gaussian, exp(-1 / (4 blur²))
        assert found["luma_lag1"] == pytest.approx(np.exp(-1 / (4 * blur**2)), abs=0.04)
    else:
        assert abs(found["luma_lag1"]) < 0.03


def test_the_square_with_the_least_content_is_the_reference(tmp_path):
    still = np.full((256, 256, 3), 128, np.uint8)
    still[:, :160] = np.random.default_rng(0).integers(0, 256, (256, 160, 3), dtype=np.uint8)
    real = still.copy()
    real[100:, 128:] += 1
    for name, image in (("mean", still), ("real", real)):
        cv2.imwrite(str(tmp_path / f"a_{name}.png"), image)
    found, mean = smoothest(tmp_path / "a_real.png", 96)
    assert np.array_equal(mean[:, 40:], np.full((96, 56, 3), 128)) and found.shape == (96, 96, 3)
