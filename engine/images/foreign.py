"""Kinds that libvips does not decode here: BMP by Pillow itself, HEIC and JPEG XL by packages of their own extras.

Each opens as Pillow's image, and is handed on as libvips's, with profile, EXIF and orientation as libvips has them.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyvips
from PIL import Image

from .boxes import walk
from .kinds import FileKind

Size = tuple[int, int]  # height, width in pixels, upright


ERRORS = (OSError, SyntaxError, ValueError, RuntimeError, EOFError)  # what these decoders raise for damage


def size(kind: FileKind, data: bytes) -> Size:
    """By the header."""
    if kind.word == "jxl":
        height, width, orientation = _jxl_header(data)
        return (width, height) if orientation >= 5 else (height, width)
    image = _opened(kind, data)
    return image.height, image.width


def decoded(kind: FileKind, data: bytes) -> Any:
    """libvips's image, in memory."""
    image = _opened(kind, data)
    deep = image.mode == "I;16"
    mode = "RGBA" if image.has_transparency_data else "L" if image.mode == "L" else "RGB"
    pixels = np.asarray(image if deep or image.mode == mode else image.convert(mode))
    height, width, bands = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
    made = pyvips.Image.new_from_memory(pixels, width, height, bands, "ushort" if deep else "uchar")
    made = made.copy(interpretation=("grey16" if deep else "b-w") if bands == 1 else "srgb")
    for name, key in (("icc-profile-data", "icc_profile"), ("exif-data", "exif")):
        if image.info.get(key):
            made.set_type(pyvips.GValue.blob_type, name, image.info[key])
    if kind.word == "jxl" and image.jpeg:  # a JPEG packed anew, which the package unpacks as it lies
        made.set_type(pyvips.GValue.gint_type, "orientation", _jxl_header(data)[2])
    return made


def _opened(kind: FileKind, data: bytes) -> Any:
    """Pillow's image. A HEIC is upright then, whatever its EXIF says."""
    file = io.BytesIO(data)
    if kind.word == "heic":
        from pillow_heif import HeifImageFile

        return HeifImageFile(file)
    if kind.word == "jxl":
        from pillow_jxl.JpegXLImagePlugin import JXLImageFile

        return JXLImageFile(file)
    return Image.open(file, formats=("BMP",))


def _jxl_header(data: bytes) -> tuple[int, int, int]:
    """Stored height and width, and the orientation (ISO/IEC 18181-1, D.2 and D.3). The package decodes a whole image
    before it says how large that is."""
    if data[4:8] == b"JXL ":
        boxes = dict(reversed(list(walk(data))))  # the first of each kind
        data = boxes.get(b"jxlc") or boxes.get(b"jxlp", b"")[4:]
    bits = int.from_bytes(data[2:32], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def length(small: int) -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height = length(small)
    ratio = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    width = height * ratio[0] // ratio[1] if ratio[0] else length(small)
    plain = take(1)
    return height, width, 1 + take(3) if not plain and take(1) else 1
