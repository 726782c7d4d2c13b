"""A part of the user's photographs that a fit does not see, and how near LR come to it, without pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import DegradeError
from ..engine.images import resize_bicubic
from ..engine.report.filters import detail_features
from ..engine.report.frechet import Moments, between
from ..engine.report.gathered import cut, tiles
from ..engine.report.measures import MEASURES, Measured, measure
from .camera import Sharp
from .nearness import nearness

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Photograph = tuple[Path, Pixels]
Make = Callable[[Sequence[Pixels], Sequence[Pixels], Sequence[Sequence[int]], int], list[Pixels]]
"""A model: (contents, references, which of these each content has, seed) -> LR."""

FEWEST = 6  # photographs; four of them are tuned on
SHARE, MOST = 3, 24  # one photograph in so many is held out, at most so many
SIDES = (128, 96, 64)  # of the crops that are measured, LR pixels: the largest that gives ENOUGH
ENOUGH = 24  # crops of the held-out photographs
LOOKED = 48  # LR of the model; crops of the held-out photographs at most
REFERENCE, REFERENCES = 128, 24  # LR pixels a side of a reference, at most; how many there are to choose from
POOL, FAR = 600, 1e6  # sharp crops that contents are chosen from; a distance above all
WINDOW = 8  # pixels a side
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601


def split(photographs: Sequence[Photograph]) -> tuple[list[Photograph], list[Photograph]]:
    """(those to tune on, those held out), by the photographs' pixels alone: not by name, order or chance. Copies of a
    photograph count once. Raises DegradeError for fewer than FEWEST."""
    by_content: dict[str, Photograph] = {}
    for path, pixels in photographs:
        by_content.setdefault(hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest(), (path, pixels))
    if len(by_content) < FEWEST:
        raise DegradeError(
            f"--lr holds {len(by_content)} different photographs that can be used",
            wanted=f"{FEWEST} or more, since every third is held out to judge by; thirty are better",
            mend="give more photographs of this camera",
        )
    ordered = [by_content[key] for key in sorted(by_content)]
    held = min(len(ordered) // SHARE, MOST)
    return ordered[held:], ordered[:held]


def side_of(photographs: Sequence[Photograph]) -> int:
    """Of the crops to measure, for photographs of 64 pixels a side or more."""
    shapes = [pixels.shape[:2] for _, pixels in photographs]
    for side in SIDES:
        if sum((h // side) * (w // side) for h, w in shapes) >= ENOUGH:
            return side
    return SIDES[-1]


def crops(photographs: Sequence[Photograph], side: int, most: int, seed: int) -> list[Pixels]:
    """At most about so many crops that do not overlap, from all photographs alike."""
    each, found = -(-most // len(photographs)), list[Pixels]()
    for at, (_, pixels) in enumerate(photographs):
        height, width = pixels.shape[:2]
        dice = np.random.default_rng((seed, at))
        found += [cut(pixels, one) for one in tiles(height, width, side, each, dice)]
    return found


def sharp_crops(hr: Sequence[Pixels], like: Sequence[Pixels], count: int, seed: int) -> list[Sharp]:
    """Crops of sharp photographs whose content is like that of `like`, crops of a camera of one size: for each of these
    in turn the nearest that is left, of POOL. Each is at the largest scale of 4, 2 and 1 that its photograph has room
    for. So what is measured of LR differs by the camera and not by how much sky there is. Raises DegradeError where no
    photograph has room."""
    side = len(like[0])
    room = [(one, next(scale for scale in (4, 2, 1) if min(one.shape[:2]) >= scale * side))
            for one in hr if min(one.shape[:2]) >= side]  # fmt: skip
    if not room:
        raise DegradeError(f"no sharp photograph is {side} px on both sides", wanted="larger ones in --hr")
    dice, pool = np.random.default_rng(seed), list[Sharp]()
    for at in dice.permutation(max(POOL, len(room)))[:POOL].tolist():
        image, scale = room[at % len(room)]
        size = scale * side
        top, left = (int(dice.integers(0, n - size + 1)) for n in image.shape[:2])
        pool.append(Sharp(np.ascontiguousarray(image[top : top + size, left : left + size]), scale, 0))
    there = np.stack([content_of(resize_bicubic(one.pixels, (side, side))) for one in pool])
    wanted = np.stack([content_of(one) for one in like])
    far = np.square((wanted[:, None] - there[None]) / there.std(axis=0).clip(1e-3)).sum(axis=2)
    found = []
    for at in range(count):
        nearest = int(np.argmin(far[at % len(like)]))
        far[:, nearest] += FAR  # taken again only where all others are
        found.append(replace(pool[nearest], partner=at % len(like)))
    return found


def content_of(image: Pixels) -> Floats:
    """What an image shows, of that which a camera hardly changes, [5]: light, contrast, colour, and how rough its quiet
    and its middling places are, each of the image at half its size."""
    height, width = (length // 2 for length in image.shape[:2])
    half = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    luma = half @ LUMA
    red, blue = 0.713 * (half[..., 0] - luma), 0.564 * (half[..., 2] - luma)
    rows, columns = (length // WINDOW * WINDOW for length in luma.shape)
    windows = luma[:rows, :columns].reshape(rows // WINDOW, WINDOW, -1, WINDOW).std(axis=(1, 3)).ravel()
    quiet, middle = np.quantile(windows, [0.1, 0.5])
    spreads = np.array([luma.std(), np.hypot(red.std(), blue.std()), quiet, middle])
    return np.concatenate([[luma.mean() / 64], np.log(spreads + 1)])


@dataclass(frozen=True)
class Standing:
    """How near LR are to the held-out photographs. distance: by measures (nearness.py); detail: Fréchet, of fine detail
    by random filters; medians: of the LR, by measure, where it can be told."""

    distance: float
    detail: float
    medians: dict[str, float]


class Judge:
    """The held-out crops, measured once, and what a model is asked to make: LR of the user's sharp photographs with
    references from those it is tuned on. The same seed asks the same. references: of each pair."""

    def __init__(self, held: Sequence[Photograph], tuned: Sequence[Photograph], hr: Sequence[Pixels],
                 references: int, seed: int) -> None:  # fmt: skip
        side = side_of(held)
        self.camera = crops(held, side, LOOKED, seed)
        self.measured = [measure(one) for one in self.camera]
        self.sharp = sharp_crops(hr, self.camera, LOOKED, seed)
        self.partners, self.photographs = [self.measured[one.partner] for one in self.sharp], len(held)
        self.contents = [resize_bicubic(one.pixels, (side, side)) for one in self.sharp]
        size = min(REFERENCE, *(min(pixels.shape[:2]) for _, pixels in tuned))
        self.references = crops(tuned, size, REFERENCES, seed)
        dice = np.random.default_rng(seed)
        self.chosen = dice.integers(0, len(self.references), (LOOKED, references)).tolist()
        self.seed = seed

    def __call__(self, make: Make) -> Standing:
        return self.standing(make(self.contents, self.references, self.chosen, self.seed))

    def standing(self, lr: Sequence[Pixels]) -> Standing:
        """Of any LR."""
        found = [measure(one) for one in lr]
        moments = Moments(detail_features([*lr, *self.camera]))
        rows = np.arange(len(lr) + len(self.camera))
        detail = between(moments, rows[: len(lr)], rows[len(lr) :])
        return Standing(round(nearness(found, self.partners, self.photographs), 4), round(detail, 5), medians(found))


def medians(found: Sequence[Measured | None]) -> dict[str, float]:
    """Of the images that can tell, by measure."""
    values = {of.key: [one.values[of.key] for one in found if one] for of in MEASURES}
    return {key: round(float(np.nanmedian(some)), 4) for key, some in values.items() if not np.isnan(some).all()}
