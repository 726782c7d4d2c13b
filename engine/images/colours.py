"""An opened image's pixels in sRGB: which channels are colours, which colours are meant, and how they get there."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import BadImage
from . import boxes, cicp, tiff
from .kinds import FileKind
from .proof import blamed

_COLOURS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "rgb": 3, "cmyk": 4}  # channels of colour
_PROFILE = "icc-profile-data"


def meant(image: Any, kind: FileKind, name: str, data: bytes) -> Any:
    """The image with its colours and at most one channel behind them, alpha, and with the profile that its file means.
    Raises BadImage for values and colours that are not read.
    """
    if image.format not in ("uchar", "ushort"):
        raise BadImage("unsupported", f"{name} holds {image.format} values", wanted="8 or 16 bits a channel")
    if image.interpretation not in _COLOURS:
        raise BadImage("unsupported", f"{name} holds {image.interpretation} colours", wanted="gray, RGB or CMYK")
    count = _COLOURS[image.interpretation]
    image = _channels(image, count, tiff.extra_samples(data) if kind.word == "tiff" else (2,))
    icc, said = _embedded(image), numbers(kind, data)
    refuse_hdr(name, said or cicp.Said(transfer=cicp.transfer_of(icc)))
    if count != 3:
        return image
    if said and said.anything and (kind.word == "png" or not icc):  # a PNG's come first: third edition, 11.3.2.6
        return _with_profile(image, cicp.profile_of(said))
    if not icc and _is_adobe_rgb(image, kind, data):
        return _with_profile(image, cicp.profile(cicp.ADOBE_RGB, cicp.ADOBE_GAMMA))
    return image


def numbers(kind: FileKind, data: bytes) -> cicp.Said | None:
    """The colours that a file says by CICP."""
    if kind.word == "png":
        return _png_numbers(data)
    return boxes.cicp(data) if kind.word in ("avif", "heic") else None


def refuse_hdr(name: str, said: cicp.Said | None) -> None:
    """Raises BadImage for colours that no standard brings to sRGB."""
    if said and (foreign := cicp.foreign(said)):
        mend = "export it as an ordinary sRGB picture"
        raise BadImage("unsupported", f"{name} holds {foreign} colours, which are not read", mend=mend)


def to_srgb(image: Any) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3 or 4 (alpha)] of what `meant` gave. 16 bits become 8 by rint(v * 255 / 65535)."""
    colours, profile = _COLOURS[image.interpretation], _embedded(image)
    if image.interpretation == "cmyk":
        usable = profile and _channels_of(profile) == 4
        image = _transformed(image) if usable else _transformed(image, input_profile="cmyk", embedded=False)
    elif profile and _channels_of(profile) == colours and not _is_srgb(profile, colours):
        image = _transformed(image)
    if image.format == "ushort":
        image = image.maplut(_to_8_bits())
    pixels = np.asarray(image.numpy())
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] <= 2:
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=2)
    return pixels


def as_stored(image: Any) -> bool:
    """Whether `to_srgb` would give an image's bytes as they are, of three channels."""
    profile = _embedded(image)
    foreign = profile and _channels_of(profile) == 3 and not _is_srgb(profile, 3)
    return bool(image.interpretation == "srgb" and image.format == "uchar" and image.bands == 3 and not foreign)


def _channels(image: Any, colours: int, extra: tuple[int, ...]) -> Any:
    """The colours, then alpha: the first channel behind them that is said to be one. extra: as `tiff.extra_samples`;
    what is not said is no alpha, but infrared, a mask or anything else."""
    alpha = next((colours + at for at, what in enumerate(extra) if what in (1, 2)), image.bands)
    wanted = [*range(colours), *([alpha] if alpha < image.bands else [])]
    if wanted == list(range(image.bands)):
        return image
    kept = image.extract_band(0, n=colours)
    return kept.bandjoin(image.extract_band(alpha)) if alpha < image.bands else kept


def _embedded(image: Any) -> bytes:
    return bytes(image.get(_PROFILE)) if image.get_typeof(_PROFILE) else b""


def _with_profile(image: Any, icc: bytes) -> Any:
    image = image.copy()
    if icc:
        image.set_type(pyvips.GValue.blob_type, _PROFILE, icc)
    elif image.get_typeof(_PROFILE):
        image.remove(_PROFILE)
    return image


def _is_adobe_rgb(image: Any, kind: FileKind, data: bytes) -> bool:
    if kind.word == "tiff":
        return tiff.says_adobe_rgb(data)
    return bool(image.get_typeof("exif-data")) and tiff.says_adobe_rgb(bytes(image.get("exif-data")))


def _png_numbers(data: bytes) -> cicp.Said | None:
    """Of the chunk cICP, which comes before the pixels."""
    at = 8
    while (name := data[at + 4 : at + 8]) not in (b"IDAT", b""):
        length = int.from_bytes(data[at : at + 4], "big")
        sealed = zlib.crc32(data[at + 4 : at + 12]).to_bytes(4, "big")
        if name == b"cICP" and length == 4 and data[at + 12 : at + 16] == sealed:
            primaries, transfer, _, whole = data[at + 8 : at + 12]
            return cicp.Said(primaries, transfer, bool(whole))
        at += 12 + length
    return None


@lru_cache(maxsize=1)
def _to_8_bits() -> Any:
    table = (np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535
    return pyvips.Image.new_from_memory(table.astype(np.uint8).tobytes(), 65536, 1, 1, "uchar")


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


def _channels_of(profile: bytes) -> int:
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
    except pyvips.Error as error:
        blamed(error)
        return True
    return bool(np.abs(moved - grid).max() <= 1)
