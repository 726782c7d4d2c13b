"""The upright size of a JPEG or PNG out of its first bytes, in a few microseconds.

Opening a file with libvips takes some hundred: half a minute for 100,000 files. So the two kinds that nearly every
corpus is made of are read here as far as there is nothing unusual about them; whatever is (another marker order, 12
bits, EXIF or HDR in a PNG, a header that is not whole) is left to libvips, whose word counts (`images.read_size`).
Sources: ITU-T T.81 annex B (JPEG), EXIF 2.32 section 4.6 (orientation), PNG third edition section 5.
"""

from __future__ import annotations

import struct
import zlib

Size = tuple[int, int]  # height, width in pixels

_SOF = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive: Huffman-coded
_PASSED = frozenset([0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)])  # tables, restart interval, comment, APPn
_PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type


def size_of(head: bytes) -> Size | None:
    """(height, width) after EXIF rotation; None where libvips has to look."""
    try:
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg(head)
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(head)
    except (IndexError, struct.error):  # the header goes on after these bytes
        pass
    return None


def _jpeg(head: bytes) -> Size | None:
    """Segment by segment to the start of the scan; EXIF may come before and after the frame header."""
    at, size, orientation = 2, None, None
    while True:
        sign, marker, length = struct.unpack_from(">BBH", head, at)
        if sign != 0xFF:
            return None
        if marker == 0xDA:
            break
        if marker in _SOF:
            bits, height, width, channels = struct.unpack_from(">BHHB", head, at + 4)
            if size or bits != 8 or channels not in (1, 3, 4) or not height or not width:
                return None
            size = height, width
        elif marker not in _PASSED:
            return None
        elif marker == 0xE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            if orientation is not None or at + 2 + length > len(head):
                return None
            orientation = _orientation(head[at + 10 : at + 2 + length])
            if orientation is None:
                return None
        at += 2 + length
    if size and orientation is not None and 5 <= orientation <= 8:
        return size[1], size[0]
    return size


def _orientation(exif: bytes) -> int | None:
    """Of a TIFF block's first directory; 1 where it names none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    (first,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, first)
    for entry in range(count):
        tag, kind, values, value = struct.unpack_from(order + "HHIH", exif, first + 2 + 12 * entry)
        if tag == 0x0112:
            return int(value) if (kind, values) == (3, 1) else None
    return 1


def _png(head: bytes) -> Size | None:
    """Chunk by chunk to the first pixels: EXIF, which may come as text, is rare and left to libvips."""
    length, kind, width, height, bits, colour, *methods = struct.unpack_from(">I4sIIBBBBB", head, 8)
    (crc,) = struct.unpack_from(">I", head, 29)
    if kind != b"IHDR" or length != 13 or crc != zlib.crc32(head[12:29]) or not width or not height:
        return None
    if bits not in _PNG_BITS.get(colour, ()) or methods[:2] != [0, 0] or methods[2] > 1:
        return None
    at = 33
    while True:
        length, kind = struct.unpack_from(">I4s", head, at)
        if kind == b"IDAT":
            return height, width
        text = kind in (b"tEXt", b"zTXt", b"iTXt") and b"Raw profile" in head[at + 8 : at + 32]
        if text or kind in (b"eXIf", b"cICP"):
            return None
        at += 12 + length
