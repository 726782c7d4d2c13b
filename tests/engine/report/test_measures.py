"""What the report measures: each measure answers to what it is named for, and hardly to the content."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from degrade_engine.engine.report import measures


def picture(seed: int = 0, side: int = 128) -> np.ndarray:
    """uint8 [side, side, 3]: hard-edged gray rectangles, flat within."""
    dice = np.random.default_rng(seed)
    image = np.full((side, side, 3), 128, np.uint8)
    for _ in range(14):
        top, left = dice.integers(0, side - 20, 2)
        image[top : top + dice.integers(20, 60), left : left + dice.integers(20, 60)] = dice.integers(30, 226)
    return image


def values(image: np.ndarray) -> dict[str, float]:
    measured = measures.measure(image)
    assert measured is not None and measured.values.keys() == {one.key for one in measures.MEASURES}
    return measured.values


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5])
def test_sharpness_is_the_slope_of_an_edge_under_a_gaussian(sigma):
    profile = [40 + 75 * (1 + math.erf((x - 31.5) / (math.sqrt(2) * sigma))) for x in range(64)]
    edges = measures.edge_profile(np.tile(np.array(profile, np.float32), (64, 1)))
    assert edges[measures.REACH] == pytest.approx(100 * math.erf(0.5 / (math.sqrt(2) * sigma)), abs=0.6)
    assert edges.sum() == pytest.approx(100, abs=1) and edges == pytest.approx(edges[::-1], abs=0.5)


def test_sharpness_hears_blur_and_not_contrast_or_noise():
    image = picture()
    sharp, soft = values(image)["sharpness"], values(cv2.GaussianBlur(image, (0, 0), 1))["sharpness"]
    faint = values((image // 2 + 60).astype(np.uint8))["sharpness"]
    assert sharp == pytest.approx(100) and faint == pytest.approx(100) and soft < 45
    assert math.isnan(values(np.full((64, 64, 3), 90, np.uint8))["sharpness"])


@pytest.mark.parametrize("sigma", [1.0, 3.0, 6.0])
def test_noise_is_that_of_flat_places_in_luma_and_in_colour(sigma):
    dice = np.random.default_rng(1)
    gray = np.clip(np.rint(picture() + dice.normal(0, sigma, (128, 128, 1))), 0, 255).astype(np.uint8)
    found = values(gray)
    assert 0.75 * sigma < found["noise"] < 1.05 * sigma and found["chroma"] < 0.1
    colour = np.clip(np.rint(picture() + dice.normal(0, sigma, (128, 128, 3))), 0, 255).astype(np.uint8)
    assert 0.6 * sigma < values(colour)["chroma"] < 1.2 * sigma


def test_clipped_windows_say_nothing_of_noise():
    assert math.isnan(values(np.full((64, 64, 3), 255, np.uint8))["noise"])
    half = np.full((64, 64, 3), 255, np.uint8)
    half[:32] = np.clip(np.rint(np.random.default_rng(2).normal(128, 4, (32, 64, 1))), 0, 255)
    assert values(half)["noise"] > 2.5


def test_blocks_are_found_wherever_the_grid_lies_and_not_in_noise():
    image = np.clip(picture() + np.random.default_rng(3).normal(0, 4, (128, 128, 1)), 0, 255).astype(np.uint8)
    clean = values(image)["blocks"]
    jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)
    there, moved = values(jpeg)["blocks"], values(np.ascontiguousarray(jpeg[3:, 5:]))["blocks"]
    assert clean < 12 and there > 3 * clean and moved == pytest.approx(there, rel=0.2)


def test_fine_detail_falls_with_blur_and_rises_with_noise():
    image = picture()
    blurred = cv2.GaussianBlur(image, (0, 0), 1)
    noisy = np.clip(blurred + np.random.default_rng(4).normal(0, 5, image.shape), 0, 255).astype(np.uint8)
    one, two, three = (values(each)["spectrum"] for each in (image, blurred, noisy))
    assert two < one - 3 and two < three - 3
    assert values((image // 2 + 60).astype(np.uint8))["spectrum"] == pytest.approx(one, abs=0.3)


def test_sharpening_is_heard_as_halo_and_in_middle_detail():
    soft = cv2.GaussianBlur(picture(), (0, 0), 0.8)
    wide = cv2.GaussianBlur(soft, (0, 0), 1.5)
    sharpened = np.clip(np.rint(soft + 0.8 * (soft.astype(float) - wide)), 0, 255).astype(np.uint8)
    before, after = values(soft), values(sharpened)
    assert before["halo"] < 2 < 8 < after["halo"] and after["middle"] > before["middle"] + 1


def test_noise_is_told_by_light_by_its_colour_and_by_its_grain():
    dice = np.random.default_rng(7)
    ramp = np.repeat(np.linspace(30, 226, 128)[None], 128, axis=0)[..., None].repeat(3, axis=2)
    level = np.interp(ramp, (30, 226), (6, 2))

    def noisy(noise: np.ndarray) -> dict[str, float]:
        return values(np.clip(np.rint(ramp + level * noise), 0, 255).astype(np.uint8))

    white = noisy(dice.normal(size=ramp.shape))
    assert white["noise_dark"] > white["noise_middle"] > white["noise_bright"] > 0.5
    assert white["tint"] == pytest.approx(1.35, rel=0.15) and abs(white["grain"]) < 0.1
    gray = noisy(dice.normal(size=(128, 128, 1)))
    assert gray["tint"] < 0.1 and gray["noise"] > white["noise"]
    coarse = noisy(2 * cv2.GaussianBlur(dice.normal(size=ramp.shape), (0, 0), 0.7))
    assert coarse["grain"] > 0.3
    flat = values(np.full((64, 64, 3), 200, np.uint8))
    assert math.isnan(flat["noise_dark"]) and math.isnan(flat["tint"]) and math.isnan(flat["grain"])


def test_halved_colour_is_heard_and_gray_has_none():
    image = np.random.default_rng(8).integers(0, 256, (128, 128, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 0.8)
    ycc = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    half = cv2.resize(cv2.resize(ycc, (64, 64), interpolation=cv2.INTER_AREA), (128, 128))
    ycc[..., 1:] = half[..., 1:]
    halved = cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB)
    assert values(halved)["colour"] < values(image)["colour"] - 3
    assert math.isnan(values(picture())["colour"])


def test_clipped_is_the_share_of_pixels_at_an_end():
    image = np.full((64, 64, 3), 128, np.uint8)
    image[:16, :, 1], image[16:24, :, 2] = 255, 0
    assert values(image)["clipped"] == pytest.approx(37.5)


def test_a_small_image_is_not_measured():
    assert measures.measure(picture(side=128)[:31]) is None and measures.measure(picture()[:32, :32]) is not None


def test_an_interval_is_over_photographs_and_not_over_crops():
    dice = np.random.default_rng(5)
    level = dice.normal(0, 1, 10)
    values = [level[n % 10] + 0.01 * dice.normal() for n in range(200)]
    by_photograph = measures.mean(values, [f"{n % 10}" for n in range(200)], seed=0)
    by_crop = measures.mean(values, [f"{n}" for n in range(200)], seed=0)
    assert by_photograph.interval and by_crop.interval and by_photograph.photographs == 10
    wide, narrow = (one.interval[1] - one.interval[0] for one in (by_photograph, by_crop))
    assert wide > 3 * narrow
    assert wide == pytest.approx(2 * 1.96 * level.std(ddof=1) / math.sqrt(10), rel=0.15)


def test_differences_of_the_same_photographs_are_of_pairs():
    dice = np.random.default_rng(6)
    level, names = dice.normal(50, 10, 20), [f"{n}" for n in range(20)]
    one, two = (measures.mean(list(level + more), names, seed=0) for more in (0.0, 1.0))
    low, high = two.against(one)
    assert low == pytest.approx(1) and high == pytest.approx(1)
    ratio, (low, high) = two.ratio(one)
    assert low < ratio < high and high - low < 0.01
    assert measures.mean([1.0, 2.0, 3.0, 4.0], list("abcd"), 0).interval is None and measures.mean([], [], 0) is None
