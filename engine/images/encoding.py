"""Pixels as the bytes of an image file that any trainer decodes; the same pixels give the same bytes."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pyvips

from ...kernels import loader, png
from ..errors import DegradeError
from ..faults import no_memory
from .reading import Pixels

Format = Literal["png", "webp"]
FORMATS: tuple[Format, ...] = get_args(Format)
Fast = Literal["fast"]
PngLevel = Fast | int  # a PNG's: our own writer, or zlib's level, 0 to 9

FAST: Fast = "fast"
ZLIB_LEVEL = 2  # where it is zlib
WEBP_EFFORT = 0  # of 0 to 6: bench/results/formats.jsonl has what the others gain and cost
WEBP_LONGEST = 16383  # pixels of a side


def usual_level() -> PngLevel:
    """How new PNGs are written on this machine: fast, but where our writer is not compiled."""
    return FAST if loader.available() else ZLIB_LEVEL


def encode_png(image: Pixels, level: PngLevel = FAST) -> bytes:
    """uint8 [H, W, 3] RGB as a PNG without profile, EXIF or text; the same pixels give the same bytes.

    "fast" is our own writer (`kernels/png.hpp`), whose bytes are the same on every machine; where it is not compiled,
    its numpy twin writes them, slowly. A number is a level of zlib, by libvips with the filter "sub".
    bench/results/formats.jsonl has what each takes.
    """
    if level == FAST:
        _check(image)
        if image.shape[0] * image.shape[1] > png.MOST_PIXELS:
            raise DegradeError(f"The image to encode is {image.shape[1]} x {image.shape[0]}",
                               wanted=f"at most {png.MOST_PIXELS} pixels", mend="--png-level 2")  # fmt: skip
        return png.encode(image)
    return bytes(_frame(image).pngsave_buffer(compression=level, filter="sub", keep="none"))


def encode_webp(image: Pixels, effort: int = WEBP_EFFORT) -> bytes:
    """uint8 [H, W, 3] RGB, at most 16383 a side, as a lossless WebP of nothing but pixels; the same pixels give the
    same bytes. effort: libwebp's, 0 to 6.
    """
    if max(image.shape[:2]) > WEBP_LONGEST:
        fact = f"The image to encode is {image.shape[1]} x {image.shape[0]}"
        raise DegradeError(fact, wanted=f"at most {WEBP_LONGEST} pixels per side, or PNG")
    return bytes(_frame(image).webpsave_buffer(lossless=True, effort=effort, Q=25, keep="none"))


def encode(image: Pixels, file_format: Format, png_level: PngLevel = FAST) -> bytes:
    """As one of both. Raises MachineFault where there is no memory for it."""
    try:
        return encode_webp(image) if file_format == "webp" else encode_png(image, png_level)
    except pyvips.Error as error:
        raise no_memory(error) from error


def _check(image: Pixels) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DegradeError(f"The image to encode is {image.dtype} {list(image.shape)}", wanted="uint8 [H, W, 3]")


def _frame(image: Pixels) -> Any:
    _check(image)
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).data
    return pyvips.Image.new_from_memory(data, width, height, 3, "uchar").copy(interpretation="srgb")
