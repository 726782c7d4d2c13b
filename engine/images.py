"""Image files in and out. Whatever comes in leaves as uint8 [H, W, 3] sRGB, upright: nothing is left to
trainers.

Reading is done by libvips, named by a file's first bytes and not by its ending (BMP, which libvips lacks, by
Pillow). Every way in which a file can be unusable is a `BadImage` with one machine word as its reason:

    missing, unreadable, empty, not_an_image, unsupported, too_large, truncated, corrupt, alpha
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import Image

from .errors import DegradeError

Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB, sRGB
Alpha = Literal["white", "refuse"]

PNG_LEVEL = 2
PIXEL_LIMIT = 200_000_000  # pixels of one image; checked in the header, before anything is decoded
EXTENSIONS = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

# libvips keeps results by file name, so an overwritten file would read as before; its threads would compete
# with the caller's, who decodes many images at once; its log would go to stderr though every fault is raised.
pyvips.cache_set_max(0)
pyvips.concurrency_set(1)
logging.getLogger("pyvips").addHandler(logging.NullHandler())


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


def read_size(file: File | str, *, pixel_limit: int = PIXEL_LIMIT) -> tuple[int, int]:
    """(height, width) in pixels after EXIF rotation, from the header alone. Raises BadImage."""
    path = Path(file) if isinstance(file, str) else file
    if _kind(path) == "bmp":
        width, height = _open_bmp(path, pixel_limit).size
        return height, width
    image = _open(path, pixel_limit)
    return (image.width, image.height) if _orientation(image) >= 5 else (image.height, image.width)


def read_rgb(
    file: File | str, *, alpha: Alpha = "white", pixel_limit: int = PIXEL_LIMIT
) -> Pixels:
    """The first frame, uint8 [H, W, 3] sRGB, C-contiguous. Raises BadImage.

    EXIF orientation is applied. An embedded ICC profile is transformed to sRGB (relative colorimetric with
    black point compensation), unless it is sRGB already, which is left bit for bit; a profile that is
    broken or of another number of channels is ignored, as viewers do. CMYK without a profile is read as
    generic press CMYK. 16 bits become 8 by rint(v * 255 / 65535). Gray becomes three equal channels.
    Transparency is laid over white or, with alpha="refuse", refused unless the image is opaque throughout.
    """
    path = Path(file) if isinstance(file, str) else file
    if _kind(path) == "bmp":
        return _over_white(_bmp_pixels(path, pixel_limit), path, alpha)
    image = _open(path, pixel_limit)
    orientation = _orientation(image)
    if image.format not in ("uchar", "ushort"):
        raise BadImage(
            "unsupported", f"{path.name} holds {image.format} values", wanted="8 or 16 bits a channel"
        )
    try:
        pixels = _to_srgb(image)
    except pyvips.Error:
        raise _damaged(path) from None
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return _turned(_over_white(pixels, path, alpha), orientation)


def resize_bicubic(image: Pixels, size: tuple[int, int]) -> Pixels:
    """uint8 [H, W, 3] to [*size, 3] (height, width): antialiased bicubic, a = -0.5, which is Pillow's
    BICUBIC."""
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def encode_png(image: Pixels, level: int = PNG_LEVEL) -> bytes:
    """uint8 [H, W, 3] RGB as a PNG without profile, EXIF or text; the same pixels give the same bytes.

    libvips with the "sub" filter at level 2. Measured on twelve photographs of 512 x 512, one thread, best of
    seven, ms a megapixel and size over raw: libvips level 1: 22, 0.72; 2: 36, 0.54; 3: 36, 0.53; OpenCV (sub)
    level 1: 37, 0.55; 2: 41, 0.55; 3: 64, 0.54; Pillow level 1: 81, 0.52. OpenCV's level 1 is close behind;
    libvips also has a much faster level 1, for runs that are bound by writing.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DegradeError(
            f"The image to encode is {image.dtype} {list(image.shape)}", wanted="uint8 [H, W, 3]"
        )
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).data
    frame = pyvips.Image.new_from_memory(data, width, height, 3, "uchar").copy(interpretation="srgb")
    return bytes(frame.pngsave_buffer(compression=level, filter="sub", keep="none"))


# ---- opening ----


def _kind(path: File) -> str:
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


def _open(path: File, pixel_limit: int) -> Any:
    try:  # a Source, because a file name may hold what libvips takes for options: "a.png[page=1]"
        if isinstance(path, Encoded):
            source = pyvips.Source.new_from_memory(path.data)
        else:
            source = pyvips.Source.new_from_file(str(path))
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")
    except pyvips.Error:
        raise _damaged(path) from None
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


def _damaged(path: File) -> BadImage:
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


# ---- to upright 8-bit sRGB ----


def _orientation(image: Any) -> int:
    value = int(image.get("orientation")) if image.get_typeof("orientation") else 1
    return value if 1 <= value <= 8 else 1


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """EXIF 2.32, tag 0x0112: what must be done to the stored pixels so that they stand upright."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _to_srgb(image: Any) -> npt.NDArray[Any]:
    """uint8 or uint16 [H, W, 3 or 4 (alpha)]."""
    colours = {"b-w": 1, "grey16": 1, "cmyk": 4}.get(image.interpretation, 3 if image.bands >= 3 else 1)
    profile = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else b""
    if image.interpretation == "cmyk":
        usable = profile and _channels(profile) == 4
        image = _transformed(image) if usable else _transformed(image, input_profile="cmyk", embedded=False)
    elif profile and _channels(profile) == colours and not _is_srgb(profile, colours):
        image = _transformed(image)
    pixels = np.asarray(image.numpy())
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] <= 2:
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=2)
    return pixels[..., :4]


def _transformed(image: Any, **source: Any) -> Any:
    """To 8-bit sRGB. 16 bits go by way of float Lab: for a direct transform of 16 bits Little CMS builds a
    coarse table, which is off by as much as 14 of 255 levels; by way of Lab it is one."""
    source = {"embedded": True, **source}
    options = {"intent": "relative", "black_point_compensation": True}
    if image.format == "ushort":
        return image.icc_import(pcs="lab", **options, **source).icc_export(
            output_profile="srgb", pcs="lab", depth=8, **options
        )
    return image.icc_transform("srgb", depth=8, **options, **source)


def _channels(profile: bytes) -> int:
    """Of the colour space that an ICC header names (ICC.1:2010, 7.2.6); 0 for a broken profile."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return 0
    return {b"RGB ": 3, b"GRAY": 1, b"CMYK": 4}.get(profile[16:20], 0)


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes, colours: int) -> bool:
    """Whether the transform moves no colour of a coarse grid by more than one level, or cannot be made at
    all.

    Most files say sRGB; a transform would then only add rounding noise. Asked of what the profile does, since
    its name can be anything.
    """
    axis = np.arange(0, 256, 17, dtype=np.uint8)
    grid = np.stack(np.meshgrid(*[axis] * colours, indexing="ij"), axis=-1).reshape(1, -1, colours)
    image = pyvips.Image.new_from_memory(grid.tobytes(), grid.shape[1], 1, colours, "uchar")
    image = image.copy(interpretation="srgb" if colours == 3 else "b-w")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        moved = np.asarray(_transformed(image).numpy()).reshape(1, -1, 3).astype(int)
    except pyvips.Error:
        return True
    return bool(np.abs(moved - grid).max() <= 1)


def _over_white(pixels: Pixels, path: File, alpha: str) -> Pixels:
    if pixels.shape[2] == 3:
        return pixels
    opacity = pixels[..., 3:].astype(np.uint32)
    colours = pixels[..., :3]
    if opacity.min() == 255:
        return np.ascontiguousarray(colours)
    if alpha == "refuse":
        raise BadImage(
            "alpha", f"{path.name} is partly transparent", mend="flatten it, or allow white behind it"
        )
    return ((colours * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


# ---- BMP ----


def _open_bmp(path: File, pixel_limit: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(_bytes(path)), formats=("BMP",))
    except Image.DecompressionBombError:
        raise BadImage("too_large", f"{path.name} says that it has more pixels than can be meant") from None
    except (OSError, SyntaxError, ValueError):
        raise BadImage("corrupt", f"{path.name} is damaged", mend="fetch or export the file again") from None
    _limit(path, image.height, image.width, pixel_limit)
    return image


def _bmp_pixels(path: File, pixel_limit: int) -> Pixels:
    try:
        image = _open_bmp(path, pixel_limit)
        return np.asarray(image.convert("RGBA" if image.mode == "RGBA" else "RGB"))
    except (OSError, SyntaxError, ValueError):
        raise BadImage("truncated", f"{path.name} ends before its pixels do") from None
