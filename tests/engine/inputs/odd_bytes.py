"""Image files and ICC profiles put together byte by byte: what no encoder here writes, and what nobody should."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def icc(space: bytes, primaries: tuple[tuple[float, float, float], ...] = (), gamma: float = 2.2) -> bytes:
    """An ICC v2 display profile: a matrix of three D50 XYZ columns and one gamma, or (no columns) gray."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [(b"desc", b"desc\0\0\0\0" + struct.pack(">I", 4) + b"odd\0" + bytes(78)), (b"cprt", b"text\0\0\0\0none\0")]
    tags.append((b"wtpt", xyz(0.9642, 1.0, 0.8249)))
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=False):
        tags.append((name, xyz(*column)))
    tags += [(name, curve) for name in ((b"rTRC", b"gTRC", b"bTRC") if primaries else (b"kTRC",))]
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags:
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    return head + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + table + body  # D50


ADOBE = icc(b"RGB ", ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 563 / 256)
P3 = icc(b"RGB ", ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)), 2.2)
PROPHOTO = icc(b"RGB ", ((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03134, 0.00009, 0.82491)), 1.8)
GRAY = icc(b"GRAY", gamma=1.0)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """One of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    rows: list[bytes], width: int, bits: int, colour: int, *, extra: bytes = b"", late: bytes = b"", height: int = 0
) -> bytes:
    """A PNG of packed rows, unfiltered. extra: chunks before the pixels; late: after them; height: a lie."""
    header = struct.pack(">IIBBBBB", width, height or len(rows), bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + late + chunk(b"IEND")


def packed(values: np.ndarray, bits: int) -> list[bytes]:
    """Rows of uint8 [H, W] below 2^bits, packed as PNG and BMP want them."""
    wide = np.unpackbits(values[..., None], axis=-1)[..., 8 - bits :].reshape(len(values), -1)
    return [row.tobytes() for row in np.packbits(wide, axis=1)]


def exif(orientation: int, *, order: str = "<", kind: int = 3) -> bytes:
    """A TIFF block that names an orientation. kind: 3 SHORT, 4 LONG."""
    sign = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    return sign + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1) + value + bytes(4)


def with_segment(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """A JPEG with one more segment, right after its first two bytes."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


def frame_at(jpeg: bytes) -> int:
    """Where the frame header's marker stands."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """The same bytes but for these."""
    return data[:at] + new + data[at + len(new) :]


def tiff(entries: list[tuple[int, int, int, int]], pixels: bytes, *, order: str = "<", again: int = 0) -> bytes:
    """One directory, then pixels at byte 1000. entries: tag, type, count, value; again: the next directory's place."""
    sign = b"II*\0" if order == "<" else b"MM\0*"
    body = struct.pack(order + "H", len(entries))
    for tag, kind, count, value in entries:
        shown = struct.pack(order + "HH", value, 0) if kind == 3 and count == 1 else struct.pack(order + "I", value)
        body += struct.pack(order + "HHI", tag, kind, count) + shown
    head = sign + struct.pack(order + "I", 8) + body + struct.pack(order + "I", again)
    return head + bytes(1000 - len(head)) + pixels


def tiff_of(pixels: np.ndarray, *, order: str = "<", kind: int = 1, **more: int) -> bytes:
    """A one-strip gray TIFF of an integer or float array. kind: sample format 1 unsigned, 2 signed, 3 float; more:
    height, width or strip_bytes as lies; again.
    """
    height, width = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    entries = [(256, 4, 1, more.get("width", width)), (257, 4, 1, more.get("height", height))]
    entries += [(258, 3, 1, 8 * pixels.itemsize), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 1000), (277, 3, 1, 1)]
    entries += [(278, 4, 1, more.get("height", height)), (279, 4, 1, more.get("strip_bytes", len(data)))]
    return tiff([*entries, (339, 3, 1, kind)], data, order=order, again=more.get("again", 0))


def bmp(rows: list[bytes], width: int, bits: int, *, palette: bytes = b"", **more: int) -> bytes:
    """A Windows BMP, bottom row first. more: height (negative: top row first), compression."""
    data = b"".join(row + bytes(-len(row) % 4) for row in rows)
    at = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", at + len(data), 0, 0, at)
    facts = (40, width, more.get("height", len(rows)), 1, bits, more.get("compression", 0), len(data), 0, 0)
    return head + struct.pack("<IiiHHIIii", *facts) + struct.pack("<II", len(palette) // 4, 0) + palette + data
