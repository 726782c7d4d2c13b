"""An image file, opened: named by its first bytes and not by its ending, its header read, nothing decoded yet.

A file is read whole before anything is made of it, so that what a decoder says is said of these bytes, and what a disk
says is a `MachineFault`. libvips opens all kinds but BMP, which it lacks and Pillow has. Every way in which a file can
be unusable is a `BadImage` with one machine word as its reason:

    empty, not_an_image, unsupported, too_large, alpha      what the bytes are
    truncated, corrupt                                      what no decoder takes: only when `proof.py` says so, too
    unreadable, bad_name                                    no regular file, or a name that none can have
    missing, no_access                                      where `--allow-missing` was given (`faults.py`)
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyvips
from PIL import Image

from ..errors import BadImage
from ..faults import fault, read_file

PIXEL_LIMIT = 200_000_000  # pixels of one image; checked in the header, before anything is decoded
EXTENSIONS = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


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


def kind_of(path: Encoded) -> str:
    """What the first bytes say the file is. Raises BadImage for none or foreign ones."""
    head = path.data[:16]
    if not head:
        raise BadImage("empty", f"{path.name} is empty")
    for kind, at, magic in _SIGNATURES:
        if head[at : at + len(magic)] == magic:
            return kind
    wanted = "a JPEG, PNG, WebP, TIFF, GIF, AVIF or BMP"
    raise BadImage(
        "not_an_image", f"{path.name} is not an image, or of a kind that is not read", wanted=wanted
    )


_SIGNATURES = (
    ("jpeg", 0, b"\xff\xd8\xff"),
    ("png", 0, b"\x89PNG\r\n\x1a\n"),
    ("webp", 8, b"WEBP"),
    ("tiff", 0, b"II*\0"),
    ("tiff", 0, b"MM\0*"),
    ("tiff", 0, b"II+\0"),
    ("tiff", 0, b"MM\0+"),
    ("gif", 0, b"GIF8"),
    ("avif", 4, b"ftypavif"),
    ("bmp", 0, b"BM"),
)


def open_vips(path: Encoded, pixel_limit: int) -> Any:
    """libvips's image, to be decoded from the top down. Raises BadImage."""
    try:
        source = pyvips.Source.new_from_memory(path.data)
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")
    except pyvips.Error as error:
        raise damaged(path) from error
    _limit(path, image.height, image.width, pixel_limit)
    return image


def _limit(path: Encoded, height: int, width: int, pixel_limit: int) -> None:
    if height * width > pixel_limit:
        raise BadImage(
            "too_large",
            f"{path.name} says that it is {width} x {height} pixels",
            wanted=f"at most {pixel_limit} pixels in all",
            mend="cut it into smaller images",
        )


def damaged(path: Encoded) -> BadImage:
    """Why libvips refused a file, by the file alone: what libvips says is one text for all threads."""
    data = path.data
    if _cut_short(data):
        return BadImage("truncated", f"{path.name} ends before its pixels do", mend="fetch the file again")
    kind = " or of a kind of TIFF that is not read" if data.startswith((b"II", b"MM")) else ""
    return BadImage("corrupt", f"{path.name} is damaged{kind}", mend="fetch or export the file again")


def _cut_short(data: bytes) -> bool:
    """Whether a file that could not be decoded lacks its end, for the kinds that say where that is."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[data.rfind(b"\xff\xda") :]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    if data.startswith(b"GIF8"):
        return not data.endswith(b";")
    if data[4:8] == b"ftyp":
        return _boxes_end(data) > len(data)
    return data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)


def _boxes_end(data: bytes) -> int:
    """Where the last box of an AVIF should end (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        length = int.from_bytes(data[at + 8 : at + 16], "big") if length == 1 else length
        if length < 8:  # 0: to the end of the file
            return len(data)
        at += length
    return at


def open_bmp(path: Encoded, pixel_limit: int) -> Image.Image:
    """Pillow's image, not decoded yet. Raises BadImage."""
    try:
        image = Image.open(io.BytesIO(path.data), formats=("BMP",))
    except Image.DecompressionBombError:
        raise BadImage("too_large", f"{path.name} says that it has more pixels than can be meant") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise BadImage("corrupt", f"{path.name} is damaged", mend="fetch or export the file again") from error
    _limit(path, image.height, image.width, pixel_limit)
    return image
