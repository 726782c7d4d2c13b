"""Whether an LR lies on its HR and has its colours.

Both measures hold an LR against its HR at LR size (area averaging) and have to live with what degrades an LR: strong
blur, noise that is clipped, JPEG. What cannot be seen is not a shift (`bench check` says how much is seen).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Pixels
from .comparing import Grid, Plane, Spectrum, apart, coarse, gray, grid, near, score, spectrum, surface, whitened

CLIPPED = 0.4  # of a noise's standard deviation: 1 / sqrt(2 pi), by which clipping at black moves a mean
SMALLEST = 24  # pixels: a smaller LR shows too little to accuse
ALL_CLIPPED, END = 80.0, 32  # grey levels, for a picture that lies in the last END levels
COLOUR, BORDER = 10.0, 128.0  # grey levels; the second over the LR's side, for what blur brings in from outside
STEP, RADIUS = 0.25, 3.5  # pixels: the grid on which a small shift is looked for, and how far
SURE = 13.0  # standard deviations
OVERLAP = 16  # pixels that both must share after a large shift
LEAST, MARGIN = 8.5, 3.5  # a score that is no chance, the best of all shifts, and how much more than none is clear
CHANCE, NEARER = 5.0, 1.5  # a score that may be chance, and how many times nearer what is coarse has to lie then


def bring_down(gt: Pixels, lq: Pixels) -> Pixels:
    """The HR at LR size. gt: uint8 [s*h, s*w, 3], lq: uint8 [h, w, 3], s whole."""
    small: Pixels = cv2.resize(gt, (lq.shape[1], lq.shape[0]), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


def colour_shift(sharp: Pixels, lq: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(mean of LR - HR a channel, how much of it can be innocent a channel), in grey levels. Both uint8 [h, w, 3].

    Noise that is clipped moves a mean away from the end of the scale: by a share of the noise that is left, and where
    all of the picture is near white or black by much more, since blur may have followed the noise."""
    measured = cv2.meanStdDev(cv2.subtract(lq, sharp, dtype=cv2.CV_16S))
    mean, deviation = (np.asarray(one, np.float64).ravel() for one in measured)
    clipped = np.where(mean < 0, (sharp >= 256 - END).mean(axis=(0, 1)), (sharp < END).mean(axis=(0, 1)))
    noise = CLIPPED * deviation.max()
    allowed: NDArray[np.float64] = COLOUR + BORDER / min(lq.shape[:2]) + noise + ALL_CLIPPED * clipped**2
    return mean, allowed


def shift(sharp: Pixels, lq: Pixels) -> tuple[float, float]:
    """(down, right) in pixels by which the content of the LR lies beside that of the HR; (0, 0) where that cannot be
    seen. Both uint8 [h, w, 3].

    A large shift is believed if what both then share scores clearly more than both do as they are; a small one, whose
    score is much like that of none, if their difference is far more than chance makes of it.
    """
    of = grid(*lq.shape[:2])
    if min(of.shape) < SMALLEST:
        return 0.0, 0.0
    one, other = (whitened(spectrum(gray(image), of), of) for image in (sharp, lq))
    scores = surface(one, other, of)
    down, right = _peak(scores)
    if max(abs(down), abs(right)) >= RADIUS and _large(sharp, lq, down, right, near(scores)):
        return float(down), float(right)
    return _small(one, other, of)


def _peak(scores: Plane) -> tuple[int, int]:
    (height, width), (down, right) = scores.shape, np.unravel_index(int(scores.argmax()), scores.shape)
    return (int(down) + height // 2) % height - height // 2, (int(right) + width // 2) % width - width // 2


def _large(sharp: Pixels, lq: Pixels, down: int, right: int, own: float) -> bool:
    """Whether the LR's content lies so far down and right of the HR's: what both then share is clearly more alike than
    both are as they are. own: the score of these."""
    height, width = lq.shape[:2]
    if height - abs(down) < OVERLAP or width - abs(right) < OVERLAP:
        return False
    there = sharp[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    here = lq[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)]
    of = grid(*here.shape[:2])
    one, other = (whitened(spectrum(gray(image), of), of) for image in (there, here))
    shared, nearer = score(one, other, of), apart(coarse(sharp), coarse(lq)) / apart(coarse(there), coarse(here))
    return (shared > max(LEAST, own + MARGIN) and nearer > 1) or (shared > max(CHANCE, own) and nearer > NEARER)


def _small(one: Spectrum, other: Spectrum, of: Grid) -> tuple[float, float]:
    """The shift of at most RADIUS with the best score, (0, 0) where that is not surely more than the score of none: in
    standard deviations of the difference, whose noise is what is out of phase at the best."""
    product = one.conj() * other
    places = np.arange(-RADIUS, RADIUS + STEP / 2, STEP)
    rows = np.exp(2j * np.pi * np.outer(places, of.down)).astype(np.complex64)
    columns = np.exp(2j * np.pi * np.outer(of.right, places)).astype(np.complex64)
    scores = (rows @ (of.weight * product) @ columns).real
    at, still = np.unravel_index(int(scores.argmax()), scores.shape), len(places) // 2
    down, right = float(places[at[0]]), float(places[at[1]])
    turned = np.outer(rows[at[0]], columns[:, at[1]])
    power = of.weight * np.abs(product) ** 2
    noise = 2 * (of.weight * (product * turned).imag ** 2).sum()
    unlike = 2 * (1 - (power * turned.real).sum() / (power.sum() + 1e-12))
    sure = (scores[at] - scores[still, still]) / (np.sqrt(noise * unlike) + 1e-9)
    return (down, right) if sure > SURE else (0.0, 0.0)
