"""The second-order degradation: replay, ranges, sizes, and each operation against something independent."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from degrade_engine.engine.classical import kernels, operations, realesrgan
from degrade_engine.engine.classical.realesrgan import (
    CAMERA,
    REALESRGAN,
    Blur,
    Noise,
    Resize,
    SecondOrder,
    apply,
    draw,
)
from degrade_engine.engine.errors import DegradeError
from degrade_engine.kernels import ziggurat

NOTHING = SecondOrder(None, None, None, None, None, None, None, None, "area", None, True)


@pytest.fixture(scope="module")
def photo():
    """A soft random scene with edges, uint8 [96, 128, 3]."""
    rng = np.random.default_rng(5)
    scene = cv2.GaussianBlur(rng.uniform(0, 255, (96, 128, 3)).astype(np.float32), (0, 0), 3) * 3 - 255
    scene[30:60, 40:90] = (20, 200, 90)
    return np.clip(scene, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("ranges", [REALESRGAN, CAMERA])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_recorded_degradation_replays_byte_for_byte(photo, ranges, scale):
    for index in range(12):
        theta = draw(7, index, ranges)
        replayed = SecondOrder.from_json(json.loads(json.dumps(theta.to_json())))
        assert replayed == theta
        first = apply(photo, theta, scale=scale, noise_seed=index)
        assert first.shape == (96 // scale, 128 // scale, 3) and first.dtype == np.uint8
        operations.kernel_of.cache_clear()
        assert np.array_equal(first, apply(photo, replayed, scale=scale, noise_seed=index))


def test_the_noise_seed_matters_exactly_when_there_is_noise(photo):
    seen = set()
    for index in range(40):
        theta = draw(3, index, CAMERA)
        same = np.array_equal(*(apply(photo, theta, scale=2, noise_seed=s) for s in (1, 2)))
        loud = theta.noise2 is not None and theta.noise2.level > 0.5
        if loud or not theta.has_noise:
            assert same == (not theta.has_noise)
            seen.add(same)
    assert seen == {True, False}


@pytest.mark.parametrize("ranges", [REALESRGAN, CAMERA])
def test_what_makes_it_faster_changes_no_byte(photo, ranges, monkeypatch):
    dark = photo // 6
    thetas = [draw(5, index, ranges) for index in range(60)]
    made = [apply(hr, theta, scale=4, noise_seed=9) for theta in thetas for hr in (photo, dark)]
    monkeypatch.setattr(ziggurat, "agrees", lambda: False)  # numpy draws
    monkeypatch.setattr(operations, "ROWS", 1 << 30)  # the image is worked on whole
    monkeypatch.setattr(kernels, "without_denormals", lambda taps: taps)
    operations.kernel_of.cache_clear()
    operations.separable.cache_clear()
    before = [apply(hr, theta, scale=4, noise_seed=9) for theta in thetas for hr in (photo, dark)]
    operations.kernel_of.cache_clear()
    operations.separable.cache_clear()
    assert all(np.array_equal(one, other) for one, other in zip(made, before, strict=True))


def test_a_sample_depends_on_its_index_and_seed_alone():
    backwards = [draw(1, index) for index in reversed(range(20))][::-1]
    assert backwards == [draw(1, index) for index in range(20)]
    assert len({json.dumps(draw(1, i).to_json()) for i in range(20)}) == 20
    assert draw(1, 0) != draw(2, 0)


def test_published_ranges_and_shares_over_1500_draws():
    thetas = [draw(11, index) for index in range(1500)]
    for stage, sigma, factors, noise, poisson in (
        (1, (0.2, 3.0), (0.15, 1.5), (1, 30), (0.05, 3.0)),
        (2, (0.2, 1.5), (0.3, 1.2), (1, 25), (0.05, 2.5)),
    ):
        blurs = [b for t in thetas if (b := getattr(t, f"blur{stage}"))]
        assert len(blurs) / 1500 == pytest.approx(1.0 if stage == 1 else 0.8, abs=0.04)
        assert {b.size for b in blurs} == set(range(7, 22, 2))
        shares = [sum(b.kind == kind for b in blurs) / len(blurs) for kind in realesrgan._KINDS]
        np.testing.assert_allclose(shares, 0.9 * np.array([0.45, 0.25, 0.12, 0.03, 0.12, 0.03]), atol=0.045)
        for b in blurs:
            if b.kind == "sinc":
                assert (math.pi / 3 if b.size < 13 else math.pi / 5) <= b.cutoff <= math.pi
                continue
            assert sigma[0] <= min(b.sigma_x, b.sigma_y) and max(b.sigma_x, b.sigma_y) <= sigma[1]
            assert abs(b.rotation) <= math.pi
            assert (b.sigma_x == b.sigma_y) == (not b.kind.endswith("aniso"))
            low, high = {"g": (0.5, 4), "p": (1, 2)}.get(b.kind[0], (1, 1))
            assert low <= b.beta <= high
        resizes = [getattr(t, f"resize{stage}") for t in thetas]
        assert all(factors[0] <= r.factor <= factors[1] for r in resizes)
        shares = [np.mean([r.factor > 1 for r in resizes]), np.mean([r.factor < 1 for r in resizes])]
        np.testing.assert_allclose(shares, (0.2, 0.7) if stage == 1 else (0.3, 0.4), atol=0.04)
        noises = [getattr(t, f"noise{stage}") for t in thetas]
        assert np.mean([n.gray for n in noises]) == pytest.approx(0.4, abs=0.04)
        for n in noises:
            low, high = noise if n.kind == "gaussian" else poisson
            assert low <= n.level <= high
        qualities = [getattr(t, f"jpeg{stage}") for t in thetas]
        assert min(qualities) == 30 and max(qualities) == 95
    assert {t.final_mode for t in thetas} == {"area", "bilinear", "bicubic"}
    assert np.mean([t.final_sinc is not None for t in thetas]) == pytest.approx(0.8, abs=0.04)
    assert np.mean([t.jpeg_last for t in thetas]) == pytest.approx(0.5, abs=0.05)
    assert all(math.pi / 3 <= t.final_sinc.cutoff <= math.pi for t in thetas if t.final_sinc)


def test_camera_is_first_order_and_mild():
    thetas = [draw(4, index, CAMERA) for index in range(500)]
    plain = [t for t in thetas if t.blur1 is None]
    assert len(plain) / 500 == pytest.approx(0.1, abs=0.05)
    assert all(replace(NOTHING, final_mode=t.final_mode) == t for t in plain)
    for t in thetas:
        assert t.resize1 is t.noise1 is t.jpeg1 is t.blur2 is t.final_sinc is None
        if t.blur1:
            assert max(t.blur1.sigma_x, t.blur1.sigma_y) <= 2.0 and t.resize2.factor == 1.0
            assert t.noise2.level <= (15.0 if t.noise2.kind == "gaussian" else 1.5)
        assert t.jpeg2 is None or 50 <= t.jpeg2 <= 98


def test_nothing_but_area_is_the_mean_of_each_block(photo):
    found = apply(photo, NOTHING, scale=4, noise_seed=0)
    wanted = photo.reshape(24, 4, 32, 4, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.abs(found - wanted).max() <= 0.5 + 1e-4
    assert np.array_equal(apply(photo, NOTHING, scale=1, noise_seed=0), photo)


def test_blur_is_laid_on_hr_pixels(photo):
    theta = replace(NOTHING, blur1=Blur("iso", 21, 2.0, 2.0))
    wanted = cv2.GaussianBlur(photo.astype(np.float64), (21, 21), 2.0, borderType=cv2.BORDER_REFLECT_101)
    wanted = wanted.reshape(24, 4, 32, 4, 3).mean(axis=(1, 3))
    assert np.abs(apply(photo, theta, scale=4, noise_seed=0) - wanted).max() <= 0.51


def test_large_and_small_images_are_blurred_as_the_plain_filter_does(photo):
    products = set()
    for image in (photo, np.tile(photo, (3, 2, 1))):
        for index in range(40):
            blur = draw(21, index).blur1
            kernel = operations.kernel_of(blur).astype(np.float64)
            wanted = cv2.filter2D(image.astype(np.float64), -1, kernel)
            assert np.abs(operations.blur(image.astype(np.float32), blur) - wanted).max() < 0.06
            products.add(len(operations.separable(blur)))
    assert {0, 1} < products and max(products) > 4


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [0.37, 1.43])
def test_resize_has_the_geometry_of_interpolate(photo, mode, factor):
    torch = pytest.importorskip("torch")
    height, width = int(96 * factor), int(128 * factor)
    found = operations.resize(photo.astype(np.float32), height, width, mode)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(photo).permute(2, 0, 1)[None].double(),
        size=(height, width),
        mode=mode,
        align_corners=False,
    )[0].permute(1, 2, 0)
    assert np.abs(found - wanted.numpy()).max() < 0.05


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("noise, wanted", [("gaussian", 8.0), ("poisson", None)])
def test_noise_has_its_level(noise, wanted, gray):
    flat = np.full((128, 128, 3), 120, np.uint8)
    flat[:, :64] = 130  # two distinct levels: white is 2 photons
    level = 8.0 if noise == "gaussian" else 0.05
    theta = replace(NOTHING, noise1=Noise(noise, level, gray))
    rest = apply(flat, theta, scale=1, noise_seed=9).astype(np.float64) - flat
    if wanted is None:
        wanted = 0.05 * 255 / 2 * math.sqrt(2 * 125 / 255)
    assert rest.std() == pytest.approx(wanted, rel=0.06) and abs(rest.mean()) < 0.3
    between = np.abs(rest[..., 0] - rest[..., 2]).max()
    assert between == 0 if gray else between > 1


def test_poisson_moments_on_both_sides_of_the_switch():
    dice = np.random.Generator(np.random.SFC64(0))
    for rate in (0.3, 7.9, 8.1, 30.0, 256.0):
        counts = operations.poisson(np.full(200_000, rate, np.float32), dice).astype(np.float64)
        assert counts.min() >= 0 and np.array_equal(counts, np.rint(counts))
        assert counts.mean() == pytest.approx(rate, rel=0.012)
        assert counts.var() == pytest.approx(rate, rel=0.03)
        assert ((counts - counts.mean()) ** 3).mean() == pytest.approx(rate, rel=0.15 if rate < 100 else 0.6)


def test_jpeg_is_the_real_codec_and_keeps_the_channels_apart():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    for last in (True, False):
        out = apply(red, replace(NOTHING, jpeg2=95, jpeg_last=last), scale=2, noise_seed=0)
        assert np.abs(out.astype(int) - [255, 0, 0]).max() <= 3
    assert not np.array_equal(*(apply(_checks(), replace(NOTHING, jpeg1=q), scale=1, noise_seed=0) for q in (30, 95)))


def _checks():
    return np.kron(np.indices((16, 16)).sum(0) % 2, np.ones((3, 3)))[..., None].repeat(3, 2).astype(np.uint8) * 255


def test_antialias_is_pillow_bicubic(photo):
    from PIL import Image

    found = apply(photo, replace(NOTHING, final_mode="antialias"), scale=4, noise_seed=0)
    wanted = np.asarray(Image.fromarray(photo).resize((32, 24), Image.Resampling.BICUBIC))
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_odd_sizes_and_tiny_images():
    rng = np.random.default_rng(0)
    for height, width, scale in ((33 * 2, 47 * 2, 2), (35 * 4, 21 * 4, 4), (8, 4, 4), (3, 3, 3)):
        hr = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for index in range(6):
            assert apply(hr, draw(0, index), scale=scale, noise_seed=0).shape == (
                height // scale,
                width // scale,
                3,
            )


def test_a_view_is_as_good_as_a_copy(photo):
    view = photo[8:72, 16:96]
    theta = draw(0, 0)
    assert np.array_equal(apply(view, theta, scale=4, noise_seed=1), apply(view.copy(), theta, scale=4, noise_seed=1))


@pytest.mark.parametrize(
    "hr",
    [np.zeros((97, 128, 3), np.uint8), np.zeros((96, 128), np.uint8), np.zeros((96, 128, 3), np.float32)],
)
def test_what_is_not_such_an_image_is_refused(hr):
    with pytest.raises(DegradeError):
        apply(hr, NOTHING, scale=2, noise_seed=0)


def test_strict_json():
    record = draw(0, 0).to_json()
    for change in (
        {"blurr1": None},
        {"jpeg1": 0},
        {"jpeg1": 90.5},
        {"final_mode": "lanczos"},
        {"noise1": {"kind": "gaussian", "level": 3.0}},
        {"noise1": {"kind": "gaussian", "level": "3", "gray": True}},
        {"resize1": {"factor": 1.0, "mode": "nearest"}},
        {"jpeg_last": 1},
    ):
        with pytest.raises(DegradeError, match=next(iter(change))):
            SecondOrder.from_json({**record, **change})
    with pytest.raises(DegradeError, match="noise2"):
        SecondOrder.from_json({k: v for k, v in record.items() if k != "noise2"})


def test_ranges_are_checked():
    with pytest.raises(DegradeError, match="kernel_prob"):
        replace(REALESRGAN.first, kernel_prob=(1.0, 1.0, 0, 0, 0, 0))
    with pytest.raises(DegradeError, match="blur_sigma"):
        replace(REALESRGAN.first, blur_sigma=(3.0, 1.0))
    with pytest.raises(DegradeError, match="identity_prob"):
        replace(REALESRGAN, identity_prob=1.5)


def test_skips_leave_the_operation_out():
    bare = {"skip_blur": 1.0, "skip_resize": 1.0, "skip_noise": 1.0, "skip_jpeg": 1.0}
    ranges = replace(
        REALESRGAN,
        first=replace(REALESRGAN.first, **bare),
        second=replace(REALESRGAN.second, **bare),
        final_sinc_prob=0.0,
    )
    theta = draw(0, 5, ranges)
    assert replace(NOTHING, final_mode=theta.final_mode, jpeg_last=theta.jpeg_last) == theta
    assert isinstance(draw(0, 5).resize1, Resize)


@pytest.mark.parametrize("height", [1, 31, 32, 33, 100])
def test_noise_by_rows_is_that_of_the_whole_image(height: int) -> None:
    """To the bit: what is worked on at a time is a matter of speed."""

    def dice() -> np.random.Generator:
        return np.random.Generator(np.random.SFC64(3))

    image = np.random.default_rng(0).uniform(0, 255, (height, 37, 3)).astype(np.float32)
    image[height // 2] *= np.float32(0.02)  # dark: counts of a Poisson law
    d, z = dice(), dice().standard_normal(image.shape, dtype=np.float32)
    d.standard_normal(image.shape, dtype=np.float32)
    counts = np.rint(np.sqrt(image) * z + image + (z * z - np.float32(1)) * np.float32(1 / 6))
    counts[image < 8] = d.poisson(image[image < 8])
    assert operations.poisson(image, dice()).tobytes() == np.maximum(counts, np.float32(0)).tobytes()
    for gray in (False, True):
        z = dice().standard_normal((*image.shape[:2], 1 if gray else 3), dtype=np.float32)
        wanted = np.clip(image + z * np.float32(9), 0, 255)
        before = image.copy()
        assert operations.add_noise(image, Noise("gaussian", 9, gray=gray), dice()).tobytes() == wanted.tobytes()
        assert (image == before).all()
