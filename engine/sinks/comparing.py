"""Two ways to hold one picture against another: the score of their structure, and the distance of what is coarse.

A score is a correlation of whitened spectra: each frequency counts by the fourth root of its power, so that edges count
as much as large areas, and blur, contrast and casts of colour hardly matter. It is given over what chance makes of it:
its standard deviation over all shifts of one picture against the other.

A distance is that of colours, in grey levels, after a blur that leaves little noise. Of the same picture it says far
more than the score where noise is strong, of two different ones nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Pixels

WHITEN, BAND = 0.75, 0.14  # exponent of a spectrum's size; cycles per pixel: beyond it are noise and what blur took
BLUR, COARSEST = 2.0, 32  # pixels of standard deviation; pixels of the longer side that hold what is left
SAME = 2.0  # grey levels: nearer than that nothing is told apart
Plane = NDArray[np.float32]
Spectrum = NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True)
class Grid:
    """What depends on the size of images alone: float32, [h, w] or, of spectra, [h, w // 2 + 1]."""

    window: Plane
    band: Plane
    weight: Plane  # a real image's spectrum keeps one of each pair of conjugates
    down: Plane  # [h], cycles per pixel
    right: Plane  # [w // 2 + 1]

    @property
    def shape(self) -> tuple[int, int]:
        return self.window.shape[0], self.window.shape[1]


@lru_cache(maxsize=4)
def grid(height: int, width: int) -> Grid:
    """For images of a size."""
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    down, right = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    band = np.exp(-(down[:, None] ** 2 + right[None, :] ** 2) / (4 * BAND**2))
    band[0, 0] = 0
    weight = np.full(band.shape, 2.0)
    weight[:, 0] = 1
    if width % 2 == 0:
        weight[:, -1] = 1
    return Grid(*(one.astype(np.float32) for one in (window, band, weight, down, right)))


def gray(image: Pixels) -> Plane:
    """Luma, float32 [h, w]."""
    luma: Plane = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return luma


def spectrum(plane: Plane, of: Grid) -> Spectrum:
    """Of a plane without its mean, windowed."""
    mean = float((plane * of.window).sum() / of.window.sum())
    return np.fft.rfft2((plane - mean) * of.window)


def whitened(values: Spectrum, of: Grid) -> Spectrum:
    """A spectrum with little left of the sizes of its values, and nothing of its mean."""
    size = np.abs(values)
    found: Spectrum = values * (of.band / (size + 1e-3 * size.mean() + 1e-6) ** WHITEN)
    return found


def surface(one: Spectrum, other: Spectrum, of: Grid) -> Plane:
    """The scores of two whitened spectra at all shifts of the second, float32 [h, w], circular."""
    product = one.conj() * other
    chance = float(np.sqrt((of.weight * np.abs(product) ** 2).sum()))
    return (np.fft.irfft2(product, of.shape) * (of.window.size / (chance + 1e-12))).astype(np.float32)


def score(one: Spectrum, other: Spectrum, of: Grid) -> float:
    """Of two whitened spectra, without a shift."""
    return near(surface(one, other, of))


def in_phase(one: Spectrum, other: Spectrum, of: Grid) -> float:
    """The share of their product that two spectra have in phase, without a shift: 1 for the same picture."""
    product = one.conj() * other
    return float((of.weight * product.real).sum() / ((of.weight * np.abs(product)).sum() + 1e-12))


def near(scores: Plane) -> float:
    """The best at no shift, or at a pixel's along an axis."""
    return float(max(scores[0, 0], scores[0, 1], scores[1, 0], scores[0, -1], scores[-1, 0]))


def coarse(image: Pixels) -> Plane:
    """What is coarse of an image [h, w, 3], float32 [32 or less, 32 or less, 3]."""
    blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), BLUR)
    share = min(1.0, COARSEST / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * share)), max(1, round(image.shape[0] * share))
    return cv2.resize(blurred, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def apart(one: Plane, other: Plane) -> float:
    """The distance of two of one size, in grey levels (root mean square), SAME at least."""
    return float(np.sqrt(np.mean((one - other) ** 2))) + SAME
