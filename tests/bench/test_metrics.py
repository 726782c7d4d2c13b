"""The figures of the tables against what they must be on images whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from degrade_engine.bench import metrics
from degrade_engine.bench.papers.corpus import CHOSEN, REPORTED, TRAINED

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


def test_luma_is_studio_range() -> None:
    """BT.601: black 16, white 235, and pure red, green and blue where ITU has them."""
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert metrics.studio_luma(colours)[0] == pytest.approx([16, 235, 81.481, 144.553, 40.966])


def test_psnr_y_reads_luma_alone() -> None:
    """A shift of 5 in every channel is one of 5 * 219 / 255 in luma; one that keeps luma is none."""
    shifted = np.clip(SMOOTH.astype(int) + 5, 0, 255).astype(np.uint8)
    assert metrics.psnr_y(SMOOTH, shifted) == pytest.approx(20 * np.log10(255 / (5 * 219 / 255)), abs=0.01)
    assert metrics.psnr_y(shifted, shifted) > 90


def test_spectrum_of_white_noise_is_its_variance_at_every_ring() -> None:
    gray = np.clip(128 + np.random.default_rng(3).normal(0, 10, (256, 256)), 0, 255).astype(np.uint8)
    found = metrics.spectrum(np.repeat(gray[..., None], 3, axis=2))
    assert found.shape == (128,)
    assert found[8:].mean() == pytest.approx(10 * np.log10(10**2 + 1 / 6), abs=0.2)  # rounding comes twice: real, added


def test_spectrum_bias_says_where_and_which_way() -> None:
    """Twice the contrast is 6 dB more at all frequencies; a blur takes from the high ones alone."""
    image = np.repeat(np.random.default_rng(3).normal(128, 20, (128, 128, 1)), 3, axis=2).clip(0, 255).astype(np.uint8)
    half = np.rint(128 + (image.astype(float) - 128) / 2).astype(np.uint8)
    assert metrics.spectrum_bias(image, half) == pytest.approx(np.full(metrics.BANDS, 6.02), abs=0.1)
    blurred = metrics.spectrum_bias(cv2.GaussianBlur(image, (0, 0), 0.7), image)
    assert blurred[0] == pytest.approx(0, abs=0.2) and (np.diff(blurred) < 0).all() and blurred[-1] < -8


def test_spectrum_distance_grows_with_blur_and_is_finite_for_a_flat_image() -> None:
    image, flat = noisy(10), np.full((64, 64, 3), 90, np.uint8)
    little, much = (cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (0.5, 1.0))
    assert metrics.spectrum_distance(image, image) == 0
    assert 1 < metrics.spectrum_distance(image, little) < metrics.spectrum_distance(image, much)
    assert metrics.spectrum(flat) == pytest.approx(10 * np.log10(1 / 12))


def test_interval_of_the_mean_covers_as_often_as_it_says() -> None:
    """95 % of intervals hold the true mean; of 30 samples the bootstrap is known to be a little narrow."""
    dice = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        low, high = metrics.interval(dice.normal(3, 2, 30), seed=seed, draws=400)
        held += low < 3 < high
    assert 0.88 <= held / 200 <= 0.99


def test_moments_fit_what_fitting_every_place_fits() -> None:
    features = rng.normal(2, 3, (6, 50, 4)) @ rng.normal(size=(4, 4))
    rows = np.array([0, 3, 3, 5, 1, 2])
    quick, whole = metrics.Moments(features).gaussian(rows), metrics.fit(features[rows].reshape(-1, 4))
    assert metrics.squared_distance(quick, whole) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shape", [(40, 6), (12, 30, 6)], ids=["a vector an image", "a vector a place"])
def test_frechet_interval_lies_around_the_distance(shape: tuple[int, ...]) -> None:
    a = rng.normal(size=shape)
    b = a + np.array([1, 0, 0, 0, 0, 0]) + rng.normal(0, 0.1, shape)
    low, high = metrics.frechet_interval(a, b, draws=200)
    assert low <= metrics.frechet(a.reshape(-1, 6), b.reshape(-1, 6)) <= high and high < 2
    assert metrics.frechet_interval(a, b, draws=200) == (low, high), "the seed decides"
