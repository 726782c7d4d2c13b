"""HR files that are GT as they lie: no decoding, no encoding, and in a folder no second copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_RGB8 = b"\x08\x02"  # bits a channel, colour type
_PLAIN = {b"IHDR", b"IDAT", b"IEND", b"pHYs", b"sRGB", b"tIME"}  # no ICC, gamma, EXIF, text, transparency, frames


def is_plain_png(path: Path) -> bool:
    """Whether a file is an 8-bit RGB PNG with nothing beside its pixels that a reader could heed. Only chunk heads are
    read; whether its pixels are whole is seen when it is decoded."""
    try:
        with open(path, "rb") as file:
            head = file.read(33)
            if not head.startswith(_HEAD) or head[24:26] != _RGB8:
                return False
            while len(chunk := file.read(8)) == 8:
                if chunk[4:] not in _PLAIN:
                    return False
                if chunk[4:] == b"IEND":
                    return True
                file.seek(int.from_bytes(chunk[:4], "big") + 4, os.SEEK_CUR)
    except OSError:
        pass  # it was read a moment ago; now it has to be encoded
    return False


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link to the file, or a copy where the file system has none to give. Raises OSError."""
    try:
        os.link(source.resolve(), target)
    except OSError:  # another device, no such links there, or too many
        shutil.copyfile(source, target)
