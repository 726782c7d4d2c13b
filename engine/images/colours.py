"""An opened image's pixels in sRGB: profiles, CMYK, 16 bits and gray."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from .proof import blamed


def to_srgb(image: Any) -> npt.NDArray[Any]:
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
    except pyvips.Error as error:
        blamed(error)
        return True
    return bool(np.abs(moved - grid).max() <= 1)
