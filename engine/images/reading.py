"""A file's pixels as uint8 [H, W, 3] sRGB, upright, without transparency."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import Image

from ...kernels import loader, resize
from ..errors import BadImage
from . import holes, jpeg, png
from .colours import as_stored, to_srgb
from .files import PIXEL_LIMIT, Encoded, File, damaged, fetched, opened, orientation, size_of, stored
from .kinds import kind_of
from .proof import proven

Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB, sRGB
Alpha = Literal["white", "refuse"]
STRIP = 64  # rows that are blended at a time


def read_size(file: File | str, *, pixel_limit: int = PIXEL_LIMIT) -> tuple[int, int]:
    """(height, width) in pixels after EXIF rotation, from the header alone. Raises BadImage, MachineFault."""
    whole = fetched(file)
    return proven(whole.name, lambda: size_of(whole, pixel_limit), lambda: stored(whole))


def read_rgb(file: File | str, *, alpha: Alpha = "white", pixel_limit: int = PIXEL_LIMIT) -> Pixels:
    """The first frame, uint8 [H, W, 3] sRGB, C-contiguous. Raises BadImage for what its bytes are, MachineFault where
    they could not be read or decoded here.

    EXIF orientation is applied. An embedded ICC profile is transformed to sRGB (relative colorimetric with
    black point compensation), unless it is sRGB already, which is left bit for bit; a profile that is
    broken or of another number of channels is ignored, as viewers do. Without one, colours that the file says by
    numbers (CICP, of AVIF, HEIC and PNG, where they come before the profile) or by EXIF (Adobe RGB) are brought to
    sRGB too; PQ and HLG are refused. CMYK without a profile is read as generic press CMYK. 16 bits become 8 by
    rint(v * 255 / 65535). Gray becomes three equal channels. Transparency is laid over white or, with
    alpha="refuse", refused unless the image is opaque throughout; a TIFF's channels of unspecified kind are none.
    """
    whole = fetched(file)
    return proven(whole.name, lambda: _pixels(whole, alpha, pixel_limit), lambda: stored(whole))


def _pixels(whole: Encoded, alpha: Alpha, pixel_limit: int) -> Pixels:
    image = opened(whole, pixel_limit)
    upright = orientation(image)
    try:
        pixels = _sound(whole, image)
        looked_through = pixels is not None
        if pixels is None:
            pixels = to_srgb(image)
    except pyvips.Error as error:
        raise damaged(whole) from error
    if not looked_through and holes.has_hole(kind_of(whole.name, whole.data), whole.data):
        raise BadImage("corrupt", f"{whole.name} lacks a part of its picture", mend="fetch the file again")
    return _turned(_over_white(pixels, whole, alpha), upright)


def _sound(whole: Encoded, image: Any) -> Pixels | None:
    """The pixels of most JPEGs and PNGs: decoded and looked through for damage at once, in half the time that libvips
    takes; None of what it has to see."""
    kind = kind_of(whole.name, whole.data).word
    if kind not in ("jpeg", "png") or not as_stored(image):
        return None
    pixels = jpeg.sound(whole.data) if kind == "jpeg" else png.sound(whole.data)
    return pixels if pixels is not None and pixels.shape == (image.height, image.width, 3) else None


def resize_bicubic(image: Pixels, size: tuple[int, int]) -> Pixels:
    """uint8 [H, W, 3] to [*size, 3] (height, width): antialiased bicubic, a = -0.5, which is Pillow's
    BICUBIC. Squares by our own kernel, to the same bytes; of others Pillow decides which side comes first."""
    height, width = size
    if height == width and image.shape[0] == image.shape[1] and loader.available():
        return resize.bicubic(image, size)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """EXIF 2.32, tag 0x0112: what must be done to the stored pixels so that they stand upright."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _over_white(pixels: Pixels, file: Encoded, alpha: Alpha) -> Pixels:
    if pixels.shape[2] == 3:
        return pixels
    if pixels[..., 3].min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    if alpha == "refuse":
        raise BadImage("alpha", f"{file.name} is partly transparent", mend="flatten it, or allow white behind it")
    flat = np.empty((*pixels.shape[:2], 3), np.uint8)
    for top in range(0, len(pixels), STRIP):
        strip = pixels[top : top + STRIP].astype(np.uint16)  # 255 * 255 + 127 fits
        colours, opacity = strip[..., :3], strip[..., 3:]
        flat[top : top + STRIP] = (colours * opacity + 255 * (255 - opacity) + 127) // 255
    return flat
