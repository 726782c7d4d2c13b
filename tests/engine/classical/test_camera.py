"""The synthetic camera: a pure function of its parameters, nothing moves, tones stay, and noise can be left out."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from degrade_engine.engine.classical import camera, development, optics, sensor
from degrade_engine.engine.classical.camera import Camera, CameraRanges
from degrade_engine.engine.classical.settings import read
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import resize_bicubic

BARE = replace(
    camera.draw(0, 0),
    lens=None, shrink=optics.Shrink("bicubic", 1.0), sensor=None, denoise=None, sharpening=None, jpeg=None,
    messenger=None,
)  # fmt: skip
STILL = optics.Lens(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
GRAIN = sensor.Grain(luma_sigma=0.8, chroma_sigma=1.5, chroma=0.5)


def photograph(side: int, seed: int = 0) -> np.ndarray:
    """uint8 [side, side, 3]: smooth colours under fine and coarse texture, as photographs have (1/f)."""
    dice = np.random.default_rng(seed)
    image = np.full((side, side, 3), 128.0)
    for octave in range(2, int(np.log2(side)) + 1):
        layer = (
            dice.normal(0, 60 / octave, (2**octave, 2**octave, 3))
            + dice.normal(0, 60 / octave, (2**octave,) * 2)[..., None]
        )
        image += cv2.resize(layer, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)


def without(one: Camera, **parts: object) -> Camera:
    return replace(one, **parts)


def test_a_camera_is_a_function_of_seed_and_index_and_comes_back_from_its_record():
    drawn = [camera.draw(7, index) for index in range(200)]
    assert drawn[50] == camera.draw(7, 50) and len({json.dumps(one.to_json()) for one in drawn}) == 200
    assert all(Camera.from_json(json.loads(json.dumps(one.to_json()))) == one for one in drawn)
    for part in ("lens", "sensor", "denoise", "sharpening", "jpeg", "messenger"):
        absent = sum(getattr(one, part) is None for one in drawn)
        assert 0 < absent < 200, part


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_the_same_arguments_give_the_same_bytes_and_noise_alone_tells_seeds_apart(scale):
    hr = photograph(32 * scale)
    for index in range(30):
        one = camera.draw(3, index)
        lr = camera.apply(hr, one, scale=scale, noise_seed=index)
        assert lr.shape == (32, 32, 3) and lr.dtype == np.uint8
        assert np.array_equal(lr, camera.apply(hr, one, scale=scale, noise_seed=index))
        still = [camera.apply(hr, one, scale=scale, noise_seed=seed, without_noise=True) for seed in (index, 99)]
        assert np.array_equal(*still)
        if one.sensor is None:
            assert np.array_equal(lr, still[0])


@pytest.mark.parametrize("kind", ["bicubic", "area", "bilinear", "sharp-bicubic", "lanczos2", "lanczos3"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_camera_without_parts_is_a_resize_that_stays_in_place(kind, scale):
    hr = photograph(64 * scale)
    made = camera.apply(hr, without(BARE, shrink=optics.Shrink(kind, 1.0)), scale=scale, noise_seed=0)
    assert moved(resize_bicubic(hr, (64, 64)), made) < 0.01
    if kind == "bicubic":
        assert psnr(resize_bicubic(hr, (64, 64)), made) > 42  # two steps and other borders, no other kernel


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def moved(still: np.ndarray, other: np.ndarray) -> float:
    return float(np.hypot(*shift(still, other)))


def shift(still: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pixels, down and right, by which `other` lies beside `still`: the phase of their cross spectrum below 0.25 cycles
    per pixel, each frequency weighed by its power, so that what a blur leaves nothing of has no say."""
    window = np.outer(np.hanning(len(still)), np.hanning(len(still)))
    a, b = (np.fft.fft2((x.mean(axis=2) - x.mean()) * window) for x in (still.astype(float), other.astype(float)))
    f = np.fft.fftfreq(len(still))
    cross, y, x = a * b.conj(), np.repeat(f[:, None], len(f), 1), np.repeat(f[None], len(f), 0)
    use = np.hypot(x, y) < 0.25
    weight, phase = np.sqrt(np.abs(cross[use])), np.angle(cross[use]) / (2 * np.pi)
    return np.linalg.lstsq(np.stack((y[use], x[use]), 1) * weight[:, None], phase * weight, rcond=None)[0]


def test_the_measure_of_shifts_sees_a_tenth_of_a_pixel():
    still = photograph(256)
    aside = cv2.warpAffine(still, np.array([[1, 0, 0.4], [0, 1, 0.0]]), (256, 256), borderMode=cv2.BORDER_REFLECT_101)
    assert 0.06 < moved(resize_bicubic(still, (64, 64)), resize_bicubic(aside, (64, 64))) < 0.14


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_no_camera_moves_the_picture_or_changes_its_tones(scale):
    hr = photograph(64 * scale, seed=2)
    shifts, tones = [], []
    for index in range(60):
        one = camera.draw(5, index)
        if one.lens is None or one.lens.width > 1.2:  # a wider blur leaves too little to measure
            continue
        for picture in (hr, np.ascontiguousarray(hr[::-1, ::-1])):  # turned round: what its content does, cancels
            clean = resize_bicubic(picture, (64, 64))
            made = camera.apply(picture, one, scale=scale, noise_seed=0, without_noise=True)
            shifts.append(shift(clean, made))
            tones.append(np.abs(made.mean((0, 1)) - clean.mean((0, 1))).max())
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.003  # none on the whole
    assert np.hypot(*np.transpose(shifts)).max() < 0.1  # JPEG and mosaics change single pictures' phases
    assert np.median(tones) < 0.5 and max(tones) < 3


@pytest.mark.parametrize("demosaic", ["bilinear", "malvar", "edge"])
@pytest.mark.parametrize("bayer", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_mosaic_keeps_plain_colours_and_the_place_of_a_picture(demosaic, bayer):
    form = sensor.Mosaic(double=False, demosaic=demosaic, red=2.1, blue=1.7)
    one = without(BARE, sensor=sensor.Sensor(0.5, 2.0, 1e-4, 1e-8, form), shot=replace(BARE.shot, bayer=bayer))
    plain = np.broadcast_to(np.array([200, 120, 40], np.uint8), (16, 16, 3))
    assert np.array_equal(camera.apply(plain.copy(), one, scale=1, noise_seed=0, without_noise=True), plain)
    picture = cv2.GaussianBlur(photograph(64), (0, 0), 1.0)
    made = camera.apply(picture, one, scale=1, noise_seed=0, without_noise=True)
    assert moved(picture, made) < 0.03 and psnr(picture, made) > 30  # another phase of the mosaic would be a pixel


def test_a_lens_has_the_transfer_function_of_its_parts():
    f = 0.2  # cycles per LR pixel, along the rows
    gaussian = replace(STILL, sigma_x=0.8, sigma_y=0.4)
    wanted = {
        gaussian: np.exp(-2 * (np.pi * 0.8 * f) ** 2),
        replace(gaussian, rotation=np.pi / 2): np.exp(-2 * (np.pi * 0.4 * f) ** 2),
        replace(STILL, sigma_x=0.3, sigma_y=0.3, motion=2.0): np.exp(-2 * (np.pi * 0.3 * f) ** 2) * np.sinc(2 * f),
        replace(gaussian, tail=0.1, tail_sigma=2.0): np.exp(-2 * (np.pi * 0.8 * f) ** 2)
        * (0.9 + 0.1 * np.exp(-2 * (np.pi * 2 * f) ** 2)),
        replace(STILL, sigma_x=0.3, sigma_y=0.3, defocus=1.5): np.exp(-2 * (np.pi * 0.3 * f) ** 2) * disk(1.5, f),
    }
    for lens, transfer in wanted.items():
        for per in (1, 2, 3):
            kernel = optics.kernel_of(lens, per)
            at = (np.arange(len(kernel)) - len(kernel) // 2) / per
            assert kernel.sum() == pytest.approx(1, abs=1e-5)
            assert float((kernel.sum(axis=0) * np.cos(2 * np.pi * f * at)).sum()) == pytest.approx(transfer, abs=0.01)


def disk(radius: float, f: float) -> float:
    """A disk's transfer by adding it up."""
    x = np.linspace(-radius, radius, 20001)
    chord = np.sqrt(radius**2 - x**2)
    return float((chord * np.cos(2 * np.pi * f * x)).sum() / chord.sum())


def test_the_lens_is_as_wide_at_every_scale():
    lens = replace(STILL, sigma_x=0.7, sigma_y=0.7)
    hr = photograph(256, seed=4)
    lrs = [
        camera.apply(resize_bicubic(hr, (64 * scale, 64 * scale)), without(BARE, lens=lens), scale=scale, noise_seed=0)
        for scale in (1, 2, 4)
    ]
    assert psnr(lrs[0], lrs[2]) > 38 and psnr(lrs[1], lrs[2]) > 40


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_a_point_of_light_gets_the_lens_s_variance_on_every_grid(scale):
    lens, side = replace(STILL, sigma_x=0.6, sigma_y=0.6), 24
    variances = []
    for at in range(10 * scale, 11 * scale):  # every place within an LR pixel
        light = np.zeros((side * scale, side * scale, 3), np.float32)
        light[at, 12 * scale] = 1000
        made, per = optics.expose(light, lens, scale)
        rows = made[..., 0].sum(axis=1)
        away = (np.arange(len(rows)) + 0.5) / per - (at + 0.5) / scale  # LR pixels
        variances.append(float((rows * away**2).sum() / rows.sum()))
    assert np.mean(variances) == pytest.approx(0.36, rel=0.02)


@pytest.mark.parametrize("grey", [40, 120, 200])
def test_noise_has_the_level_and_the_shape_it_was_given(grey):
    one = without(BARE, sensor=sensor.Sensor(0.0, 1.0, 3e-4, 3e-6, GRAIN))
    light = ((grey / 255 + 0.055) / 1.055) ** 2.4
    slope = 1.055 / 2.4 * light ** (1 / 2.4 - 1)  # of sRGB, display by light
    sigma = 255 * slope * np.sqrt(one.sensor.shot * one.shot.gain * light + one.sensor.read * one.shot.gain**2)
    plain = np.full((256, 256, 3), grey, np.uint8)
    noise = camera.apply(plain, one, scale=1, noise_seed=4).astype(float) - grey
    luma = noise @ (0.299, 0.587, 0.114)
    red = (noise[..., 0] - luma) / 1.402
    assert luma.std() == pytest.approx(sigma, rel=0.06)
    assert red.std() / luma.std() == pytest.approx(0.5, rel=0.08)
    assert beside(luma) == pytest.approx(np.exp(-1 / (4 * 0.8**2)), abs=0.05)
    assert beside(red) == pytest.approx(np.exp(-1 / (4 * 1.5**2)), abs=0.05)


def beside(noise: np.ndarray) -> float:
    return float((noise[:, 1:] * noise[:, :-1]).mean() / noise.var())


def test_the_level_is_that_of_middle_grey():
    one = sensor.Sensor(0.6, 2.0, 2e-3, 1e-5, sensor.Grain(0.0, 0.0, 0.0))
    plain = np.full((256, 256, 3), 127.5, np.float32)
    noise = sensor.register(plain, one, 1.5, (0, 0), np.random.default_rng(1)) - plain
    assert noise.std() == pytest.approx(sensor.level(one, 1.5), rel=0.03)


def test_a_gain_makes_more_noise_and_sharpening_overshoots():
    noisy = without(BARE, sensor=sensor.Sensor(0.3, 2.0, 1e-3, 1e-6, GRAIN))
    plain = np.full((64, 64, 3), 128, np.uint8)
    levels = [
        camera.apply(plain, without(noisy, shot=replace(noisy.shot, gain=gain)), scale=1, noise_seed=1).std()
        for gain in (0.5, 1, 4)
    ]
    assert levels[0] < levels[1] < levels[2]
    edge = np.full((32, 32, 3), 80, np.uint8)
    edge[:, 16:] = 160
    crisp = without(BARE, sharpening=development.Sharpening(0.5, 1.0, 0.0))
    made = camera.apply(edge, crisp, scale=1, noise_seed=0)
    assert made.max() > 168 and made.min() < 72
    left_alone = without(BARE, sharpening=development.Sharpening(0.5, 1.0, 90.0))
    assert np.abs(camera.apply(edge, left_alone, scale=1, noise_seed=0).astype(int) - edge).max() <= 1


def test_denoising_takes_noise_away_and_its_grain_gives_some_back():
    noisy = without(BARE, sensor=sensor.Sensor(0.3, 2.0, 3e-3, 1e-6, sensor.Grain(0.0, 0.0, 0.8)))
    plain = np.full((96, 96, 3), 128, np.uint8)

    def spread(denoise: development.Denoise | None) -> tuple[float, float]:
        made = camera.apply(plain, without(noisy, denoise=denoise), scale=1, noise_seed=1)
        ycc = cv2.cvtColor(made, cv2.COLOR_RGB2YCrCb).astype(float)
        return float(ycc[..., 0].std()), float(ycc[..., 1].std())

    raw = spread(None)
    full = spread(development.Denoise(3.0, 1.2, 0.0, 0.0, 1.5))
    half = spread(development.Denoise(3.0, 1.2, 0.5, 4.0, 1.5))
    assert full[0] < half[0] < raw[0] and full[1] < 0.4 * raw[1] and half[1] < 0.6 * raw[1]


def test_jpeg_begins_where_the_shot_says():
    ramp = cv2.resize(np.random.default_rng(9).uniform(0, 255, (4, 4, 3)), (64, 64), interpolation=cv2.INTER_CUBIC)
    hr = np.clip(ramp, 0, 255).astype(np.uint8)
    coarse = without(BARE, jpeg=development.Codec(15, 15, "420"))
    steps = []
    for left in (0, 3):
        made = camera.apply(hr, without(coarse, shot=replace(BARE.shot, jpeg_grid=(0, left))), scale=1, noise_seed=0)
        jumps = np.abs(np.diff(made.astype(float) - hr, axis=1)).mean((0, 2))
        steps.append(max(range(8), key=lambda at: jumps[at::8].mean()))
    assert steps == [7, 4]  # between columns 7 and 8, and three to the left


def test_shots_are_drawn_around_the_camera_and_do_not_drift():
    one, dice = camera.draw(2, 6), np.random.default_rng(0)
    drawn = one
    shots = []
    for _ in range(400):
        drawn = camera.shot(drawn, dice)
        assert replace(drawn, shot=one.shot) == one
        shots.append(drawn.shot)
    blur = np.log([each.blur for each in shots])
    assert blur.std() == pytest.approx(one.handling.blur, rel=0.15) and abs(blur.mean()) < one.handling.blur / 4
    assert np.mean([each.jpeg_grid == (0, 0) for each in shots]) == pytest.approx(1 - one.handling.crop_prob, abs=0.08)
    assert np.mean([each.motion > 0 for each in shots]) == pytest.approx(one.handling.motion_prob, abs=0.07)


def test_a_mosaic_has_a_low_pass_filter_before_it():
    drawn = [camera.draw(1, index) for index in range(400)]
    seen = [one for one in drawn if one.sensor is not None and isinstance(one.sensor.form, sensor.Mosaic)]
    assert len(seen) > 60
    for one in seen:
        assert one.lens.sigma_x >= (0.15 if one.sensor.form.double else 0.3) / 1.0001


def test_an_own_file_is_laid_over_the_ranges_and_its_mistakes_are_named(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[lens]\nskip = 1.0\n[sensor]\nmosaic_prob = 0.0\n")
    ranges = read(CameraRanges, "camera", file)
    assert all(camera.draw(0, at, ranges).lens is None for at in range(20))
    for text, word in (
        ("[lens]\nskip = 2.0", "lens.skip"),
        ("[sensor]\nshot = [0.0, 0.1]", "log-uniformly"),
        ("[shrink]\nkinds = []", "shrink.kinds"),
        ("[jpeg]\nquality = { usual = [85, 120] }", "spread"),
        ("[lens]\nblur = [1, 2]", "blur"),
    ):
        file.write_text(text)
        with pytest.raises(DegradeError, match=word):
            read(CameraRanges, "camera", file)
