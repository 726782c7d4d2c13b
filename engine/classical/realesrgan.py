"""The second-order degradation of Real-ESRGAN (Wang et al., ICCV-W 2021, section 3): drawn, then applied.

    LR = stage2(stage1(HR)),   stage = blur -> resize -> noise -> JPEG,   then a last resize and sinc (Fig. 2)

`draw` makes every random choice and returns it as plain numbers (`SecondOrder`, which a manifest can hold);
`apply` carries them out on an image. Only the noise's realisation is left, and that has a seed of its own.
Sample `index` never depends on the samples before it.

**What a sigma means.** Blur sigmas are in pixels of the image that is blurred, as published: HR pixels in
stage 1 whatever the scale, so that sigma 2 is 0.5 LR pixels at scale 4 and 1.0 at scale 2; in stage 2,
pixels of what stage 1 left (HR times the drawn factor). The last sinc is laid on the LR. Noise levels are
in grey levels of 0..255.

Departures from the published training code, each for a reason: the HR is not sharpened first (a trick of
the GAN's training, not a degradation); JPEG is the real codec (4:2:0, integer quality), as the
differentiable stand-in was needed only on a GPU; large Poisson counts come from a normal (`_poisson`),
which is several times faster. Resizing has the geometry of F.interpolate (half-pixel centres, cubic
a = -0.75, no antialiasing but in "area"); enlarging by "area" interpolates near pixel borders, where
F.interpolate repeats pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import DegradeError
from . import kernels
from .ranges import CAMERA, REALESRGAN, SecondOrderRanges, StageRanges
from .theta import Blur, BlurKind, Mode, Noise, Resize, SecondOrder

__all__ = ["CAMERA", "REALESRGAN", "Blur", "Noise", "Resize", "SecondOrder", "SecondOrderRanges",
           "StageRanges", "apply", "draw"]  # fmt: skip

_Floats = npt.NDArray[np.float32]  # [H, W, 3], BGR as OpenCV's JPEG wants it, 0..255
_KINDS: tuple[BlurKind, ...] = (
    "iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso",
)  # fmt: skip
_INTERPOLATION = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


# ---- drawing ----


def draw(seed: int, index: int, ranges: SecondOrderRanges = REALESRGAN) -> SecondOrder:
    """The parameters of sample `index` of the stream `seed` (both 0 .. 2^64 - 1): a pure function of its
    arguments."""
    if not (0 <= seed < 2**64 and 0 <= index < 2**64):
        raise DegradeError(f"The seed and index of a degradation are {seed} and {index}", wanted="0 to 2^64 - 1")
    dice = np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))
    first, second = ranges.first, ranges.second

    if _chance(dice, ranges.identity_prob):
        return SecondOrder(None, None, None, None, None, None, None, None, _mode(dice, ranges), None, jpeg_last=True)
    return SecondOrder(
        blur1=_draw_blur(dice, first, ranges),
        resize1=_draw_resize(dice, first, ranges),
        noise1=_draw_noise(dice, first),
        jpeg1=_draw_jpeg(dice, first),
        blur2=_draw_blur(dice, second, ranges),
        resize2=_draw_resize(dice, second, ranges),
        noise2=_draw_noise(dice, second),
        jpeg2=_draw_jpeg(dice, second),
        final_mode=_mode(dice, ranges),
        final_sinc=_draw_final_sinc(dice, ranges),
        jpeg_last=_chance(dice, ranges.jpeg_last_prob),
    )


def _draw_blur(dice: np.random.Generator, stage: StageRanges, ranges: SecondOrderRanges) -> Blur | None:
    if _chance(dice, stage.skip_blur):
        return None
    size = ranges.kernel_sizes[int(dice.integers(len(ranges.kernel_sizes)))]
    if _chance(dice, stage.sinc_prob):
        lowest = np.pi / 3 if size < 13 else np.pi / 5  # a small kernel cannot hold a low cutoff
        return Blur("sinc", size, cutoff=_uniform(dice, lowest, np.pi))
    kind = _KINDS[_pick(dice, stage.kernel_prob)]
    sigma_x = sigma_y = _uniform(dice, *stage.blur_sigma)
    rotation = 0.0
    if kind.endswith("aniso"):
        sigma_y = _uniform(dice, *stage.blur_sigma)
        rotation = _uniform(dice, -np.pi, np.pi)
    beta = 1.0
    if kind.startswith(("generalized", "plateau")):
        low, high = stage.betag_range if kind.startswith("generalized") else stage.betap_range
        beta = _uniform(dice, low, 1.0) if _chance(dice, 0.5) else _uniform(dice, 1.0, high)
    return Blur(kind, size, sigma_x, sigma_y, rotation, beta)


def _draw_resize(dice: np.random.Generator, stage: StageRanges, ranges: SecondOrderRanges) -> Resize | None:
    if _chance(dice, stage.skip_resize):
        return None
    direction = _pick(dice, stage.resize_prob)
    low, high = ((1.0, stage.resize_range[1]), (stage.resize_range[0], 1.0), (1.0, 1.0))[direction]
    return Resize(_uniform(dice, low, high), _mode(dice, ranges))


def _draw_noise(dice: np.random.Generator, stage: StageRanges) -> Noise | None:
    if _chance(dice, stage.skip_noise):
        return None
    gaussian = _chance(dice, stage.gaussian_noise_prob)
    level = _uniform(dice, *(stage.noise_range if gaussian else stage.poisson_scale_range))
    return Noise("gaussian" if gaussian else "poisson", level, gray=_chance(dice, stage.gray_noise_prob))


def _draw_jpeg(dice: np.random.Generator, stage: StageRanges) -> int | None:
    if _chance(dice, stage.skip_jpeg):
        return None
    return int(dice.integers(stage.jpeg_range[0], stage.jpeg_range[1] + 1))


def _draw_final_sinc(dice: np.random.Generator, ranges: SecondOrderRanges) -> Blur | None:
    if not _chance(dice, ranges.final_sinc_prob):
        return None
    size = ranges.kernel_sizes[int(dice.integers(len(ranges.kernel_sizes)))]
    return Blur("sinc", size, cutoff=_uniform(dice, np.pi / 3, np.pi))


def _uniform(dice: np.random.Generator, low: float, high: float) -> float:
    return float(low + (high - low) * dice.random())


def _chance(dice: np.random.Generator, probability: float) -> bool:
    return bool(dice.random() < probability)


def _pick(dice: np.random.Generator, shares: Sequence[float]) -> int:
    below = int(np.searchsorted(np.cumsum(shares), dice.random(), side="right"))
    return min(below, len(shares) - 1)  # rounding may leave the shares' sum a hair under 1


def _mode(dice: np.random.Generator, ranges: SecondOrderRanges) -> Mode:
    return ranges.resize_modes[int(dice.integers(len(ranges.resize_modes)))]


# ---- applying ----


def apply(hr: npt.NDArray[np.uint8], theta: SecondOrder, *, scale: int, noise_seed: int) -> npt.NDArray[np.uint8]:
    """Degrade `hr` (uint8 [H, W, 3] RGB) to uint8 [H/scale, W/scale, 3] RGB by `theta`.

    The same arguments give the same bytes; `noise_seed` (>= 0) matters only where theta has noise. Raises
    DegradeError if H or W is not a multiple of `scale` (crop first, at the top left) or the array is not
    such an image.
    """
    height, width = _check(hr, scale, noise_seed)
    dice = np.random.Generator(np.random.SFC64(noise_seed))
    image = cv2.cvtColor(hr, cv2.COLOR_RGB2BGR).astype(np.float32)

    image = _blur(image, theta.blur1)
    if theta.resize1:
        factor = theta.resize1.factor
        image = _resize(image, int(height * factor), int(width * factor), theta.resize1.mode)
    image = _add_noise(image, theta.noise1, dice)
    image = _jpeg(image, theta.jpeg1)

    image = _blur(image, theta.blur2)
    if theta.resize2:
        factor = theta.resize2.factor
        image = _resize(image, int(height / scale * factor), int(width / scale * factor), theta.resize2.mode)
    image = _add_noise(image, theta.noise2, dice)

    if not theta.jpeg_last:
        image = _jpeg(image, theta.jpeg2)
    image = _resize(image, height // scale, width // scale, theta.final_mode)
    image = _blur(image, theta.final_sinc)
    if theta.jpeg_last:
        image = _jpeg(image, theta.jpeg2)
    return np.asarray(cv2.cvtColor(_to_bytes(image), cv2.COLOR_BGR2RGB))


@lru_cache(maxsize=256)
def kernel_of(blur: Blur) -> kernels.Kernel:
    """The kernel, float32 [size, size], that `blur` describes. Do not write into it: it is cached."""
    if blur.kind == "sinc":
        return kernels.sinc(blur.size, blur.cutoff)
    shape = kernels.plateau if blur.kind.startswith("plateau") else kernels.gaussian
    return shape(blur.size, blur.sigma_x, blur.sigma_y, blur.rotation, blur.beta)


@lru_cache(maxsize=256)
def _separable(blur: Blur) -> tuple[tuple[kernels.Kernel, kernels.Kernel], ...]:
    """What `kernels.products` says of the kernel, with so many products as are quicker than the kernel."""
    return kernels.products(kernel_of(blur), most=2 if blur.size < 13 else 8)


def _blur(image: _Floats, blur: Blur | None) -> _Floats:
    if blur is None:
        return image
    small = image.shape[0] * image.shape[1] < 200 * 200  # where only a single product is quicker
    terms = () if small and blur.kind != "iso" else _separable(blur)
    if not terms:
        return np.asarray(cv2.filter2D(image, -1, kernel_of(blur), borderType=cv2.BORDER_REFLECT_101))
    blurred = np.zeros_like(image)
    for row, column in terms:
        blurred += np.asarray(cv2.sepFilter2D(image, -1, row, column, borderType=cv2.BORDER_REFLECT_101), np.float32)
    return blurred


def _resize(image: _Floats, height: int, width: int, mode: Mode) -> _Floats:
    height, width = max(height, 1), max(width, 1)
    if image.shape[:2] == (height, width):
        return image
    if mode == "antialias":  # Pillow's bicubic, a = -0.5, widened when it shrinks
        planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(3)]
        small = [np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC)) for plane in planes]
        return np.stack(small, axis=-1)
    return np.asarray(cv2.resize(image, (width, height), interpolation=_INTERPOLATION[mode]))


def _add_noise(image: _Floats, noise: Noise | None, dice: np.random.Generator) -> _Floats:
    if noise is None or noise.level == 0.0:
        return image
    if noise.kind == "gaussian":
        shape = (*image.shape[:2], 1) if noise.gray else image.shape
        added = dice.standard_normal(shape, dtype=np.float32)
    else:
        added = _shot_noise(_grey(image) if noise.gray else image, dice)
    added *= np.float32(noise.level)
    noisy = image + added
    return np.clip(noisy, 0.0, 255.0, out=noisy)


def _grey(image: _Floats) -> _Floats:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)[..., None]


def _shot_noise(image: _Floats, dice: np.random.Generator) -> _Floats:
    """Poisson(image) - image in grey levels, where white counts 2^ceil(log2(distinct levels)) photons, as
    published."""
    levels = _to_bytes(image)
    distinct = np.count_nonzero(cv2.calcHist([levels.reshape(-1, 1)], [0], None, [256], [0, 256]))
    photons = 2.0 ** np.ceil(np.log2(distinct))
    counts = _poisson(levels * np.float32(photons / 255.0), dice)
    counts *= np.float32(255.0 / photons)
    counts -= levels
    return counts


def _poisson(rate: _Floats, dice: np.random.Generator) -> _Floats:
    """Poisson counts as float32: exact below a rate of 8, above it rint(rate + sqrt(rate) z + (z^2 - 1) / 6).

    The last term is the Cornish-Fisher correction for the skew. From rate 8 up, mean and third moment are the
    Poisson law's to a percent and the variance to two (rounding adds 1/12): no later stage could tell.
    """
    z = dice.standard_normal(rate.shape, dtype=np.float32)
    counts = np.sqrt(rate)
    counts *= z
    counts += rate
    z *= z
    z -= 1.0
    z *= np.float32(1.0 / 6.0)
    counts += z
    np.rint(counts, out=counts)
    dim = rate < 8.0
    counts[dim] = dice.poisson(rate[dim])
    return np.maximum(counts, 0.0, out=counts)


def _jpeg(image: _Floats, quality: int | None) -> _Floats:
    if quality is None:
        return image
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
               cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]  # fmt: skip
    _, code = cv2.imencode(".jpg", _to_bytes(image), options)
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR)).astype(np.float32)


def _to_bytes(image: _Floats) -> npt.NDArray[np.uint8]:
    rounded = np.rint(image)
    return np.clip(rounded, 0.0, 255.0, out=rounded).astype(np.uint8)


def _check(hr: npt.NDArray[Any], scale: int, noise_seed: int) -> tuple[int, int]:
    if hr.dtype != np.uint8 or hr.ndim != 3 or hr.shape[2] != 3:
        raise DegradeError(f"The image to degrade is {hr.dtype} {list(hr.shape)}", wanted="uint8 [H, W, 3]")
    if noise_seed < 0:
        raise DegradeError(f"The noise seed is {noise_seed}", wanted="0 or more")
    height, width = hr.shape[:2]
    if scale < 1 or height % scale or width % scale or not hr.size:
        raise DegradeError(
            f"An image of {height} x {width} pixels cannot be reduced {scale} times",
            wanted=f"height and width that are multiples of {scale}",
            mend="crop it at the top left first",
        )
    return height, width
