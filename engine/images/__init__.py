"""Image files in and out. Whatever comes in leaves as uint8 [H, W, 3] sRGB, upright: nothing is left to trainers.

`kinds.py` is the table of kinds, `files.py` opens a file and says what is wrong with it, `holes.py` finds damage that
decoders read over, `colours.py` brings pixels to sRGB, `reading.py` is all together, `proof.py` tells a damaged file
from a machine without memory, `encoding.py` writes.
"""

from __future__ import annotations

import pyvips

from ..errors import BadImage
from .encoding import (
    FAST,
    FORMATS,
    WEBP_EFFORT,
    ZLIB_LEVEL,
    Format,
    PngLevel,
    encode,
    encode_png,
    encode_webp,
    usual_level,
)
from .files import BYTES_A_PIXEL, PIXEL_LIMIT, Encoded, File
from .kinds import ENDINGS, kind_of, photographs_in, readable_endings
from .reading import Alpha, Pixels, read_rgb, read_size, resize_bicubic

__all__ = [
    "BYTES_A_PIXEL", "ENDINGS", "FAST", "FORMATS", "PIXEL_LIMIT", "WEBP_EFFORT", "ZLIB_LEVEL", "Alpha", "BadImage",
    "Encoded", "File", "Format", "Pixels", "PngLevel", "encode", "encode_png", "encode_webp", "kind_of",
    "photographs_in", "read_rgb", "read_size", "readable_endings", "resize_bicubic", "usual_level",
]  # fmt: skip

# libvips keeps results by file name, so an overwritten file would read as before; its threads would compete with the
# caller's, who decodes many images at once. Loaders are called by name; the last line shuts the others' doors besides.
pyvips.cache_set_max(0)
pyvips.concurrency_set(1)
pyvips.block_untrusted_set(True)


def _silence() -> None:
    """libvips's log goes nowhere: every fault is raised, or found in the bytes.

    Not to Python's logging, as pyvips has it: while Python handles one message it may drop another image, which says
    its own then, and GLib ends the process over a message within a message. So a function of libvips that takes nothing
    and does nothing stands for the handler.
    """
    name = "vips_cache_get_max"
    nothing = pyvips.ffi.addressof(pyvips.vips_lib, name) if pyvips.API_mode else getattr(pyvips.vips_lib, name)
    every_level = 0xFF
    pyvips.glib_lib.g_log_set_handler(b"VIPS", every_level, pyvips.ffi.cast("GLogFunc", nothing), pyvips.ffi.NULL)


_silence()
