"""A synthetic camera: lens, resize, sensor, denoising, sharpening, JPEG. Drawn from a seed, recorded, then applied.

    LR = JPEG(sharpen(denoise(T(T^-1(resize(lens * HR)) + noise))))        T: tone curve, from linear light to display

Most LR photographs are a camera's work, and what it does has an order. The lens blurs (optics.py), the sensor adds
noise in linear light and samples through a mosaic (sensor.py), the firmware denoises, sharpens and compresses
(development.py), and a messenger may make the file smaller once more. Every part may be absent. The order and the
sensor are those of Brooks et al., "Unprocessing images for learned raw denoising" (CVPR 2019), and of CBDNet (Guo et
al., CVPR 2019). The ranges (presets/camera.toml) say where each comes from.

**A camera and its shots.** A `Camera` holds what stays the same from one photograph to the next, and a `Shot` what
does not: how sharp this one is, how it moved, its gain, and where the crop lies on the mosaic and on JPEG's blocks.
`draw` draws a camera with one shot; `shot` gives the same camera another one.

**Tone and place stay.** The tone curve is undone where it was made, so level and colour are the HR's; only noise,
filters and clipping change. Nothing moves: every kernel is symmetric about the middle of an LR pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..artefact import from_json, to_json
from . import development, operations, optics, sensor
from .camera_ranges import CAMERA, CameraRanges, CodecRanges, Spread
from .development import Codec, Denoise, Messenger, Sharpening
from .dice import chance, pick, throw, uniform
from .operations import Pixels
from .optics import Lens, Shrink
from .sensor import Grain, Mosaic, Sensor

__all__ = ["CAMERA", "Camera", "CameraRanges", "Handling", "Shot", "apply", "draw", "shot"]


@dataclass(frozen=True)
class Handling:
    """How much the shots of a camera differ."""

    blur: float  # standard deviation of the log of the lens's width
    defocus: float  # LR pixels: a shot's added radius is the absolute value of a normal of this
    motion_prob: float
    motion: float  # LR pixels, mean length of a shot that moved
    gain: float  # standard deviation of the log of the gain
    crop_prob: float  # of a shot whose first pixel lies anywhere in a JPEG block, not at its corner


@dataclass(frozen=True)
class Shot:
    """One photograph of a camera."""

    blur: float  # factor on the lens's lengths
    defocus: float  # radius, LR pixels; its square adds to the lens's
    motion: float  # length, LR pixels
    motion_angle: float  # radians
    gain: float  # factor on the sensor's a; b grows with its square
    bayer: tuple[int, int]  # row and column, 0 or 1, of the first red pixel
    jpeg_grid: tuple[int, int]  # row and column, 0..15, of the image's first pixel in a block


@dataclass(frozen=True)
class Camera:
    """A camera with one of its shots. A part that is None is absent."""

    lens: Lens | None
    shrink: Shrink
    sensor: Sensor | None
    denoise: Denoise | None
    sharpening: Sharpening | None
    jpeg: Codec | None
    messenger: Messenger | None
    handling: Handling
    shot: Shot

    def to_json(self) -> dict[str, Any]:
        """A JSON object; through a file and `from_json` it comes back equal, float for float."""
        record: dict[str, Any] = to_json(self)
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Camera:
        """The inverse of `to_json`. Raises DegradeError that names a missing, unknown or ill-typed field."""
        return from_json(cls, record, "camera")


# ---- drawing ----


def draw(seed: int, index: int, ranges: CameraRanges = CAMERA) -> Camera:
    """Camera `index` of the stream `seed` (both 0 .. 2^64 - 1) with one shot: a pure function of its arguments."""
    dice, r = throw(seed, index), ranges
    kinds, messenger, shots = r.shrink.kinds, r.messenger, r.shots
    lens = None if chance(dice, r.lens.skip) else _lens(dice, r)
    found = None if chance(dice, r.sensor.skip) else _sensor(dice, r)
    if found is not None and isinstance(found.form, Mosaic):
        lens = _low_passed(lens, uniform(dice, *r.sensor.low_pass) / (2 if found.form.double else 1))
    camera = Camera(
        lens=lens,
        shrink=Shrink(kinds[int(dice.integers(len(kinds)))], uniform(dice, *r.shrink.antialias)),
        sensor=found,
        denoise=None if chance(dice, r.denoise.skip) else _denoise(dice, r),
        sharpening=None if chance(dice, r.sharpening.skip) else _sharpening(dice, r),
        jpeg=None if chance(dice, r.jpeg.skip) else _codec(dice, r.jpeg),
        messenger=Messenger(uniform(dice, *messenger.factor), _codec(dice, messenger.codec))
        if chance(dice, messenger.prob)
        else None,
        handling=Handling(
            blur=uniform(dice, *shots.blur),
            defocus=uniform(dice, *shots.defocus),
            motion_prob=uniform(dice, *shots.motion_prob),
            motion=uniform(dice, *shots.motion),
            gain=uniform(dice, *shots.gain),
            crop_prob=shots.crop_prob,
        ),
        shot=Shot(1.0, 0.0, 0.0, 0.0, 1.0, (0, 0), (0, 0)),
    )
    return shot(camera, dice)


def shot(camera: Camera, dice: np.random.Generator) -> Camera:
    """The same camera with another shot. Shots do not drift: each is drawn around the camera, not around the last."""
    h = camera.handling
    blur, defocus, gain = dice.standard_normal(3).tolist()
    moved, cropped = chance(dice, h.motion_prob), chance(dice, h.crop_prob)
    one = Shot(
        blur=float(np.exp(h.blur * blur)),
        defocus=abs(h.defocus * defocus),
        motion=float(min(dice.exponential(h.motion), 4.0)) if moved else 0.0,
        motion_angle=uniform(dice, 0.0, np.pi) if moved else 0.0,
        gain=float(np.exp(h.gain * gain)),
        bayer=(int(dice.integers(2)), int(dice.integers(2))),
        jpeg_grid=(int(dice.integers(16)), int(dice.integers(16))) if cropped else (0, 0),
    )
    return replace(camera, shot=one)


def _lens(dice: np.random.Generator, r: CameraRanges) -> Lens:
    width = _spread(dice, r.lens.width)
    disk = uniform(dice, *r.lens.defocus) if chance(dice, r.lens.defocus_prob) else 0.0  # share of the variance
    sigma, ratio = width * np.sqrt(1 - disk), np.sqrt(uniform(dice, *r.lens.anisotropy))
    tail = chance(dice, r.lens.tail_prob)
    return Lens(
        sigma_x=float(sigma * ratio),
        sigma_y=float(sigma / ratio),
        rotation=uniform(dice, 0.0, np.pi),
        defocus=float(2 * width * np.sqrt(disk)),
        motion=0.0,
        motion_angle=0.0,
        tail=uniform(dice, *r.lens.tail) if tail else 0.0,
        tail_sigma=uniform(dice, *r.lens.tail_sigma) if tail else 0.0,
    )


def _low_passed(lens: Lens | None, sigma: float) -> Lens:
    """The lens with the optical low-pass filter that lies before a mosaic."""
    if lens is None:
        return Lens(sigma, sigma, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return replace(lens, sigma_x=float(np.hypot(lens.sigma_x, sigma)), sigma_y=float(np.hypot(lens.sigma_y, sigma)))


def _sensor(dice: np.random.Generator, r: CameraRanges) -> Sensor:
    s = r.sensor
    form: Mosaic | Grain
    a = uniform(dice, *np.log(s.shot))
    slope, offset, spread = s.read
    b = slope * a + offset + spread * float(dice.standard_normal())
    contrast, shoulder = uniform(dice, *s.contrast), uniform(dice, *s.shoulder)
    if chance(dice, s.mosaic_prob):
        demosaic = s.demosaic[int(dice.integers(len(s.demosaic)))]
        form = Mosaic(chance(dice, s.double_prob), demosaic, uniform(dice, *s.red), uniform(dice, *s.blue))
    else:
        form = Grain(*(uniform(dice, *span) for span in (s.luma_sigma, s.chroma_sigma, s.chroma)))
    return Sensor(contrast, shoulder, float(np.exp(a)), float(np.exp(b)), form)


def _denoise(dice: np.random.Generator, r: CameraRanges) -> Denoise:
    d = r.denoise
    luma = uniform(dice, *d.luma) if chance(dice, d.luma_prob) else 0.0
    chroma = uniform(dice, *d.chroma) if chance(dice, d.bilateral_prob) else 0.0
    return Denoise(luma, uniform(dice, *d.luma_sigma), uniform(dice, *d.grain), chroma, uniform(dice, *d.chroma_sigma))


def _sharpening(dice: np.random.Generator, r: CameraRanges) -> Sharpening:
    s = r.sharpening
    threshold = uniform(dice, *s.threshold) if chance(dice, s.threshold_prob) else 0.0
    return Sharpening(_spread(dice, s.amount), uniform(dice, *s.radius), threshold)


def _codec(dice: np.random.Generator, r: CodecRanges) -> Codec:
    quality = round(_spread(dice, r.quality))
    chroma = max(1, quality - round(uniform(dice, *r.chroma_less)))
    return Codec(quality, chroma, r.sampling[pick(dice, r.sampling_shares)])


def _spread(dice: np.random.Generator, spread: Spread) -> float:
    return uniform(dice, *(spread.usual if chance(dice, spread.usual_prob) else spread.all))


# ---- applying ----


def apply(hr: Pixels, camera: Camera, *, scale: int, noise_seed: int, without_noise: bool = False) -> Pixels:
    """The LR, uint8 [H/scale, W/scale, 3] RGB, that `camera` takes of `hr` (uint8 [H, W, 3] RGB).

    The same arguments give the same bytes; `noise_seed` (>= 0) is the noise's realisation. without_noise: the same
    photograph by the same filters, its noise alone left out. At scale 1 the HR is on the LR grid already: all but the
    resize is done. Raises DegradeError if H or W is not a multiple of `scale` or the array is not such an image.
    """
    operations.check(hr, scale, noise_seed)
    dice = None if without_noise else np.random.Generator(np.random.SFC64(noise_seed))
    image, per = optics.expose(operations.to_floats(hr), _lens_of_shot(camera), scale)
    one, level = camera.shot, 0.0
    double = camera.sensor is not None and isinstance(camera.sensor.form, Mosaic) and camera.sensor.form.double
    if not double:
        image = optics.shrink(image, camera.shrink, per)
    if camera.sensor is not None:
        image = sensor.register(image, camera.sensor, one.gain, one.bayer, dice)
        level = sensor.level(camera.sensor, one.gain)
    if double:
        image = optics.shrink(image, camera.shrink, per)
    image = development.develop(image, camera.denoise, camera.sharpening, level)
    if camera.messenger is not None:
        image = development.send(image, camera.messenger, camera.jpeg, one.jpeg_grid)
    elif camera.jpeg is not None:
        image = development.compress(image, camera.jpeg, one.jpeg_grid)
    return operations.to_pixels(image)


def _lens_of_shot(camera: Camera) -> Lens | None:
    """The lens as this shot has it: its lengths by the shot's factor, defocus and motion added."""
    lens, one = camera.lens, camera.shot
    if lens is None:
        return None
    return replace(
        lens,
        sigma_x=lens.sigma_x * one.blur,
        sigma_y=lens.sigma_y * one.blur,
        defocus=float(np.hypot(lens.defocus * one.blur, one.defocus)),
        motion=one.motion,
        motion_angle=one.motion_angle,
    )
