"""The figures of the tables against what they must be on images whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from degrade_engine.bench import metrics
from degrade_engine.bench.corpus import CHOSEN, REPORTED, TRAINED

rng = np.random.default_rng(0)
SMOOTH = cv2.GaussianBlur(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8), (0, 0), 3)


def test_psnr_of_a_known_error() -> None:
    shifted = np.clip(SMOOTH.astype(int) + 5, 0, 255).astype(np.uint8)
    assert metrics.psnr(SMOOTH, shifted) == pytest.approx(20 * np.log10(255 / 5), abs=0.01)


def test_ssim_is_one_for_equal_images_and_falls_with_noise() -> None:
    pytest.importorskip("skimage", reason="needs the extra metrics")
    assert metrics.ssim(SMOOTH, SMOOTH) == pytest.approx(1)
    assert metrics.ssim(SMOOTH, noisy(20)) < 0.6


def noisy(sigma: float) -> np.ndarray:
    return np.clip(SMOOTH + np.random.default_rng(1).normal(0, sigma, SMOOTH.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [3.0, 8.0, 15.0])
def test_noise_std_reads_the_noise_of_gray(sigma: float) -> None:
    of_gray = sigma * np.sqrt(0.299**2 + 0.587**2 + 0.114**2)  # independent noise a channel
    assert metrics.noise_std(noisy(sigma)) == pytest.approx(of_gray, rel=0.1, abs=0.3)


def test_laplacian_std_falls_with_blur() -> None:
    image = noisy(10)
    assert metrics.laplacian_std(cv2.GaussianBlur(image, (0, 0), 1)) < 0.5 * metrics.laplacian_std(image)


def test_blockiness_sees_jpeg() -> None:
    image = noisy(10)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 10])
    assert metrics.blockiness(cv2.imdecode(data, 1)) > metrics.blockiness(image) + 1


def test_frechet_of_gaussians() -> None:
    """Equal sets: 0. A shift by v: |v|². Scaled by 2 in one dimension of variance s²: s²."""
    a = rng.normal(size=(4000, 6))
    assert metrics.frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert metrics.frechet(a, a + np.array([3, 0, 0, 0, 0, 4.0])) == pytest.approx(25, abs=1e-6)
    stretched = a * np.array([2, 1, 1, 1, 1, 1.0])
    assert metrics.frechet(a, stretched) == pytest.approx(a[:, 0].var(), rel=0.02)


def test_frechet_is_sound_with_fewer_samples_than_dimensions() -> None:
    a, b = rng.normal(size=(10, 64)), rng.normal(size=(12, 64))
    assert metrics.frechet(a, a) == pytest.approx(0, abs=1e-8)
    assert metrics.frechet(a, b) > 1


def test_the_split_never_mixes() -> None:
    assert sorted([*TRAINED, *CHOSEN, *REPORTED]) == list(range(1, 51))
