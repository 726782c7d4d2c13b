"""Whether an LR shows its HR, or that one turned, mirrored, with its colour channels swapped, or another picture.

Both are compared at LR size, 128 pixels at most. What is wrong is decided by comparison (`comparing`): another form of
the HR has to score clearly more than the HR itself, or to lie clearly nearer. For a picture that is nowhere else in the
set there is no such form. Then the HR has to score next to nothing though it should not: of the coarse structure of
the LR more must be left over than blur and noise explain. A flat HR under noise scores nothing either, and leaves
nothing over: it cannot be judged, and passes.

The bounds were chosen so that the right pairs at hand were not accused. `bench check` measures that on other pairs, and
how many wrong ones are found (docs/check.md). Where a bound grows for small images, chance does: what it bounds is made
of so many independent values, and their number goes with the area.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Pixels
from .comparing import WHITEN, Grid, Plane, Spectrum, apart, coarse, gray, grid, in_phase, score, spectrum, whitened

LARGEST = 128  # pixels of the longer side
SMALLEST = 24  # pixels of the shorter side: less shows too little to accuse
LEAST, MARGIN = 7.0, 2.5  # a score that is no chance, and how much more than another is clearly more
NEARER = 1.5  # times: clearly nearer
RECOLOURED, CHANCE = 0.25, 12.0  # how much nearer than once colours have to be; the second over the shorter side
SETTLED = 0.75  # share in phase, beyond which no other form is looked for
DOUBTFUL, FOREIGN = 6.5, 5.5  # scores that may be those of another picture, and are
REST, SMALL = 11.0, 350.0  # grey levels; the second over the shorter side
COARSE = 0.06  # cycles per pixel: what even the strongest degradation leaves
BLURS = (0, 1, 2, 4, 8)  # pixels
GAIN = (0.6, 1.4)  # of an LR's contrast over its HR's
CYCLES = 10  # an image: of the coarsest structure, by which a picture is found again among many
TRACE_UNIT = 800.0  # length of a trace: 316 values, 45 each if all were alike

FORMS: dict[str, Callable[[Plane], Plane]] = {
    "turned by 180 degrees": lambda plane: plane[::-1, ::-1],
    "mirrored left to right": lambda plane: plane[:, ::-1],
    "mirrored top to bottom": lambda plane: plane[::-1],
    "turned left by 90 degrees": lambda plane: np.rot90(plane),
    "turned right by 90 degrees": lambda plane: np.rot90(plane, -1),
    "with rows and columns swapped": lambda plane: plane.swapaxes(0, 1),
    "with rows and columns swapped, turned by 180 degrees": lambda plane: plane[::-1, ::-1].swapaxes(0, 1),
}
SQUARE = 3  # the forms from here on exist for square images alone


@dataclass(frozen=True)
class Likeness:
    """How an LR shows its HR. turned: the form of the HR that it shows instead, "" for none; order: of the HR's
    channels in it; score: of the HR; foreign: whether it shows another picture; traces: of HR and LR, for `owners`."""

    turned: str
    order: str
    score: float
    foreign: bool
    traces: tuple[bytes, bytes]

    @property
    def doubtful(self) -> bool:
        """Whether it hardly shows its HR."""
        return self.score < DOUBTFUL


def likeness(sharp: Pixels, lq: Pixels) -> Likeness | None:
    """Both uint8 [h, w, 3]; None where they are too small to tell."""
    height, width = lq.shape[:2]
    if min(height, width) < SMALLEST:
        return None
    if max(height, width) > LARGEST:
        scale = LARGEST / max(height, width)
        size = max(SMALLEST, round(width * scale)), max(SMALLEST, round(height * scale))
        sharp, lq = (cv2.resize(one, size, interpolation=cv2.INTER_AREA).astype(np.uint8) for one in (sharp, lq))
    of, plane, colours = grid(*lq.shape[:2]), gray(sharp), (coarse(sharp), coarse(lq))
    one, other = spectrum(plane, of), spectrum(gray(lq), of)
    high, low = whitened(one, of), whitened(other, of)
    own = score(high, low, of)
    turned = "" if in_phase(high, low, of) > SETTLED else _turned(plane, low, own, *colours, of)
    foreign = own < FOREIGN and _rest(one, other, of) > REST + SMALL / min(of.shape)
    return Likeness(turned, _order(*colours, min(of.shape)), own, foreign, (_trace(one, of), _trace(other, of)))


def _turned(plane: Plane, low: Spectrum, own: float, there: Plane, here: Plane, of: Grid) -> str:
    """The form of the HR that is clearly more like the LR than the HR itself is. plane: the HR's gray; low: the LR's
    spectrum, whitened; own: the HR's score; there, here: what is coarse of both."""
    forms = list(FORMS.items())[: None if of.shape[0] == of.shape[1] else SQUARE]
    distance, found = apart(there, here), {}
    for name, form in forms:
        in_form = score(whitened(spectrum(form(plane), of), of), low, of)
        nearer = distance / apart(form(there), here)
        if (in_form > max(LEAST, own + MARGIN) and nearer > 1) or (in_form > own and nearer > NEARER):
            found[name] = nearer
    return max(found, key=found.__getitem__, default="")


def _order(there: Plane, here: Plane, side: int) -> str:
    """The order of the HR's channels in the LR: as they are, unless the colours lie clearly nearer in another. What
    counts is what channels have beyond gray, and nearer has to be its pattern too: a cast of colour moves means. side:
    the shorter one of the images. Of 10,000 right pairs the largest ratio was 1 + 8.4 / side."""
    there, here = (one - one.mean(axis=2, keepdims=True) for one in (there, here))
    pattern, seen = (one - one.mean(axis=(0, 1)) for one in (there, here))
    distance = {order: apart(pattern[..., order], seen) for order in permutations(range(3))}
    best = min(distance, key=distance.__getitem__)
    ratio = 1 + max(RECOLOURED, CHANCE / side)
    clearly = distance[0, 1, 2] > ratio * distance[best] and apart(there, here) > apart(there[..., best], here)
    return "".join("RGB"[n] for n in best) if clearly else "RGB"


def _rest(sharp: Spectrum, lq: Spectrum, of: Grid) -> float:
    """Standard deviation of what is left of an LR's coarse structure without the HR's, blurred and scaled as fits."""
    squared = of.down[:, None] ** 2 + of.right[None, :] ** 2
    low = np.exp(-squared / (2 * COARSE**2))
    low[0, 0] = 0
    coarse = lq * low

    def product(one: Spectrum, other: Spectrum) -> float:
        return float((of.weight * (one.conj() * other).real).sum())

    whole = least = product(coarse, coarse)
    for blur in BLURS:
        there = sharp * (low * np.exp(-2 * (np.pi * blur) ** 2 * squared))
        power, shared = product(there, there), product(there, coarse)
        gain = min(max(shared / (power + 1e-9), GAIN[0]), GAIN[1])
        left = whole - 2 * gain * shared + gain**2 * power
        least = left if blur == 0 else min(least, left)
    pixels = of.window.size * float((of.window**2).sum())
    return float(np.sqrt(max(least, 0.0) / pixels))


def _trace(values: Spectrum, of: Grid) -> bytes:
    """The phases of the coarsest structure, signed bytes: their product with another picture's is a score."""
    rows, columns = _coarsest(*of.shape)
    picked = values[rows, columns]
    size = np.abs(picked)
    picked = picked / (size + 1e-3 * size.mean() + 1e-6) ** WHITEN
    parts = np.concatenate([picked.real, picked.imag])
    parts = parts / (np.linalg.norm(parts) + 1e-9) * TRACE_UNIT
    return bytes(np.clip(np.rint(parts), -127, 127).astype(np.int8).tobytes())


@lru_cache(maxsize=4)
def _coarsest(height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the values of a spectrum within CYCLES, one of each pair of conjugates."""
    down, right = np.mgrid[-CYCLES : CYCLES + 1, 0 : CYCLES + 1]
    kept = (down**2 + right**2 <= CYCLES**2) & ((right > 0) | (down > 0))
    return down[kept] % height, right[kept]
