"""An image file, opened: named by its first bytes and not by its ending (`kinds.py`), its header read.

A file is read whole before anything is made of it, so that what a decoder says is said of these bytes, and what a disk
says is a `MachineFault`. Every way in which a file can be unusable is a `BadImage` with one machine word as its reason:

    empty, not_an_image, unsupported, too_large, alpha      what the bytes are
    unsupported_KIND                                        a kind that is not read here, by its word in `kinds.py`
    truncated, corrupt                                      what no decoder takes, and what `holes.py` finds: only when
                                                            `proof.py` says so, too
    unreadable, bad_name                                    no regular file, or a name that none can have
    missing, no_access                                      where `--allow-missing` was given (`faults.py`)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyvips
from PIL import Image

from ..errors import BadImage
from ..faults import fault, read_file
from . import boxes, colours, foreign
from .kinds import FileKind, kind_of

NO_LIMIT = 2**62
PIXEL_LIMIT = 200_000_000  # pixels of one image; checked in the header, before anything is decoded
BYTES_A_PIXEL = 16  # of its channels, as they are stored: eight of 16 bits
_BYTES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4, "double": 8, "complex": 8}


@dataclass(frozen=True)
class Encoded:
    """An image file that was fetched into memory. name: its last name, for sentences."""

    name: str
    data: bytes = field(repr=False)


File = Path | Encoded


def fetched(file: File | str) -> Encoded:
    """All of a file. Raises BadImage for what is none, MachineFault."""
    if isinstance(file, Encoded):
        return file
    path = Path(file)
    try:
        return Encoded(path.name, read_file(path, path.name)[0])
    except (OSError, MemoryError) as error:
        raise fault(str(path), error) from error


def stored(file: Encoded) -> int:
    """Bytes of its pixels, by its header, and of itself."""
    try:
        kind = kind_of(file.name, file.data)
        if kind.loader == "pillow":
            height, width = _foreign_size(file, kind, NO_LIMIT)
            return len(file.data) + 4 * height * width
        image = _loaded(file, kind, NO_LIMIT)
    except BadImage:  # not even its header can be read
        return len(file.data)
    return len(file.data) + int(image.width * image.height * image.bands) * _BYTES.get(image.format, 16)


def size_of(file: Encoded, pixel_limit: int) -> tuple[int, int]:
    """(height, width) upright. Raises BadImage, also for what `opened` would refuse by the header."""
    kind = kind_of(file.name, file.data)
    if kind.loader == "pillow":
        return _foreign_size(file, kind, pixel_limit)
    image = opened(file, pixel_limit)
    return (image.width, image.height) if orientation(image) >= 5 else (image.height, image.width)


def opened(file: Encoded, pixel_limit: int) -> Any:
    """libvips's image, to be decoded from the top down: gray, RGB or CMYK of 8 or 16 bits, alpha behind them where
    there is one, with the profile that is meant. Raises BadImage.
    """
    kind = kind_of(file.name, file.data)
    if kind.loader == "pillow":
        _foreign_size(file, kind, pixel_limit)
        try:
            image = foreign.decoded(kind, file.data)
        except foreign.ERRORS as error:
            raise damaged(file) from error
    else:
        image = _loaded(file, kind, pixel_limit)
    return colours.meant(image, kind, file.name, file.data)


def _loaded(file: Encoded, kind: FileKind, pixel_limit: int) -> Any:
    try:
        load = getattr(pyvips.Image, kind.loader)
        image = load(pyvips.Source.new_from_memory(file.data), access="sequential", fail_on="error")
    except pyvips.Error as error:
        raise damaged(file) from error
    _limit(file, image.height, image.width, pixel_limit, image.bands * _BYTES.get(image.format, 16))
    return image


def orientation(image: Any) -> int:
    """EXIF's, 1 to 8."""
    value = int(image.get("orientation")) if image.get_typeof("orientation") else 1
    return value if 1 <= value <= 8 else 1


def damaged(file: Encoded) -> BadImage:
    """Why a decoder refused a file, by the file alone: what libvips says is one text for all threads."""
    data = file.data
    if _cut_short(data):
        return BadImage("truncated", f"{file.name} ends before its pixels do", mend="fetch the file again")
    kind = " or of a kind of TIFF that is not read" if data.startswith((b"II", b"MM")) else ""
    return BadImage("corrupt", f"{file.name} is damaged{kind}", mend="fetch or export the file again")


def _foreign_size(file: Encoded, kind: FileKind, pixel_limit: int) -> tuple[int, int]:
    try:
        height, width = foreign.size(kind, file.data)
    except Image.DecompressionBombError:
        raise BadImage("too_large", f"{file.name} says that it has more pixels than can be meant") from None
    except foreign.ERRORS as error:
        raise damaged(file) from error
    _limit(file, height, width, pixel_limit, 4)
    colours.refuse_hdr(file.name, colours.numbers(kind, file.data))
    return height, width


def _limit(file: Encoded, height: int, width: int, pixel_limit: int, bytes_a_pixel: int) -> None:
    if height * width > pixel_limit or bytes_a_pixel > BYTES_A_PIXEL:
        raise BadImage(
            "too_large",
            f"{file.name} says that it is {width} x {height} pixels of {bytes_a_pixel} bytes",
            wanted=f"at most {pixel_limit} pixels in all, of at most {BYTES_A_PIXEL} bytes each: "
            f"{pixel_limit * BYTES_A_PIXEL} bytes",
            mend="cut it into smaller images" if height * width > pixel_limit else "keep its colours alone",
        )


def _cut_short(data: bytes) -> bool:
    """Whether a file that could not be decoded lacks its end, for the kinds that say where that is."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[data.rfind(b"\xff\xda") :]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    if data.startswith(b"GIF8"):
        return not data.endswith(b";")
    if data.startswith(b"BM"):
        return int.from_bytes(data[2:6], "little") > len(data)
    if data[4:8] in (b"ftyp", b"JXL "):
        return boxes.end(data) > len(data)
    return data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
