"""A file's pixels as uint8 [H, W, 3] sRGB, upright, without transparency."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import Image

from ..errors import BadImage
from .colours import to_srgb
from .files import PIXEL_LIMIT, Encoded, File, damaged, fetched, kind_of, open_bmp, open_vips
from .proof import proven

Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB, sRGB
Alpha = Literal["white", "refuse"]


def read_size(file: File | str, *, pixel_limit: int = PIXEL_LIMIT) -> tuple[int, int]:
    """(height, width) in pixels after EXIF rotation, from the header alone. Raises BadImage, MachineFault."""
    whole = fetched(file)
    return proven(whole, lambda: _size(whole, pixel_limit))


def _size(path: Encoded, pixel_limit: int) -> tuple[int, int]:
    if kind_of(path) == "bmp":
        width, height = open_bmp(path, pixel_limit).size
        return height, width
    image = open_vips(path, pixel_limit)
    return (image.width, image.height) if _orientation(image) >= 5 else (image.height, image.width)


def read_rgb(
    file: File | str, *, alpha: Alpha = "white", pixel_limit: int = PIXEL_LIMIT
) -> Pixels:
    """The first frame, uint8 [H, W, 3] sRGB, C-contiguous. Raises BadImage for what its bytes are, MachineFault where
    they could not be read or decoded here.

    EXIF orientation is applied. An embedded ICC profile is transformed to sRGB (relative colorimetric with
    black point compensation), unless it is sRGB already, which is left bit for bit; a profile that is
    broken or of another number of channels is ignored, as viewers do. CMYK without a profile is read as
    generic press CMYK. 16 bits become 8 by rint(v * 255 / 65535). Gray becomes three equal channels.
    Transparency is laid over white or, with alpha="refuse", refused unless the image is opaque throughout.
    """
    whole = fetched(file)
    return proven(whole, lambda: _pixels(whole, alpha, pixel_limit))


def _pixels(path: Encoded, alpha: Alpha, pixel_limit: int) -> Pixels:
    if kind_of(path) == "bmp":
        return _over_white(_bmp_pixels(path, pixel_limit), path, alpha)
    image = open_vips(path, pixel_limit)
    orientation = _orientation(image)
    if image.format not in ("uchar", "ushort"):
        raise BadImage(
            "unsupported", f"{path.name} holds {image.format} values", wanted="8 or 16 bits a channel"
        )
    try:
        pixels = to_srgb(image)
    except pyvips.Error as error:
        raise damaged(path) from error
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return _turned(_over_white(pixels, path, alpha), orientation)


def resize_bicubic(image: Pixels, size: tuple[int, int]) -> Pixels:
    """uint8 [H, W, 3] to [*size, 3] (height, width): antialiased bicubic, a = -0.5, which is Pillow's
    BICUBIC."""
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _orientation(image: Any) -> int:
    value = int(image.get("orientation")) if image.get_typeof("orientation") else 1
    return value if 1 <= value <= 8 else 1


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """EXIF 2.32, tag 0x0112: what must be done to the stored pixels so that they stand upright."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _over_white(pixels: Pixels, path: Encoded, alpha: str) -> Pixels:
    if pixels.shape[2] == 3:
        return pixels
    opacity = pixels[..., 3:].astype(np.uint32)
    colours = pixels[..., :3]
    if opacity.min() == 255:
        return np.ascontiguousarray(colours)
    if alpha == "refuse":
        raise BadImage(
            "alpha", f"{path.name} is partly transparent", mend="flatten it, or allow white behind it"
        )
    return ((colours * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def _bmp_pixels(path: Encoded, pixel_limit: int) -> Pixels:
    try:
        image = open_bmp(path, pixel_limit)
        return np.asarray(image.convert("RGBA" if image.mode == "RGBA" else "RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise BadImage("truncated", f"{path.name} ends before its pixels do") from error
