"""From a planned pair to pixels: decode, crop, bring to LR size, degrade the start image where the plan asks
for it.

Runs in a small pool of threads ahead of the engine (decoding, resizing and OpenCV release the interpreter
lock; `stages.py`). A pair whose photograph turns out to be unusable is drawn anew here, before its batch is
formed; what replaces it depends only on seed, pair and attempt, so a resumed run does the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import images
from ..draws import Crop, Draw, Photograph
from ..plan import Plan
from ..starts import start_image
from . import reading
from .decoded import Decoded
from .flat import is_flat, relief
from .folders import Place
from .photographs import Reject

Pixels = NDArray[np.uint8]  # [height, width, 3], RGB, sRGB


@dataclass(frozen=True)
class Inputs:
    """The pixels of one pair. h = w = the engine's LR size, s = the scale."""

    draw: Draw
    gt: Pixels  # [s*h, s*w, 3] the HR crop
    content: Pixels  # [h, w, 3] the HR crop at LR size, antialiased bicubic
    reference: Pixels | None  # [h, w, 3] a crop, not a resize: its degradation is what is wanted; None: not read
    others: list[Pixels]  # [h, w, 3] each: further references
    start: Pixels | None  # [h, w, 3]; None = the engine's own reconstruction
    start_record: dict[str, Any]  # how the start image was made, for the manifest
    gt_file: Path | None = None  # the local file whose whole image the GT is


@dataclass(frozen=True)
class Outcome:
    """What came of loading a pair: its inputs, or None and why."""

    pair: int
    inputs: Inputs | None
    rejects: tuple[Reject, ...]
    decode_s: float  # of one thread, reading and cropping
    degrade_s: float = 0.0  # of one thread, resizing and making the start image


@dataclass(frozen=True)
class Folders:
    """Where the plan's relative paths start. Not part of the plan: the same images make the same pairs anywhere."""

    hr: Place
    reference: Place


def load(plan: Plan, folders: Folders, decoded: Decoded, pair: int) -> Outcome:
    """Pixels of a pair, drawn anew (with a pair list: not) when a photograph is unusable by its bytes. Raises
    MachineFault where one cannot be read: then nothing is known of it.
    """
    began = time.perf_counter()
    rejects: list[Reject] = []
    for attempt in range(plan.attempts):
        draw = plan.draw(pair, attempt)
        if draw is None:  # the list names an input that the inventory has already put among the rejects
            rejects.append(Reject("pair", str(pair), "unusable_input", "an input of this pair of the list is unusable"))
            return Outcome(pair, None, tuple(rejects), time.perf_counter() - began)
        alpha = plan.options.alpha
        sharp = _read(decoded, folders.hr, "hr", draw.hr, alpha, rejects)
        photos = [photo for photo in (draw.reference, *(one for one, _ in draw.others)) if photo is not None]
        real = [_read(decoded, folders.reference, "reference", photo, alpha, rejects) for photo in photos]
        usable = [one for one in real if one is not None]
        if sharp is not None and len(usable) == len(real):
            read, gt = time.perf_counter(), _cut(sharp, draw.hr_crop)
            draw, references = _references(draw, usable)
            inputs = replace(_inputs(plan, draw, gt, references), gt_file=_whole(folders.hr, draw))
            return Outcome(pair, inputs, tuple(rejects), read - began, time.perf_counter() - read)
    said = f"no usable input after {plan.attempts} draws" if plan.attempts > 1 else "an input of this pair is unusable"
    rejects.append(Reject("pair", str(pair), "unusable_input", said))
    return Outcome(pair, None, tuple(rejects), time.perf_counter() - began)


def _read(
    decoded: Decoded, place: Place, role: str, photo: Photograph, alpha: images.Alpha, rejects: list[Reject]
) -> Pixels | None:  # fmt: skip
    try:
        return decoded.read((role, photo.path), lambda: reading.read(place, photo, alpha=alpha))
    except images.BadImage as bad:
        rejects.append(Reject(role, photo.path, bad.reason, str(bad)))
        return None


def _cut(pixels: Pixels, crop: Crop) -> Pixels:
    y, x, h, w = crop
    return np.ascontiguousarray(pixels[y : y + h, x : x + w])


def _references(draw: Draw, photographs: list[Pixels]) -> tuple[Draw, list[Pixels]]:
    """The references' crops, and the draw with those that were taken. A flat one gives way to the first spare that is
    not; of a photograph that is flat all over, the least flat is taken."""
    if not any(draw.spares):
        crops = [crop for crop in (draw.reference_crop, *(crop for _, crop in draw.others)) if crop is not None]
        return draw, [_cut(pixels, crop) for pixels, crop in zip(photographs, crops, strict=True)]
    taken, passed_over, flat = list[tuple[Crop, Pixels]](), 0, 0
    own = (draw.reference_crop, *(crop for _, crop in draw.others))
    for pixels, crop, spares in zip(photographs, own, draw.spares, strict=True):
        tried = list[tuple[Crop, Pixels]]()
        for one in (crop, *spares):
            assert one is not None  # there are as many as photographs
            tried.append((one, _cut(pixels, one)))
            if not is_flat(tried[-1][1]):
                break
        else:
            flat += 1
            tried.append(max(tried, key=lambda one: relief(one[1])))
        taken.append(tried[-1])
        passed_over += tried[-1][0] != crop
    others = tuple((photo, crop) for (photo, _), (crop, _) in zip(draw.others, taken[1:], strict=True))
    draw = replace(draw, reference_crop=taken[0][0], others=others, passed_over=passed_over, flat=flat)
    return draw, [pixels for _, pixels in taken]


def _whole(place: Place, draw: Draw) -> Path | None:
    whole = draw.hr_crop == (0, 0, draw.hr.height, draw.hr.width)
    return place.local(draw.hr.path) if whole else None


def _inputs(plan: Plan, draw: Draw, gt: Pixels, references: list[Pixels]) -> Inputs:
    options = plan.options
    content = images.resize_bicubic(gt, (plan.lr_size, plan.lr_size))
    start, record = start_image(
        options.recipe.start, plan.degrader, gt, content, scale=options.scale, seed=options.seed, pair=draw.pair,
        noise_seed=draw.noise_seed,
    )  # fmt: skip
    return Inputs(draw, gt, content, references[0] if references else None, references[1:], start, record)
