"""HR files that are GT as they lie: no decoding, no encoding, and in a folder no second copy."""

from __future__ import annotations

import os
from pathlib import Path

from ..faults import Patience, read_file
from .contract import PNG_HEAD, RGB8

_PLAIN = {b"IHDR", b"IDAT", b"IEND", b"pHYs", b"sRGB", b"tIME"}  # no ICC, gamma, EXIF, text, transparency, frames


def is_plain_png(path: Path) -> bool:
    """Whether a file is an 8-bit RGB PNG with nothing beside its pixels that a reader could heed. Only chunk heads are
    read; whether its pixels are whole is seen when it is decoded. Raises MachineFault."""
    return Patience().ask(str(path), lambda: _is_plain(path))


def _is_plain(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(33)
        if not head.startswith(PNG_HEAD) or head[24:26] != RGB8:
            return False
        while len(chunk := file.read(8)) == 8:
            if chunk[4:] not in _PLAIN:
                return False
            if chunk[4:] == b"IEND":
                return True
            file.seek(int.from_bytes(chunk[:4], "big") + 4, os.SEEK_CUR)
    return False


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link to the file, or a copy where the file system has none to give. Raises OSError for the target,
    MachineFault for the source."""
    try:
        os.link(source.resolve(), target)
    except OSError:  # another device, no such links there, or too many
        data, _ = Patience().ask(str(source), lambda: read_file(source, source.name))
        target.write_bytes(data)
