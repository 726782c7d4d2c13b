"""What a camera's firmware does to a picture, in display values: denoising, sharpening, JPEG, and a messenger's second
resize and JPEG.

Luma and chroma are denoised apart, chroma more (the eye sees colour coarsely): luma by a bilateral filter, of whose
work a share is taken back, as makers keep some grain; chroma by a Gaussian or a bilateral filter. Sharpening is an
unsharp mask on luma that leaves alone what is below a threshold; it overshoots at edges, and nothing takes that back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ..errors import DegradeError
from .operations import Floats, to_bytes

Sampling = Literal["444", "422", "420"]
_FACTORS = {"444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
            "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420}  # fmt: skip


@dataclass(frozen=True)
class Denoise:
    """Ranges of the bilateral filters are in units of the noise's level, to which one grey level is added."""

    luma: float  # range; 0 leaves luma alone
    luma_sigma: float  # LR pixels
    grain: float  # 0..1: the share of what was taken away that comes back
    chroma: float  # range; 0: a Gaussian
    chroma_sigma: float  # LR pixels; 0 leaves chroma alone


@dataclass(frozen=True)
class Sharpening:
    """Unsharp mask on luma."""

    amount: float
    radius: float  # sigma, LR pixels
    threshold: float  # grey levels, taken off the mask


@dataclass(frozen=True)
class Codec:
    """JPEG with the tables of its standard's Annex K, scaled by libjpeg's qualities, 1..100."""

    quality: int
    chroma_quality: int
    sampling: Sampling

    def __post_init__(self) -> None:
        if not (1 <= self.quality <= 100 and 1 <= self.chroma_quality <= 100):
            fact = f"A camera's JPEG qualities are {self.quality} and {self.chroma_quality}"
            raise DegradeError(fact, wanted="1 to 100")


@dataclass(frozen=True)
class Messenger:
    """The camera's own file was `factor` times larger; it was made smaller and compressed once more."""

    factor: float
    codec: Codec


def develop(image: Floats, denoise: Denoise | None, sharpening: Sharpening | None, level: float) -> Floats:
    """Denoised and sharpened. level: of the noise at middle grey, grey levels, whether or not the image holds it."""
    if denoise is None and sharpening is None:
        return image
    luma, cr, cb = (np.asarray(p, np.float32) for p in cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)))
    if denoise is not None:
        luma = _denoised_luma(luma, denoise, level)
        cr, cb = (_denoised_chroma(plane, denoise, level) for plane in (cr, cb))
    if sharpening is not None:
        mask = cv2.subtract(luma, cv2.GaussianBlur(luma, (0, 0), sharpening.radius))
        if sharpening.threshold > 0:
            inside = np.clip(mask, -sharpening.threshold, sharpening.threshold)
            mask = cv2.subtract(mask, inside)
        luma = np.asarray(cv2.scaleAdd(mask, sharpening.amount, luma), np.float32)
    return np.asarray(cv2.cvtColor(cv2.merge((luma, cr, cb)), cv2.COLOR_YCrCb2BGR))


def _denoised_luma(luma: Floats, theta: Denoise, level: float) -> Floats:
    if theta.luma <= 0:
        return luma
    smooth = _bilateral(luma, theta.luma * (level + 1), theta.luma_sigma)
    return np.asarray(cv2.addWeighted(smooth, 1 - theta.grain, luma, theta.grain, 0))


def _denoised_chroma(plane: Floats, theta: Denoise, level: float) -> Floats:
    if theta.chroma_sigma <= 0:
        return plane
    if theta.chroma <= 0:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), theta.chroma_sigma))
    return _bilateral(plane, theta.chroma * (level + 1), theta.chroma_sigma)


def _bilateral(plane: Floats, reach: float, sigma: float) -> Floats:
    size = 2 * max(1, round(2 * sigma)) + 1
    return np.asarray(cv2.bilateralFilter(plane, size, reach, sigma, borderType=cv2.BORDER_REFLECT_101))


def compress(image: Floats, codec: Codec, grid: tuple[int, int]) -> Floats:
    """Through JPEG. grid: row and column within a JPEG block, 0..15, on which the image begins: a crop of a
    photograph begins anywhere."""
    top, left = grid
    height, width = image.shape[:2]
    wide = cv2.copyMakeBorder(to_bytes(image), top, 0, left, 0, cv2.BORDER_REFLECT_101)
    options = [cv2.IMWRITE_JPEG_QUALITY, codec.quality, cv2.IMWRITE_JPEG_LUMA_QUALITY, codec.quality,
               cv2.IMWRITE_JPEG_CHROMA_QUALITY, codec.chroma_quality,
               cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _FACTORS[codec.sampling]]  # fmt: skip
    _, code = cv2.imencode(".jpg", wide, options)
    read = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(read[top : top + height, left : left + width]).astype(np.float32)


def send(image: Floats, messenger: Messenger, codec: Codec | None, grid: tuple[int, int]) -> Floats:
    """The camera's file made smaller by a messenger, and its JPEG. codec: the camera's own; grid as of `compress`."""
    height, width = image.shape[:2]
    larger = (round(width * messenger.factor), round(height * messenger.factor))
    file = np.asarray(cv2.resize(image, larger, interpolation=cv2.INTER_CUBIC), np.float32)
    if codec is not None:
        file = compress(file, codec, grid)
    small = np.asarray(cv2.resize(file, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    return compress(small, messenger.codec, grid)
