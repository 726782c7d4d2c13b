"""Whether all of a JPEG's picture is there.

A JPEG has no checksum. Where a part of it is lost (a download in parts, a sector) a decoder goes on with what comes
next, and the file reads as a picture that is shifted, gray or of wrong colours from there on. libjpeg warns of that as
it warns of much that harms no pixel. So it is asked strictly about tables and scans alone, without the segments that
harmless warnings are about, and about a scan with restart markers interval by interval. Source: ITU-T T.81.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ..faults import out_of_memory

ZEROS = 32  # bytes: where zeros are coefficients, no block of a photograph has so many in a row
FEW = 32  # bytes left over that may be something else than more of the picture
UNSEEN = 8  # bytes left over that libjpeg has fetched already, and does not count
WIDEST = 65500  # pixels that libjpeg takes

_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_END_OF_SCAN = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_LAST_RESTART = re.compile(rb"\xff+[\xd0-\xd7]\0*$")  # some cameras end with one
_LEFT = re.compile(r"\D*(\d+) extraneous bytes before marker 0xd9")
_LOSS = ("Corrupt JPEG data", "Premature end", "Invalid JPEG file structure", "Inconsistent progression", "Bogus",
         "Huffman table", "Quantization table", "Unsupported marker")  # fmt: skip
_TABLES, _FRAMES, _SEQUENTIAL = (0xC4, 0xCC, 0xDB), (0xC0, 0xC1, 0xC2, 0xC9, 0xCA), (0xC0, 0xC1)


@dataclass(frozen=True)
class Scan:
    """tables, frame, header: segments; data: coded bytes, with restart markers; restart: MCUs of an interval, or 0;
    coefficients: whether zeros, as codes, are coefficients throughout."""

    tables: bytes
    frame: bytes
    header: bytes
    data: bytes
    restart: int
    coefficients: bool

    @property
    def components(self) -> int:
        """How many it has codes of."""
        return self.header[4]

    @property
    def begins(self) -> bool:
        """Whether it has the first bits of their blocks' means."""
        return self.header[-3] == 0 and self.header[-1] >> 4 == 0

    @property
    def has_hole(self) -> bool:
        """Whether zeros stand before its end that no picture has."""
        return self.coefficients and bytes(ZEROS) in self.data.rstrip(b"\0")

    @property
    def mcu(self) -> tuple[int, int]:
        """Height and width of one, in pixels."""
        if self.components == 1:
            return 8, 8
        factors = self.frame[11::3]
        return 8 * max(one & 15 for one in factors), 8 * max(one >> 4 for one in factors)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        height, width = struct.unpack_from(">HH", self.frame, 5)
        return height, width

    def row(self, mcus: int) -> tuple[int, int]:
        """Height and width of so many MCUs beside each other."""
        return self.mcu[0], self.mcu[1] * mcus

    def jpeg(self, data: bytes, size: tuple[int, int], restart: int = 0) -> bytes:
        """A file of its own."""
        frame = self.frame[:5] + struct.pack(">HH", *size) + self.frame[9:]
        return b"".join([b"\xff\xd8", self.tables, frame, _interval(restart), self.header, data, b"\xff\xd9"])


def is_damaged(data: bytes) -> bool:
    """Whether a part of the picture is lost, of a JPEG that decodes."""
    scans = list(_scans(data))
    if not scans:
        return False
    begun = sum(scan.components for scan in scans if scan.begins)
    if begun < scans[0].frame[9] or any(scan.has_hole for scan in scans):
        return True
    if len(scans) == 1 and scans[0].frame[1] in _SEQUENTIAL:
        return not _all_there(scans[0])
    parts = [scan.tables + _interval(scan.restart) + scan.header + scan.data for scan in scans]
    said = _said(b"".join([b"\xff\xd8", scans[0].frame, *parts, b"\xff\xd9"]), scans[0].frame)
    return said.startswith(_LOSS) and not _is_foreign(said, scans[-1].data)


def sound(data: bytes) -> NDArray[np.uint8] | None:
    """uint8 [H, W, 3] as stored, of an ordinary colour JPEG of which libjpeg has nothing to say from its first byte
    to its last, so that no part can be missing; None of any other, whether damaged or not.

    The pixels are those that libvips gives: both are libjpeg's exact transform and its smooth upsampling.
    """
    scans = list(_scans(data))
    if len(scans) != 1 or scans[0].restart or scans[0].has_hole or scans[0].frame[1] not in _SEQUENTIAL:
        return None
    if not scans[0].components == scans[0].frame[9] == 3 or not scans[0].begins:
        return None
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError as error:
        if out_of_memory(error):
            raise MemoryError from error
        return None
    return pixels


def _all_there(scan: Scan) -> bool:
    """Whether the only scan of a sequential JPEG has all of its MCUs."""
    height, width = (-(-pixels // one) for pixels, one in zip(scan.size, scan.mcu, strict=True))
    count, each = height * width, scan.restart
    if not each or scan.row(each)[1] > WIDEST:
        return _holds(scan, scan.data, scan.jpeg(scan.data, scan.size, each))
    first, *others = _RESTART.split(_LAST_RESTART.sub(b"", scan.data))
    intervals = [first, *others[1::2]]
    if others[::2] != [bytes([0xD0 + n % 8]) for n in range(-(-count // each) - 1)]:
        return False
    sizes = [min(each, count - at) for at in range(0, count, each)]
    files = ((part, scan.jpeg(part, scan.row(mcus))) for part, mcus in zip(intervals, sizes, strict=True))
    return all(_holds(scan, part, file) for part, file in files)


def _holds(scan: Scan, data: bytes, jpeg: bytes) -> bool:
    """Whether coded bytes have all MCUs of a JPEG that is made of them, and no more."""
    said = _said(jpeg, scan.frame)
    return not said.startswith(_LOSS) or _is_foreign(said, data)


def _is_foreign(said: str, data: bytes) -> bool:
    """Whether what libjpeg says is left over behind the picture is little, or one byte again and again."""
    found = _LEFT.match(said)
    left = int(found[1]) if found else 0
    padding = len(data) - len(data.rstrip(data[-1:]))
    return 0 < left <= FEW or 0 < left <= padding <= left + UNSEEN


def _said(jpeg: bytes, frame: bytes) -> str:
    """libjpeg's first word on a JPEG; "" for a sound one. Decoded to an eighth: the codes are all read."""
    kind = "CMYK" if frame[9] == 4 else "GRAY"
    try:
        simplejpeg.decode_jpeg(jpeg, kind, fastdct=True, fastupsample=True, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        if out_of_memory(error):
            raise MemoryError from error
        return str(error)
    return ""


def _scans(data: bytes) -> Iterator[Scan]:
    """All scans up to the end of the image."""
    at, tables, frame, restart = 2, b"", b"", 0
    shortest: dict[int, int] = {}  # of a Huffman table, by class and number: what its code of zeros means
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == 0xD9:
            return
        if marker == 1 or 0xD0 <= marker <= 0xD8:
            continue
        segment = bytes([0xFF, marker]) + data[at : at + int.from_bytes(data[at : at + 2], "big")]
        at += max(len(segment) - 2, 2)
        if marker in _TABLES:
            tables += segment
            shortest |= _shortest(segment) if marker == 0xC4 else {}
        elif marker in _FRAMES:
            frame = segment
        elif marker == 0xDD:
            restart = int.from_bytes(segment[4:6], "big")
        elif marker == 0xDA:
            stop = _END_OF_SCAN.search(data, at)
            end = stop.start() if stop else len(data)
            if frame:
                yield _scan(tables, frame, segment, data[at:end], restart, shortest)
            at, tables = end, b""


def _scan(tables: bytes, frame: bytes, header: bytes, data: bytes, restart: int, shortest: dict[int, int]) -> Scan:
    sequential = frame[1] in _SEQUENTIAL
    if sequential:  # cameras write others, which mean nothing there
        header = header[:-3] + b"\0\x3f\0"
    begins, refines = header[-3], header[-1] >> 4
    numbers = [one & 15 for one in header[6:-3:2]]
    meanings = [shortest.get(0x10 | number, 0) & 15 for number in numbers]  # 0: no coefficient, but a block's end
    coefficients = any(meanings) and (sequential or (frame[1] == 0xC2 and begins > 0 and refines == 0))
    return Scan(tables, frame, header, data, restart, coefficients)


def _shortest(segment: bytes) -> dict[int, int]:
    """The first symbol of each table of a segment, whose code is zeros."""
    found, at = {}, 4
    while at + 17 < len(segment):
        found[segment[at]] = segment[at + 17]
        at += 17 + sum(segment[at + 1 : at + 17])
    return found


def _interval(mcus: int) -> bytes:
    """The segment that tells the restart interval."""
    return struct.pack(">HHH", 0xFFDD, 4, mcus)
