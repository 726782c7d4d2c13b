"""Holes in files whose decoders go on over them: zeros where codes never have so many (a download in parts, a sector).

PNG has checksums; what reads AVIF and JPEG XL stops at damage; JPEG is `jpeg.py`. Not seen is a hole in a lossy WebP,
whose coder writes zeros for what is flat, in a TIFF of fax pages, and in pixels that are stored as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from . import boxes, jpeg, tiff
from .kinds import FileKind

ZEROS = 64  # bytes; lossless WebP and GIF were seen with at most 4, flat pictures included
CHUNK = 2**20  # bytes that are unpacked at a time


def has_hole(kind: FileKind, data: bytes) -> bool:
    """Whether a part of the picture is lost, of a file that decodes."""
    if kind.word == "jpeg":
        return jpeg.is_damaged(data)
    if kind.word == "tiff":
        return any(map(_is_damaged_part, tiff.parts(data)))
    if kind.word == "webp":
        return any(bytes(ZEROS) in coded.rstrip(b"\0") for coded in _lossless_webp(data))
    if kind.word == "gif":
        return bytes(ZEROS) in _first_frame(data)
    return kind.word == "heic" and any(map(_is_torn, boxes.hevc_pictures(data)))


def _is_damaged_part(part: tiff.Part) -> bool:
    """Of a TIFF. libtiff reads on over some damage, and leaves a checksum unread."""
    if part.compression in tiff.DEFLATE:
        return _is_damaged_deflate(part.data, part.most)
    if part.compression == tiff.PACK_BITS:
        return bytes(ZEROS) in part.data
    return part.compression == tiff.JPEG and jpeg.is_damaged(part.data)


def _is_damaged_deflate(data: bytes, most: int) -> bool:
    unpacking = zlib.decompressobj()
    try:
        while data and most > 0 and not unpacking.eof:
            most -= len(unpacking.decompress(data, CHUNK))
            data = unpacking.unconsumed_tail
    except zlib.error:
        return True
    return False


def _lossless_webp(data: bytes) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"VP8L":
            yield data[at + 8 : end]
        at = end + end % 2


def _first_frame(data: bytes) -> bytes:
    """The codes of a GIF's first picture, and what follows where they end, so far as a hole would reach."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at : at + 1] == b"!":  # extensions: two bytes, then blocks
        at = _blocks_end(data, at + 2)
    if data[at : at + 1] != b",":
        return b""
    flags = data[at + 9]
    start = at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    return data[start : _blocks_end(data, start) + ZEROS]


def _blocks_end(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _is_torn(picture: bytes) -> bool:
    """Whether HEVC's units, each behind its length, do not fill their place, or hold what no unit can: three zeros
    (ITU-T H.265, 7.4.2)."""
    at = 0
    while at + 4 <= len(picture):
        end = at + 4 + int.from_bytes(picture[at : at + 4], "big")
        if end > len(picture) or b"\0\0\0" in picture[at + 4 : end]:
            return True
        at = end
    return at != len(picture)
