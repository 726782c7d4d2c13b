"""Each step against something independent of it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from degrade_engine.engine.classical.pipeline import Grain, Jpeg, Pipeline, Scale, Sharpen, Shot, Subsample, apply
from degrade_engine.engine.classical.theta import Blur
from degrade_engine.engine.errors import DegradeError


def run(hr: np.ndarray, *steps: object, scale: int = 1, seed: int = 0) -> np.ndarray:
    return apply(hr, Pipeline(steps), scale=scale, noise_seed=seed)  # type: ignore[arg-type]


def test_subsample_keeps_the_grid():
    """A ramp blurred and subsampled is the ramp at the centres of the blocks: no shift by half a block."""
    ramp = np.tile(np.arange(0, 240, dtype=np.uint8), (48, 1))[..., None].repeat(3, axis=2)
    for factor in (2, 3, 4):
        found = run(ramp, Subsample(factor, 0.5 * factor, 25), scale=factor)[4:-4, 6:-6].astype(float)
        centres = factor * np.arange(240 // factor) + (factor - 1) / 2
        assert np.abs(found - centres[None, 6:-6, None]).max() <= 0.51


def test_subsample_is_the_interpolated_kernel():
    """By the definition: bilinear interpolation of a two-dimensional Gaussian, then a plain sum at one pixel."""
    dice = np.random.default_rng(0)
    hr, sigma, size, factor = dice.integers(0, 256, (64, 64, 3), np.uint8), 1.3, 25, 4
    at = np.arange(size) - 12

    def gaussian(y: float, x: float) -> float:
        return float(np.exp(-(x * x + y * y) / (2 * sigma**2)))

    shift = 1.5  # half-way between taps: the mean of four
    kernel = np.array([[np.mean([gaussian(y - shift + a, x - shift + b) for a in (-0.5, 0.5) for b in (-0.5, 0.5)])
                        for x in at] for y in at])  # fmt: skip
    kernel /= kernel.sum()
    y = x = 32
    wanted = np.einsum("yx,yxc->c", kernel, hr[y - 12 : y + 13, x - 12 : x + 13].astype(float))
    assert np.abs(run(hr, Subsample(factor, sigma, size), scale=factor)[y // 4, x // 4] - wanted).max() <= 0.51


@pytest.mark.parametrize("frequency", [1 / 32, 1 / 16, 1 / 8, 1 / 4])
def test_sharpen_is_the_unsharp_mask(frequency):
    """A wave comes out 1 + a (1 - G(f)) times as high, G the Gaussian's Fourier transform; a flat image as it was."""
    y, x = np.mgrid[:128, :128]
    wave = np.cos(2 * np.pi * (frequency * x + 3 / 64 * y))  # aslant, or all periods would be rounded alike
    image = np.rint(128 + 50 * wave).astype(np.uint8)[..., None].repeat(3, axis=2)
    inside = np.s_[32:96, 32:96]
    height = 2 * ((run(image, Sharpen(0.6, 2.0))[..., 0].astype(float) - 128) * wave)[inside].mean()
    gaussian = np.exp(-2 * (np.pi * 2.0) ** 2 * (frequency**2 + (3 / 64) ** 2))
    assert height == pytest.approx(50 * (1 + 0.6 * (1 - gaussian)), abs=0.6)  # bytes: half a level each way
    flat = np.full((16, 16, 3), 77, np.uint8)
    assert (run(flat, Sharpen(0.6, 2.0)) == 77).all()


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (Grain("gaussian", 9.0, "colour", None), 81.0 * np.eye(3)),
        (Grain("gaussian", 9.0, "gray", None), 81.0 * np.ones((3, 3))),
        (Grain("speckle", 20.0, "colour", None), (20 * 120 / 255) ** 2 * np.eye(3)),
        (Grain("gaussian", 10.0, "correlated", ((1.0, 0.2, 0.1), (0.2, 0.6, 0.3), (0.1, 0.3, 0.4))),
         100 * np.array([[1.0, 0.2, 0.1], [0.2, 0.6, 0.3], [0.1, 0.3, 0.4]])),
        (Shot(500.0, gray=False), 120 * 255 / 500 * np.eye(3)),
        (Shot(500.0, gray=True), 120 * 255 / 500 * np.ones((3, 3))),
    ],
)  # fmt: skip
def test_noise_has_the_covariance_that_it_says(step, wanted):
    flat = np.full((160, 160, 3), 120, np.uint8)
    rest = run(flat, step).reshape(-1, 3).astype(float) - 120
    found = np.cov(rest.T) - (np.eye(3) / 12 if not getattr(step, "gray", False) else 0)  # rounding to whole levels
    assert np.abs(found - wanted).max() < 0.05 * np.max(wanted) + 0.3 and np.abs(rest.mean(0)).max() < 0.4


def test_a_halving_and_a_free_factor_end_at_the_lr_size():
    hr = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    out = run(hr, Scale(0.5, "antialias"), Scale(0.37, "bilinear"), Scale(None, "bicubic"), Jpeg(90), scale=4)
    assert out.shape == (16, 24, 3)
    area = run(hr, Scale(None, "area"), scale=4).astype(float)
    assert np.abs(area - hr.reshape(16, 4, 24, 4, 3).mean((1, 3))).max() <= 0.5 + 1e-4
    with pytest.raises(DegradeError, match="end at 48 x 32"):
        run(hr, Scale(0.5, "area"), scale=4)


def test_blur_is_opencvs_gaussian():
    hr = np.random.default_rng(2).integers(0, 256, (40, 40, 3), np.uint8)
    wanted = cv2.GaussianBlur(hr.astype(np.float64), (13, 13), 1.7, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(run(hr, Blur("iso", 13, 1.7, 1.7)) - wanted).max() <= 0.51


def test_records_are_strict():
    theta = Pipeline((Scale(None, "area"), Grain("gaussian", 2.0, "colour", None), Jpeg(40)))
    record = json.loads(json.dumps(theta.to_json()))
    assert Pipeline.from_json(record) == theta
    for change in (
        {"do": "melt"},
        {"do": "jpeg", "quality": 0},
        {"do": "jpeg", "quality": 50, "speed": 1},
        {"do": "jpeg", "quality": 50.5},
        {"do": "scale", "factor": 0.0, "mode": "area"},
        {"quality": 50},
    ):
        with pytest.raises(DegradeError):
            Pipeline.from_json({"steps": [change]})
