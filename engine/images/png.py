"""The usual PNG, 8-bit RGB, by libdeflate and our own kernel: the same pixels as by libvips in half the time."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from ...kernels import loader, png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB8 = bytes([8, 2, 0, 0, 0])  # bits, colours, deflate, filters, not interlaced


def sound(data: bytes) -> NDArray[np.uint8] | None:
    """uint8 [H, W, 3] as stored, of an 8-bit RGB PNG whose checksums are all right; None of any other, whether damaged
    or not, and where nothing is compiled or libdeflate is not installed.
    """
    if not loader.available() or find_spec("deflate") is None or data[24:29] != RGB8:
        return None
    import deflate

    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    packed = _packed(data)
    if packed is None:
        return None
    try:
        rows = deflate.zlib_decompress(packed, height * (1 + 3 * width))
    except (deflate.DeflateError, ValueError):
        return None
    return png.unfiltered(rows, height, width) if len(rows) == height * (1 + 3 * width) else None


def _packed(data: bytes) -> bytes | None:
    """What all IDAT hold; None where a checksum is wrong, or a chunk stands there that may mean something."""
    import deflate

    at, parts = 8, list[bytes]()
    if data[:8] != SIGNATURE:
        return None
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if data[end : end + 4] != deflate.crc32(data[at + 4 : end]).to_bytes(4, "big"):
            return None
        if kind == b"IEND":
            return b"".join(parts)
        if kind == b"IDAT":
            parts.append(data[at + 8 : end])
        elif kind == b"tRNS" or (kind[:1].isupper() and kind != b"IHDR"):
            return None
        at = end + 4
    return None
