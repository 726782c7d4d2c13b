"""What the corpus of odd images is made with: cases, scenes, encoders, and Pillow as the independent decoder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image, ImageCms, ImageOps

HEIGHT, WIDTH = 36, 52
BROKEN = ("truncated", "corrupt", "not_an_image")


@dataclass(frozen=True)
class Case:
    """One file. reasons: words, one of which it has to be refused with; () where it has to be right; "either" among
    them where it may also decode to anything of its size. wanted: uint8 [H, W, 3], or None: what Pillow makes of it.
    bound: grey levels that the worst value may be off, and the mean by a sixth of them (or by 1).
    """

    path: str
    reasons: tuple[str, ...] = ()
    wanted: np.ndarray | None = None
    bound: int = 0


Cases = Iterator[tuple[Case, bytes]]


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """uint8 [height, width, 3], smooth, no two of its orientations alike; another one for each seed."""
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    wave = 127 + 110 * np.sin(5 * x + 3 * y * y + seed)
    return np.stack([250 * x, 250 * y, wave], axis=-1).astype(np.uint8)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    """By Pillow."""
    image, file = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels), io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_vips(pixels: np.ndarray, ending: str, interpretation: str = "srgb", **options) -> bytes:
    """By libvips, where Pillow does not write the kind; read back by Pillow or known by construction."""
    forms = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
    height, width, bands = pixels.shape
    image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, bands, forms[str(pixels.dtype)])
    return bytes(image.copy(interpretation=interpretation).write_to_buffer(ending, **options))


def by_pillow(path: Path) -> np.ndarray:
    """The first frame upright in sRGB over white, uint8 [H, W, 3]."""
    image = Image.open(path)
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    opacity = np.asarray(image.convert("RGBA"))[..., 3:]
    image = image.convert("RGB") if image.mode not in ("L", "CMYK") else image
    if profile or image.mode == "CMYK":
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile or bytes(pyvips.Image.profile_load("cmyk"))))
        image = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), renderingIntent=1, outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
    return over_white(np.asarray(image.convert("RGB")).astype(np.uint32), opacity)


def over_white(colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    opacity = opacity.astype(np.uint32)
    return ((colours * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)
