"""Image files in and out. Whatever comes in leaves as uint8 [H, W, 3] sRGB, upright: nothing is left to trainers.

`files.py` opens a file and says what is wrong with it, `colours.py` brings pixels to sRGB, `reading.py` is both
together, `proof.py` tells a damaged file from a machine without memory, `encoding.py` writes.
"""

from __future__ import annotations

import logging

import pyvips

from ..errors import BadImage
from .encoding import FORMATS, PNG_LEVEL, WEBP_EFFORT, Format, encode, encode_png, encode_webp
from .files import EXTENSIONS, PIXEL_LIMIT, Encoded, File
from .reading import Alpha, Pixels, read_rgb, read_size, resize_bicubic

__all__ = [
    "EXTENSIONS", "FORMATS", "PIXEL_LIMIT", "PNG_LEVEL", "WEBP_EFFORT", "Alpha", "BadImage", "Encoded", "File",
    "Format", "Pixels", "encode", "encode_png", "encode_webp", "read_rgb", "read_size", "resize_bicubic",
]  # fmt: skip

# libvips keeps results by file name, so an overwritten file would read as before; its threads would compete
# with the caller's, who decodes many images at once; its log would go to stderr though every fault is raised.
pyvips.cache_set_max(0)
pyvips.concurrency_set(1)
logging.getLogger("pyvips").addHandler(logging.NullHandler())
