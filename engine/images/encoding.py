"""Pixels as the bytes of an image file that any trainer decodes; the same pixels give the same bytes."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pyvips

from ..errors import DegradeError
from ..faults import no_memory
from .reading import Pixels

Format = Literal["png", "webp"]
FORMATS: tuple[Format, ...] = get_args(Format)

PNG_LEVEL = 2
WEBP_EFFORT = 0  # of 0 to 6: bench/results/formats.jsonl has what the others gain and cost
WEBP_LONGEST = 16383  # pixels of a side


def encode_png(image: Pixels, level: int = PNG_LEVEL) -> bytes:
    """uint8 [H, W, 3] RGB as a PNG without profile, EXIF or text; the same pixels give the same bytes.

    libvips with the "sub" filter at level 2. Measured on twelve photographs of 512 x 512, one thread, best of
    seven, ms a megapixel and size over raw: libvips level 1: 22, 0.72; 2: 36, 0.54; 3: 36, 0.53; OpenCV (sub)
    level 1: 37, 0.55; 2: 41, 0.55; 3: 64, 0.54; Pillow level 1: 81, 0.52. OpenCV's level 1 is close behind;
    libvips also has a much faster level 1, for runs that are bound by writing.
    """
    return bytes(_frame(image).pngsave_buffer(compression=level, filter="sub", keep="none"))


def encode_webp(image: Pixels, effort: int = WEBP_EFFORT) -> bytes:
    """uint8 [H, W, 3] RGB, at most 16383 a side, as a lossless WebP of nothing but pixels; the same pixels give the
    same bytes. effort: libwebp's, 0 to 6.
    """
    if max(image.shape[:2]) > WEBP_LONGEST:
        fact = f"The image to encode is {image.shape[1]} x {image.shape[0]}"
        raise DegradeError(fact, wanted=f"at most {WEBP_LONGEST} pixels per side, or PNG")
    return bytes(_frame(image).webpsave_buffer(lossless=True, effort=effort, Q=25, keep="none"))


def encode(image: Pixels, file_format: Format, png_level: int = PNG_LEVEL) -> bytes:
    """As one of both. Raises MachineFault where there is no memory for it."""
    try:
        return encode_webp(image) if file_format == "webp" else encode_png(image, png_level)
    except pyvips.Error as error:
        raise no_memory(error) from error


def _frame(image: Pixels) -> Any:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DegradeError(f"The image to encode is {image.dtype} {list(image.shape)}", wanted="uint8 [H, W, 3]")
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).data
    return pyvips.Image.new_from_memory(data, width, height, 3, "uchar").copy(interpretation="srgb")
