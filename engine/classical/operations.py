"""The operations of the classical degradations: blur, resize, noise, the real JPEG codec.

Images are float32 [H, W, 3], BGR as OpenCV's JPEG wants it, 0..255, not quantised between operations (JPEG does
that). Resizing has the geometry of F.interpolate (half-pixel centres, cubic a = -0.75, no antialiasing but in
"area" and "antialias"); enlarging by "area" interpolates near pixel borders, where F.interpolate repeats pixels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ...kernels.ziggurat import standard_normal
from ..errors import DegradeError
from . import kernels
from .theta import Blur, Mode, Noise

Floats = npt.NDArray[np.float32]  # [H, W, 3], BGR, 0..255
Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB

ROWS = 32  # of an image, worked on at a time so that they stay in the cache
_INTERPOLATION = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def to_floats(image: Pixels) -> Floats:
    """RGB bytes to what the operations work on."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR).astype(np.float32))


def to_pixels(image: Floats) -> Pixels:
    """Rounded and clipped, as RGB bytes."""
    return np.asarray(cv2.cvtColor(to_bytes(image), cv2.COLOR_BGR2RGB))


@lru_cache(maxsize=256)
def kernel_of(blur: Blur) -> kernels.Kernel:
    """The kernel, float32 [size, size], that `blur` describes. Do not write into it: it is cached."""
    return kernels.without_denormals(_exactly(blur))


def _exactly(blur: Blur) -> kernels.Kernel:
    if blur.kind == "sinc":
        return kernels.sinc(blur.size, blur.cutoff)
    shape = kernels.plateau if blur.kind.startswith("plateau") else kernels.gaussian
    return shape(blur.size, blur.sigma_x, blur.sigma_y, blur.rotation, blur.beta)


@lru_cache(maxsize=256)
def separable(blur: Blur) -> tuple[tuple[kernels.Kernel, kernels.Kernel], ...]:
    """What `kernels.products` says of the kernel, with so many products as are quicker than the kernel."""
    terms: tuple[tuple[kernels.Kernel, kernels.Kernel], ...]
    if blur.kind == "iso":  # the product of its own sums along rows and columns
        kernel = _exactly(blur)
        terms = ((kernel.sum(axis=0), kernel.sum(axis=1)),)
    else:
        terms = kernels.products(_exactly(blur), most=2 if blur.size < 13 else 8)
    return tuple((kernels.without_denormals(row), kernels.without_denormals(column)) for row, column in terms)


def blur(image: Floats, theta: Blur | None) -> Floats:
    """The image under a kernel, mirrored at its borders without repeating the border pixel."""
    if theta is None:
        return image
    small = image.shape[0] * image.shape[1] < 200 * 200  # where only a single product is quicker
    terms = () if small and theta.kind != "iso" else separable(theta)
    if not terms:
        return np.asarray(cv2.filter2D(image, -1, kernel_of(theta), borderType=cv2.BORDER_REFLECT_101))
    (row, column), *others = terms
    blurred = np.asarray(cv2.sepFilter2D(image, -1, row, column, borderType=cv2.BORDER_REFLECT_101), np.float32)
    part = np.empty_like(image) if others else image  # one for all terms: it stays in the cache
    for row, column in others:
        cv2.sepFilter2D(image, -1, row, column, dst=part, borderType=cv2.BORDER_REFLECT_101)
        cv2.add(blurred, part, dst=blurred)
    return blurred


def resize(image: Floats, height: int, width: int, mode: Mode) -> Floats:
    """To height x width (at least 1 each). Cubic modes may overshoot 0..255."""
    height, width = max(height, 1), max(width, 1)
    if image.shape[:2] == (height, width):
        return image
    if mode == "antialias":  # Pillow's bicubic, a = -0.5, widened when it shrinks
        planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(3)]
        small = [np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC)) for plane in planes]
        return np.stack(small, axis=-1)
    return np.asarray(cv2.resize(image, (width, height), interpolation=_INTERPOLATION[mode]))


def add_noise(image: Floats, noise: Noise | None, dice: np.random.Generator) -> Floats:
    """Real-ESRGAN's noise, clipped to 0..255."""
    if noise is None or noise.level == 0.0:
        return image
    if noise.kind == "gaussian":
        shape = (*image.shape[:2], 1) if noise.gray else image.shape
        added = standard_normal(dice, shape)
    else:
        added = _shot_noise(grey(image) if noise.gray else image, dice)
    noisy = added if added.shape == image.shape else np.empty_like(image)
    for first in range(0, len(image), ROWS):
        rows = slice(first, first + ROWS)
        added[rows] *= np.float32(noise.level)
        np.add(image[rows], added[rows], out=noisy[rows])
        np.clip(noisy[rows], 0.0, 255.0, out=noisy[rows])
    return noisy


def grey(image: Floats) -> Floats:
    """ITU-R 601 luma, float32 [H, W, 1]."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)[..., None]


def _shot_noise(image: Floats, dice: np.random.Generator) -> Floats:
    """Poisson(image) - image in grey levels, where white counts 2^ceil(log2(distinct levels)) photons, as
    published."""
    levels = to_bytes(image)
    photons = _photons(levels)
    counts = poisson(levels * np.float32(photons / 255.0), dice)
    counts *= np.float32(255.0 / photons)
    counts -= levels
    return counts


def _photons(levels: Pixels) -> float:
    seen = np.zeros(256, np.float32)
    for first in range(0, len(levels), ROWS):
        seen += cv2.calcHist([levels[first : first + ROWS].reshape(-1, 1)], [0], None, [256], [0, 256]).ravel()
        if np.count_nonzero(seen) > 128:  # more levels make no more photons
            return 256.0
    return float(2.0 ** np.ceil(np.log2(np.count_nonzero(seen))))


def poisson(rate: Floats, dice: np.random.Generator) -> Floats:
    """Poisson counts as float32: exact below a rate of 8, above it rint(rate + sqrt(rate) z + (z^2 - 1) / 6).

    The last term is the Cornish-Fisher correction for the skew. From rate 8 up, mean and third moment are the
    Poisson law's to a percent and the variance to two (rounding adds 1/12): no later stage could tell.
    """
    counts = standard_normal(dice, rate.shape)
    for first in range(0, len(rate), ROWS):
        z, expected = counts[first : first + ROWS], rate[first : first + ROWS]
        skew = z * z
        skew -= 1.0
        skew *= np.float32(1.0 / 6.0)
        z *= np.sqrt(expected)
        z += expected
        z += skew
        np.rint(z, out=z)
        np.maximum(z, 0.0, out=z)
    dim = rate < 8.0
    counts[dim] = dice.poisson(rate[dim])
    return counts


def jpeg(image: Floats, quality: int | None) -> Floats:
    """Through the real codec, 4:2:0."""
    if quality is None:
        return image
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
               cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]  # fmt: skip
    _, code = cv2.imencode(".jpg", to_bytes(image), options)
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR)).astype(np.float32)


def to_bytes(image: Floats) -> Pixels:
    """Rounded and clipped to 0..255."""
    rounded = np.rint(image)
    return np.clip(rounded, 0.0, 255.0, out=rounded).astype(np.uint8)


def check(hr: npt.NDArray[Any], scale: int, noise_seed: int) -> tuple[int, int]:
    """Height and width of `hr`; DegradeError unless it is uint8 [H, W, 3] with sides that are multiples of scale."""
    if hr.dtype != np.uint8 or hr.ndim != 3 or hr.shape[2] != 3:
        raise DegradeError(f"The image to degrade is {hr.dtype} {list(hr.shape)}", wanted="uint8 [H, W, 3]")
    if noise_seed < 0:
        raise DegradeError(f"The noise seed is {noise_seed}", wanted="0 or more")
    height, width = hr.shape[:2]
    if scale < 1 or height % scale or width % scale or not hr.size:
        fact = f"An image of {height} x {width} pixels cannot be reduced {scale} times"
        wanted = f"height and width that are multiples of {scale}"
        raise DegradeError(fact, wanted=wanted, mend="crop it at the top left first")
    return height, width
