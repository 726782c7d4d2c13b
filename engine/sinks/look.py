"""What is wrong with one pair, by itself: with its images, then with an LQ that is not what becomes of its GT."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..images import BadImage, Encoded, Format, Pixels, read_rgb
from . import alignment
from .likeness import likeness
from .pairs import Problem, Sample, Size

SHIFT = 0.75  # LR pixels beside its HR: less is what some degraders do
_HEADS = {"png": ("PNG", 0, b"\x89PNG\r\n\x1a\n"), "webp": ("lossless WebP", 8, b"WEBPVP8L")}  # name, place, bytes
FLAT = 0.5  # grey levels of standard deviation, below which an image is one colour


@dataclass(frozen=True)
class Doubt:
    """On an LQ that hardly shows its GT. trace: of its picture; sure: whether it should show it, were it the GT's."""

    trace: bytes
    sure: bool


@dataclass(frozen=True)
class Looked:
    """What one pair is by itself. gt_size: None where the GT is no image; gt, lq, row: hashes of the stored bytes;
    trace: of the GT's picture, for `owners`; doubt: on whether the LQ shows it too."""

    stem: str
    problems: tuple[Problem, ...]
    gt_size: Size | None
    lq_size: Size | None
    gt: bytes
    lq: bytes
    row: bytes | None
    trace: bytes | None
    doubt: Doubt | None


def look(sample: Sample, scale: int | None, file_format: Format | None = "png") -> Looked:
    """One pair by itself. scale: that the plan asks for, None where it is not known; file_format: of both images, None
    for whatever trainers read. Never raises for bad images.
    """
    problems: list[Problem] = []
    trace, doubt = None, None

    def say(what: str, wanted: str, came: str) -> None:
        problems.append(Problem(sample.stem, what, wanted, came))

    gt, lq = (_decode(data, role, file_format, say) for role, data in (("GT", sample.gt), ("LQ", sample.lq)))
    if gt is not None and lq is not None:
        ratio = gt.shape[0] // lq.shape[0] if scale is None else scale
        if ratio < 1 or gt.shape[:2] != (lq.shape[0] * ratio, lq.shape[1] * ratio):
            whole = "the same whole number of times" if scale is None else f"{scale} times"
            say("size", f"a GT {whole} as large as the LQ", f"{_size(gt)} and {_size(lq)}")
        elif not problems:
            sharp = alignment.bring_down(gt, lq)
            one_colour = [_flat(image) for image in (gt, lq)]
            if any(one_colour):  # it has no place
                _constant(sharp, lq, one_colour, say)
            else:
                trace, doubt = _compared(sharp, lq, say)
    return Looked(
        sample.stem, tuple(problems), _shape(gt), _shape(lq), hashed(sample.gt), hashed(sample.lq),
        None if sample.row is None else hashed(sample.row), trace, doubt,
    )  # fmt: skip


def hashed(data: bytes) -> bytes:
    """16 bytes that stand for others."""
    return hashlib.blake2b(data, digest_size=16).digest()


def _decode(data: bytes, role: str, file_format: Format | None, say: Any) -> Pixels | None:
    """uint8 [H, W, 3], or None for what is no whole image of the wanted kind."""
    return _foreign(data, role, say) if file_format is None else _own(data, role, file_format, say)


def _own(data: bytes, role: str, file_format: Format, say: Any) -> Pixels | None:
    """Of an 8-bit RGB PNG or lossless WebP."""
    kind, at, head = _HEADS[file_format]
    wanted = f"{role} as a whole 8-bit RGB {kind}"
    if data[at : at + len(head)] != head:
        say("mode", wanted, f"no {kind}" if data else "no bytes")
        return None
    try:
        with Image.open(io.BytesIO(data), formats=(file_format.upper(),)) as image:
            image.load()
            mode, extras = image.mode, {"icc_profile", "exif", "transparency"} & image.info.keys()
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        say("mode", wanted, f"one that cannot be decoded ({error})")
        return None
    bits = data[24] if file_format == "png" else 8
    if mode != "RGB" or bits != 8:
        say("mode", wanted, f"{bits} bits, {mode}")
        return None
    if extras:
        say("mode", f"{role} without profile, EXIF or transparency", ", ".join(sorted(extras)))
    return pixels


def _foreign(data: bytes, role: str, say: Any) -> Pixels | None:
    """Of any image that the engine reads, opaque."""
    try:
        return read_rgb(Encoded(role, data), alpha="refuse")
    except BadImage as error:
        say("mode", f"{role} as a whole, opaque image", error.fact)
        return None


def _flat(image: Pixels) -> bool:
    return float(cv2.meanStdDev(image)[1].max()) < FLAT


def _constant(sharp: Pixels, lq: Pixels, flat: list[bool], say: Any) -> None:
    """Of a pair whose GT or LQ is of one colour, as a clear sky is: what the other shows may be noise, or so faint that
    a blur took it, and no picture. flat: whether each is. An LQ of one colour has no noise that moves its mean; what
    noise does to a GT of one colour has no bound."""
    difference, allowed = alignment.colour_shift(sharp, lq)
    moved = flat[1] and bool((np.abs(difference) > allowed).any())
    for role, one, other, alone in (("LQ", lq, sharp, flat[1]), ("GT", sharp, lq, flat[0])):
        found = likeness(one, other) if alone else None
        if (found and found.foreign) or (role == "LQ" and moved):
            mean = one.mean(axis=(0, 1))
            came = "black" if mean.max() < 1 else f"one colour ({', '.join(f'{value:.0f}' for value in mean)})"
            say("constant", f"a {role} with a picture", came)
            return


def _compared(sharp: Pixels, lq: Pixels, say: Any) -> tuple[bytes | None, Doubt | None]:
    """(the trace of the GT, doubt on the LQ's picture), after what is wrong for certain is said. sharp: the GT at LR
    size."""
    found = likeness(sharp, lq)
    trace = found.traces[0] if found else None
    if found and found.turned:
        say("turned", "an LQ that stands as its GT does", f"the GT {found.turned}")
        return trace, None
    if found and found.order != "RGB":
        say("channels", "an LQ with R, G and B as in its GT", f"the GT's {', '.join(found.order)}")
        return trace, None
    down, right = alignment.shift(sharp, lq)
    moved = np.hypot(down, right) >= SHIFT
    if moved:
        say("shift", f"an LQ less than {SHIFT} pixels beside the GT", f"{down:+.1f} down, {right:+.1f} right")
    doubt = Doubt(found.traces[1], found.foreign) if found and found.doubtful and not moved else None
    difference, allowed = alignment.colour_shift(sharp, lq)
    if (np.abs(difference) > allowed).any() and not (doubt and doubt.sure):  # another picture has other colours
        levels = ", ".join(f"{value:+.0f}" for value in difference)
        say("colour", f"mean R, G, B of the LQ within {allowed.max():.0f} levels of the GT's", levels)
    return trace, doubt


def _shape(image: Pixels | None) -> Size | None:
    return None if image is None else (image.shape[0], image.shape[1])


def _size(image: Pixels) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
