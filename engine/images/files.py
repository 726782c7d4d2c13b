"""An image file, opened: named by its first bytes and not by its ending, its header read, nothing decoded yet.

libvips opens all kinds but BMP, which it lacks and Pillow has. Every way in which a file can be unusable is a
`BadImage` with one machine word as its reason:

    missing, unreadable, empty, not_an_image, unsupported, too_large, truncated, corrupt, alpha
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyvips
from PIL import Image

from ..errors import DegradeError

PIXEL_LIMIT = 200_000_000  # pixels of one image; checked in the header, before anything is decoded
EXTENSIONS = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Encoded:
    """An image file that was fetched into memory. name: its last name, for sentences."""

    name: str
    data: bytes = field(repr=False)


File = Path | Encoded


class BadImage(DegradeError):
    """A file that gives no usable pixels. `reason` is one of the words in the module's docstring."""

    def __init__(self, reason: str, fact: str, *, wanted: str = "", mend: str = "") -> None:
        super().__init__(fact, wanted=wanted, mend=mend)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.reason, self.fact, self.wanted, self.mend)


def _rebuild(reason: str, fact: str, wanted: str, mend: str) -> BadImage:
    return BadImage(reason, fact, wanted=wanted, mend=mend)


def kind_of(path: File) -> str:
    """What the first bytes say the file is. Raises BadImage for none, foreign or unreadable ones."""
    try:
        if isinstance(path, Encoded):
            head = path.data[:16]
        else:
            with open(path, "rb") as file:
                head = file.read(16)
    except FileNotFoundError:
        raise BadImage("missing", f"{path.name} is not there") from None
    except OSError as error:
        raise BadImage("unreadable", f"{path.name} cannot be read ({error.strerror or error})") from None
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


def open_vips(path: File, pixel_limit: int) -> Any:
    """libvips's image, to be decoded from the top down. Raises BadImage."""
    try:  # a Source, because a file name may hold what libvips takes for options: "a.png[page=1]"
        if isinstance(path, Encoded):
            source = pyvips.Source.new_from_memory(path.data)
        else:
            source = pyvips.Source.new_from_file(str(path))
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")
    except pyvips.Error:
        raise damaged(path) from None
    _limit(path, image.height, image.width, pixel_limit)
    return image


def _bytes(path: File) -> bytes:
    return path.data if isinstance(path, Encoded) else path.read_bytes()


def _limit(path: File, height: int, width: int, pixel_limit: int) -> None:
    if height * width > pixel_limit:
        raise BadImage(
            "too_large",
            f"{path.name} says that it is {width} x {height} pixels",
            wanted=f"at most {pixel_limit} pixels in all",
            mend="cut it into smaller images",
        )


def damaged(path: File) -> BadImage:
    """Why libvips refused a file, by the file alone: what libvips says is one text for all threads."""
    data = _bytes(path)
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


def open_bmp(path: File, pixel_limit: int) -> Image.Image:
    """Pillow's image, not decoded yet. Raises BadImage."""
    try:
        image = Image.open(io.BytesIO(_bytes(path)), formats=("BMP",))
    except Image.DecompressionBombError:
        raise BadImage("too_large", f"{path.name} says that it has more pixels than can be meant") from None
    except (OSError, SyntaxError, ValueError):
        raise BadImage("corrupt", f"{path.name} is damaged", mend="fetch or export the file again") from None
    _limit(path, image.height, image.width, pixel_limit)
    return image
