"""Real pairs to measure on: photographs spread evenly over two folders, cut at their centres, the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engine.draws import Photograph
from ..engine.errors import DegradeError
from ..engine.images import BadImage, read_rgb, resize_bicubic
from ..engine.inputs.sources import from_folders

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pairs:
    """n pairs at LR size. content: u8 [n, s, s, 3], the HR crops, antialiased bicubic; reference: u8 [n, s, s, 3],
    crops and never resampled; names: (HR, reference) of each, relative to their folders."""

    content: Pixels
    reference: Pixels
    names: tuple[tuple[str, str], ...]


def read_pairs(hr: Path, reference: Path, count: int, *, lr_size: int, scale: int) -> Pairs:
    """`count` pairs of two folders; one with fewer photographs gives some of them again. DegradeError if a folder has
    none that is large enough and can be read."""
    found = from_folders(hr, reference, hr_size=scale * lr_size, reference_size=lr_size)
    sharp = _crops(hr, found.hr, count, scale * lr_size)
    real = _crops(reference, found.reference, count, lr_size)
    return Pairs(
        np.stack([resize_bicubic(pixels, (lr_size, lr_size)) for _, pixels in sharp]),
        np.stack([pixels for _, pixels in real]),
        tuple((a, b) for (a, _), (b, _) in zip(sharp, real, strict=True)),
    )


def _crops(folder: Path, photographs: Sequence[Photograph], count: int, side: int) -> list[tuple[str, Pixels]]:
    """(name, centre crop u8 [side, side, 3]) of `count` photographs; one that does not decode gives way to another."""
    some = {i * len(photographs) // count for i in range(count)} if photographs else set()
    order = sorted(range(len(photographs)), key=lambda i: (i not in some, i))
    good: list[tuple[str, Pixels]] = []
    for photograph in (photographs[i] for i in order):
        if len(good) == count:
            break
        try:
            pixels = read_rgb(folder / photograph.path)
        except BadImage:
            continue
        top, left = ((length - side) // 2 for length in pixels.shape[:2])
        good.append((photograph.path, np.ascontiguousarray(pixels[top : top + side, left : left + side])))
    if not good:
        raise DegradeError(
            f"{folder} has no photograph that can be used", wanted=f"at least one of {side} x {side} pixels or more"
        )
    return list(islice(cycle(good), count))
