"""What trainers ask of a set of pairs, whichever sink keeps it: names that none stumbles over, 8-bit RGB images, one
whole scale, and nothing beside the pairs that the manifest names. What breaks a rule is a DegradeError.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ..errors import DegradeError
from ..images import Format
from ..objects import Out
from .names import Names, first_twice, missing, packed

Row = Mapping[str, Any]  # a JSON object

STEM = re.compile(r"[a-z0-9_-]{1,200}")
_SCALE_MARK = re.compile(r"x[2348]")  # trainers cut these from a name, or look for a file with them
LONGEST_PREFIX = 40  # letters
HEAD = 26  # bytes of an image, which say its kind and size
PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
RGB8 = b"\x08\x02"  # a PNG's bits a channel and colour type
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def stem_of(index: int, prefix: str = "") -> str:
    """The file name of pair `index` (0 or more) without its ending: the prefix and seven digits or more."""
    if index < 0:
        raise DegradeError(f"The pair's number is {index}", wanted="0 or more")
    return f"{prefix}{index:07d}"


def check_prefix(prefix: str) -> str:
    """A prefix of names itself; DegradeError where a trainer would stumble over a name with it."""
    if len(prefix) > LONGEST_PREFIX or not all(STEM.fullmatch(f"{prefix}{n}") and not _SCALE_MARK.search(f"{prefix}{n}")
                                               for n in range(10)):  # fmt: skip
        raise DegradeError(
            f"--name-prefix is {prefix[:60]!r}",
            wanted=f"at most {LONGEST_PREFIX} of a-z, 0-9, _ and -, without x2, x3, x4, x8 and no x at the end",
        )
    return prefix


def check_stem(stem: str) -> str:
    """The stem itself; DegradeError if a trainer would stumble over it."""
    if not STEM.fullmatch(stem) or _SCALE_MARK.search(stem):
        raise DegradeError(f"{stem!r} cannot be the name of a pair", wanted="a-z, 0-9, _ and -, without x2, x3, x4, x8")
    return stem


def stems_of(rows: Iterable[Row]) -> list[str]:
    """The stems of a shard's rows, in their order; DegradeError for one that is none or comes twice."""
    stems = [check_stem(str(row.get("name"))) for row in rows]
    _each_once(packed(stems))
    return stems


def write_rows(rows: Iterable[Row], manifest: IO[str]) -> Names:
    """Write a run's rows, a line each; returns their stems. DegradeError for one that is none or comes twice."""

    def stems() -> Iterator[str]:
        for row in rows:
            manifest.write(json_line(row))
            yield check_stem(str(row.get("name")))

    found = packed(stems())
    _each_once(found)
    return found


def _each_once(stems: Names) -> None:
    if twice := first_twice(stems):
        raise DegradeError(f"Two rows of the manifest have the name {twice}")


def compare(there: Names, wanted: Names, where: Out) -> None:
    """DegradeError unless `where` holds just what the manifest wants."""
    if gone := missing(wanted, there):
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise DegradeError(f"{gone[0]}{more} of the manifest is not in {where}", mend="run again")
    if strange := missing(there, wanted):
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise DegradeError(
            f"{where} holds {strange[0]}{more}, which does not belong to this run",
            wanted="only the run's pairs, since trainers read every file there",
            mend="move it elsewhere",
        )


def one_scale(scales: set[int], where: Path) -> None:
    """DegradeError for more than one scale."""
    if len(scales) > 1:
        raise DegradeError(f"{where} holds pairs of the scales {sorted(scales)}", wanted="one scale")


def scale_of(stem: str, gt: tuple[int, ...], lq: tuple[int, ...]) -> int:
    """How many times the GT (height, width) is the LQ; DegradeError unless that is one whole number."""
    scale = gt[0] // lq[0]
    if scale < 1 or gt != (lq[0] * scale, lq[1] * scale):
        raise DegradeError(
            f"The GT of pair {stem} is {gt[1]} x {gt[0]} and its LQ {lq[1]} x {lq[0]}",
            wanted="a GT that is the same whole number of times as high and as wide",
        )
    return scale


def size_of(head: bytes, name: str, file_format: Format) -> tuple[int, int]:
    """(height, width) from the first HEAD bytes of a file; DegradeError if they are not those of an 8-bit RGB PNG, or
    of a lossless WebP of RGB.
    """
    size = _webp_size(head) if file_format == "webp" else _png_size(head)
    if size is None:
        kind = "a lossless WebP of RGB" if file_format == "webp" else "an 8-bit RGB PNG"
        raise DegradeError(f"{name} is not {kind}", mend="delete it and run again")
    return size


def _png_size(head: bytes) -> tuple[int, int] | None:
    if len(head) < HEAD or not head.startswith(PNG_HEAD) or head[24:26] != RGB8:
        return None
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def _webp_size(head: bytes) -> tuple[int, int] | None:
    """RFC 9649: a RIFF whose first chunk is VP8L; behind a signature byte 14 bits each of width - 1 and height - 1, one
    of alpha, three of the version.
    """
    if len(head) < HEAD or head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8L" or head[20] != 0x2F:
        return None
    bits = int.from_bytes(head[21:25], "little")
    return None if bits >> 28 else ((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1)


def is_whole(path: Path, size: int | None) -> bool:
    """Whether a file, a PNG or WebP by its name, is there with so many bytes (None: nobody knows), and begins and ends
    as one does. What cannot be read is not whole: it is made again.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            head, end = os.pread(file.fileno(), HEAD, 0), os.pread(file.fileno(), HEAD, max(0, length - HEAD))
    except OSError:
        return False
    return size in (None, length) and looks_whole(head, end, length, path.suffix[1:], known=size is not None)


def looks_whole(head: bytes, end: bytes, length: int, ending: str, known: bool = False) -> bool:
    """Whether the first and the last HEAD bytes of an image of `length` bytes are those of a whole PNG or WebP. known:
    its length is right, so that a PNG that came from elsewhere may have something behind its end, if not just zeros.
    """
    if ending == "webp":
        return _webp_size(head) is not None and length == int.from_bytes(head[4:8], "little") + 8
    return _png_size(head) is not None and (end.endswith(_PNG_END) or (known and any(end)))


def json_line(record: Row) -> str:
    """A JSON line in ASCII: a path may hold U+2028, which some readers take for the end of a line. DegradeError for NaN
    and what is no JSON."""
    try:
        return json.dumps(record, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise DegradeError(f"A row cannot be written as JSON ({error})", wanted="null for NaN") from error
