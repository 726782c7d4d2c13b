"""What the directories of a TIFF say, and those of EXIF, which is one: tags alone, no pixel is read.

libvips says neither what a TIFF's extra channels are nor whether it is a camera's raw file. Sources: TIFF 6.0, BigTIFF,
DNG 1.7, EXIF 2.32 (4.6), DCF 2.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

Tags = dict[int, tuple[int, ...]]

WIDTH, HEIGHT = 256, 257  # tags
SUBFILE, COMPRESSION, PHOTOMETRIC, MAKE = 254, 259, 262, 271
SUB_DIRECTORIES, EXTRA_SAMPLES, JPEG_TABLES, DNG_VERSION = 330, 338, 347, 50706
JPEG, DEFLATE, PACK_BITS = 7, (8, 32946), 32773  # compressions
STRIPS, TILES = (273, 279), (324, 325)  # where they are, how long
EXIF, COLOUR_SPACE, INTEROP, INTEROP_INDEX = 0x8769, 0xA001, 0xA005, 1
WIDEST_PIXEL = 64  # bytes; far more than is read
MOST_TAGS, MOST_VALUES = 4096, 256
NEXT = -1  # no tag: where the next directory begins, 0 for the last
_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}  # unsigned types; text as its bytes
_SENSOR = (32803, 34892)  # photometric interpretations: colour filter array, linear raw
_MAKERS = (("nef", b"NIKON"), ("arw", b"SONY"), ("pef", b"PENTAX"), ("pef", b"RICOH"))


class Directories:
    """Of one file. Whatever is torn or points outside reads as absent."""

    def __init__(self, data: bytes, most: int = MOST_VALUES) -> None:
        self._data, self._most = data, most
        self._order = "<" if data[:1] == b"I" else ">"
        self._big = data[2:4] in (b"+\0", b"\0+")
        self.first = self.at(self._number("Q" if self._big else "I", 8 if self._big else 4))

    def at(self, place: int) -> Tags:
        """The directory that begins there."""
        count = self._number("Q" if self._big else "H", place)
        start, step, inline = (place + 8, 20, 8) if self._big else (place + 2, 12, 4)
        tags: Tags = {NEXT: (self._number("Q" if self._big else "I", start + count * step),)}
        for entry in islice(range(start, len(self._data) - step + 1, step), min(count, MOST_TAGS)):
            tag, kind = self._number("H", entry), self._number("H", entry + 2)
            values = self._number("Q" if self._big else "I", entry + 4)
            form = _FORMS.get(kind)
            if form is None or not values:
                continue
            size = values * struct.calcsize("<" + form)
            at = entry + 4 + inline
            if size > inline:
                at = self._number("Q" if self._big else "I", at)
            values = min(values, self._most)
            try:
                tags[tag] = struct.unpack_from(f"{self._order}{values}{form}", self._data, at)
            except (struct.error, OverflowError):
                continue
        return tags

    def below(self, tags: Tags, tag: int) -> list[Tags]:
        """The directories that a tag points to."""
        return [self.at(place) for place in tags.get(tag, ())[:16]]

    def _number(self, form: str, at: int) -> int:
        try:
            return int(struct.unpack_from(self._order + form, self._data, at)[0])
        except (struct.error, OverflowError):
            return 0


def raw_kind(data: bytes) -> str:
    """The kind of raw photograph that a TIFF is: its word among `kinds`, or "". Its first image would be a thumbnail,
    or what the sensor saw."""
    found = Directories(data)
    first = found.first
    if DNG_VERSION in first:
        return "dng"
    below = found.below(first, SUB_DIRECTORIES)
    sensor = any(tags.get(PHOTOMETRIC, (0,))[0] in _SENSOR for tags in (first, *below))
    thumbnail = first.get(SUBFILE, (0,))[0] & 1 and (below or first[NEXT][0])
    if not sensor and not thumbnail:
        return ""
    make = _text(first, MAKE).upper()
    return next((word for word, maker in _MAKERS if make.startswith(maker)), "raw")


def extra_samples(data: bytes) -> tuple[int, ...]:
    """What the channels beyond the colours are, as far as the file says: 0 unspecified, 1 and 2 alpha."""
    return Directories(data).first.get(EXTRA_SAMPLES, ())


@dataclass(frozen=True)
class Part:
    """A strip or tile. compression: TIFF's number; data: a JPEG's with its tables (TIFF technical note 2); most: bytes
    that it can unpack to."""

    compression: int
    data: bytes
    most: int


def parts(data: bytes) -> Iterator[Part]:
    """Of the first image. Where parts share bytes, at most a few times as many as the file has."""
    first = Directories(data, most=len(data)).first
    compression = first.get(COMPRESSION, (1,))[0]
    tables, left = _text(first, JPEG_TABLES)[2:-2], 8 * len(data)
    most = WIDEST_PIXEL * first.get(WIDTH, (0,))[0] * first.get(HEIGHT, (0,))[0]
    for places, lengths in (STRIPS, TILES):
        for at, length in zip(first.get(places, ()), first.get(lengths, ()), strict=False):
            part = data[at : at + length]
            left -= len(part)
            if left < 0:
                return
            yield Part(compression, b"\xff\xd8" + tables + part[2:] if compression == JPEG else part, most)


def says_adobe_rgb(data: bytes) -> bool:
    """Whether EXIF (or a TIFF with EXIF in it) says that its colours are Adobe RGB: as DCF wants it said, or by the
    colour space 2, which is not in the standard."""
    found = Directories(data.removeprefix(b"Exif\0\0"))
    for exif in found.below(found.first, EXIF):
        space = exif.get(COLOUR_SPACE, (0,))[0]
        index = [_text(tags, INTEROP_INDEX) for tags in found.below(exif, INTEROP)]
        if space == 2 or (space == 0xFFFF and any(one.startswith(b"R03") for one in index)):
            return True
    return False


def _text(tags: Tags, tag: int) -> bytes:
    return bytes(one & 255 for one in tags.get(tag, ()))
