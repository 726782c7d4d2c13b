"""A camera's sensor: light to numbers, with noise, and through a Bayer mosaic where the LR still shows it.

Noise is that of Foi et al. (IEEE TIP 2008): in linear light its variance is a x + b, of photons and of reading out. The
channels' white-balance gains g come after it, so that theirs is a g x + b g².

**With a mosaic** each pixel keeps one colour and the demosaicing gives the noise its shape: bilinear, Malvar-He-Cutler
(ICASSP 2004; linear 5 x 5 filters) or OpenCV's edge-aware one. **Without** (a photograph that was made smaller shows
none) the noise gets the shape that demosaicing and denoising leave: luma and chroma apart, each under a Gaussian.

**Linear light** is the display's value through the inverse of a tone curve: a shoulder, sRGB's curve, and a share of
the smoothstep of Brooks et al. (CVPR 2019), since cameras compress highlights and shadows; so highlights show little
noise. The same curve leads back, and the picture's tones stay what they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from ...kernels.ziggurat import standard_normal
from .operations import Floats

Demosaic = Literal["bilinear", "malvar", "edge"]
Table = npt.NDArray[np.float32]
_FINE = 8191  # steps of the tables: a step is less than 0.05 grey levels


@dataclass(frozen=True)
class Mosaic:
    """double: laid on two samples per LR pixel (where the HR has them), which the resize then bins."""

    double: bool
    demosaic: Demosaic
    red: float  # white-balance gains, green has 1
    blue: float


@dataclass(frozen=True)
class Grain:
    """The noise's shape where there is no mosaic. Sigmas of the Gaussians that correlate it, LR pixels."""

    luma_sigma: float
    chroma_sigma: float
    chroma: float  # standard deviation of Cb and of Cr, luma's is 1


@dataclass(frozen=True)
class Sensor:
    """a and b of the noise's variance, of linear light from 0 (black) to 1 (white)."""

    contrast: float  # 0 .. 1: share of a smoothstep on sRGB's curve
    shoulder: float  # k of 1 - (1 - x)^k before it; 1: none
    shot: float  # a
    read: float  # b
    form: Mosaic | Grain


def register(
    image: Floats, sensor: Sensor, gain: float, bayer: tuple[int, int], dice: np.random.Generator | None
) -> Floats:
    """What the sensor makes of the image. gain: of the shot, a grows with it, b with its square; bayer: row and column
    of the first red pixel; dice: None for the same image without noise."""
    curve = _curve(sensor.contrast, sensor.shoulder)
    light = _to_light(image, curve)
    a, b = np.float32(gain * sensor.shot), np.float32(gain**2 * sensor.read)
    if isinstance(sensor.form, Mosaic):
        light = _through_mosaic(light, sensor.form, a, b, bayer, dice)
    elif dice is not None:
        noise = _grain(sensor.form, image.shape[:2], dice)
        noise *= np.sqrt(a * light + b)
        light += noise
    return _from_light(light, curve)


def level(sensor: Sensor, gain: float) -> float:
    """The noise's standard deviation at middle grey before its shaping, grey levels."""
    table = _curve(sensor.contrast, sensor.shoulder)[0]
    middle = float(table[_FINE // 2])
    slope = float(table[_FINE // 2 + 40] - table[_FINE // 2 - 40]) * _FINE / 80  # of light by display
    return 255 * float(np.sqrt(gain * sensor.shot * middle + gain**2 * sensor.read)) / slope


# ---- tone ----


def _to_light(image: Floats, curve: tuple[Table, Table]) -> Floats:
    """Display values 0..255 to linear light 0..1; what lies outside is clipped."""
    at = np.clip(image, 0.0, 255.0)
    at *= np.float32(_FINE / 255)
    at += np.float32(0.5)
    return np.take(curve[0], at.astype(np.int32))


def _from_light(light: Floats, curve: tuple[Table, Table]) -> Floats:
    """The inverse of `_to_light`."""
    at = np.sqrt(np.clip(light, 0.0, 1.0))  # even steps of the root are even steps for the eye, nearly
    at *= np.float32(_FINE)
    at += np.float32(0.5)
    return np.take(curve[1], at.astype(np.int32))


@lru_cache(maxsize=64)
def _curve(contrast: float, shoulder: float) -> tuple[Table, Table]:
    """Light at even steps of the display's value, and the display's value (0..255) at even steps of light's root."""
    fine = np.linspace(0.0, 1.0, 4 * _FINE + 1)
    display = (1 - contrast) * fine + contrast * (3 * fine**2 - 2 * fine**3)
    bent = np.where(fine <= 0.04045, fine / 12.92, ((fine + 0.055) / 1.055) ** 2.4)
    light = 1 - (1 - bent) ** (1 / shoulder)
    even = np.linspace(0.0, 1.0, _FINE + 1)
    there = np.interp(even, display, light).astype(np.float32)
    back = 255 * np.interp(even**2, light, display)
    return there, back.astype(np.float32)


# ---- noise without a mosaic ----


def _grain(form: Grain, shape: tuple[int, ...], dice: np.random.Generator) -> Floats:
    """Noise [h, w, 3] BGR whose luma has variance 1."""
    z = standard_normal(dice, (3, *shape))
    luma = _soft(z[0], form.luma_sigma)
    cb, cr = (_soft(plane, form.chroma_sigma) * np.float32(form.chroma) for plane in z[1:])
    green = np.float32(-0.344) * cb + np.float32(-0.714) * cr
    noise = np.stack((np.float32(1.772) * cb, green, np.float32(1.402) * cr), axis=-1)
    noise += luma[..., None]
    return noise


def _soft(white: Table, sigma: float) -> Table:
    """White noise under a Gaussian, its variance kept."""
    if sigma < 0.15:
        return white
    row = _gaussian(sigma)
    soft = np.asarray(cv2.sepFilter2D(white, -1, row, row, borderType=cv2.BORDER_REFLECT_101), np.float32)
    soft *= np.float32(1 / float((row**2).sum()))
    return soft


@lru_cache(maxsize=256)
def _gaussian(sigma: float) -> Table:
    at = np.arange(-int(4 * sigma + 1), int(4 * sigma + 2))
    row = np.exp(-0.5 * (at / sigma) ** 2)
    return np.asarray(row / row.sum(), np.float32)


# ---- mosaic ----


def _through_mosaic(
    light: Floats, form: Mosaic, a: np.float32, b: np.float32, bayer: tuple[int, int], dice: np.random.Generator | None
) -> Floats:
    """Each pixel's own colour, its noise, and the other two colours guessed back. Borders mirror, which keeps the
    mosaic's pattern."""
    raw = np.ascontiguousarray(light[..., 1])
    gains = np.ones_like(raw)
    for channel, gain, odd in ((2, form.red, 0), (0, form.blue, 1)):
        sites = _sites(bayer, odd)
        raw[sites] = light[..., channel][sites]
        gains[sites] = gain
    if dice is not None:
        z = standard_normal(dice, raw.shape)
        z *= np.sqrt(gains * (a * raw + b * gains))
        raw += z
    if form.demosaic == "edge":
        return _edge_aware(raw, bayer)
    return _linear(raw, bayer, _KERNELS[form.demosaic])


def _sites(bayer: tuple[int, int], odd: int) -> tuple[slice, slice]:
    """Red's pixels, or with odd = 1 blue's."""
    return slice((bayer[0] + odd) % 2, None, 2), slice((bayer[1] + odd) % 2, None, 2)


def _kernels(*rows: tuple[float, ...]) -> Table:
    """A 5 x 5 kernel from its upper three rows (it is symmetric), in eighths."""
    return np.asarray(np.array([*rows, rows[1], rows[0]]) / 8, np.float32)


_CROSS = _kernels((0, 0, 0, 0, 0), (0, 0, 2, 0, 0), (0, 2, 0, 2, 0))
_BESIDE = _kernels((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 4, 0, 4, 0))
_CORNERS = _kernels((0, 0, 0, 0, 0), (0, 2, 0, 2, 0), (0, 0, 0, 0, 0))
_KERNELS = {
    # green at red and blue; red (blue) at green of its own row; red at blue and blue at red
    "bilinear": (_CROSS, _BESIDE, _CORNERS),
    "malvar": (
        _kernels((0, 0, -1, 0, 0), (0, 0, 2, 0, 0), (-1, 2, 4, 2, -1)),
        _kernels((0, 0, 0.5, 0, 0), (0, -1, 0, -1, 0), (-1, 4, 5, 4, -1)),
        _kernels((0, 0, -1.5, 0, 0), (0, 2, 0, 2, 0), (-1.5, 0, 6, 0, -1.5)),
    ),
}


def _linear(raw: Table, bayer: tuple[int, int], kernels: tuple[Table, Table, Table]) -> Floats:
    cross, beside, corners = (_filtered(raw, kernel) for kernel in kernels)
    above = _filtered(raw, np.ascontiguousarray(kernels[1].T))
    found = np.repeat(raw[..., None], 3, axis=2)
    for channel, other, odd in ((2, 0, 0), (0, 2, 1)):
        rows, columns = own = _sites(bayer, odd)
        opposite = _sites(bayer, 1 - odd)
        found[..., 1][own] = cross[own]
        found[..., other][own] = corners[own]
        found[..., channel][rows, opposite[1]] = beside[rows, opposite[1]]
        found[..., channel][opposite[0], columns] = above[opposite[0], columns]
    return found


def _filtered(raw: Table, kernel: Table) -> Table:
    return np.asarray(cv2.filter2D(raw, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


_EDGE = {(0, 0): cv2.COLOR_BayerBG2BGR_EA, (0, 1): cv2.COLOR_BayerGB2BGR_EA,
         (1, 0): cv2.COLOR_BayerGR2BGR_EA, (1, 1): cv2.COLOR_BayerRG2BGR_EA}  # fmt: skip


def _edge_aware(raw: Table, bayer: tuple[int, int]) -> Floats:
    """OpenCV's, which works on 16-bit numbers and repeats what lies one pixel inside the border."""
    wide = cv2.copyMakeBorder(raw, 2, 2, 2, 2, cv2.BORDER_REFLECT_101)
    numbers = np.clip(np.rint(wide * np.float32(65535)), 0, 65535).astype(np.uint16)
    found = np.asarray(cv2.demosaicing(numbers, _EDGE[bayer])[2:-2, 2:-2], np.float32)
    found *= np.float32(1 / 65535)
    return found
