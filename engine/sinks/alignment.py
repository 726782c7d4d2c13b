"""Whether an LR lies on its HR and has its colours.

Both measures hold an LR against its HR at LR size (area averaging) and have to live with what degrades an LR: strong
blur, noise that is clipped, JPEG. The constants were set on 60 to 400 crops of the bundled photographs for each kind of
degrader, LR sizes 16 to 128, scale 4. Not one of 1,160 aligned pairs of 32 pixels or more was taken for shifted, and 2
of 1,500 of 16 pixels; a shift by one pixel at LR size 64 was seen in 0.98 of bicubic, 0.92 of Real-ESRGAN's and 0.58
of BSRGAN's pairs. What cannot be seen is not a shift.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import Pixels

EXPLAINED = 0.2  # of what the unshifted HR leaves over: the least that a shift has to explain
CLIPPED = 0.4  # of a noise's standard deviation: 1 / sqrt(2 pi), by which clipping at black moves a mean
SMALLEST = 8  # pixels: a smaller LR shows nothing
COLOUR, BORDER = 10.0, 128.0  # grey levels; the second over the LR's side, for what blur brings in from outside


def bring_down(gt: Pixels, lq: Pixels) -> Pixels:
    """The HR at LR size. gt: uint8 [s*h, s*w, 3], lq: uint8 [h, w, 3], s whole."""
    small: Pixels = cv2.resize(gt, (lq.shape[1], lq.shape[0]), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


def colour_shift(sharp: Pixels, lq: Pixels) -> tuple[NDArray[np.float64], float]:
    """(mean of LR - HR a channel, how much of it can be innocent), in grey levels. Both uint8 [h, w, 3]."""
    difference = lq.astype(np.float64) - sharp
    allowed = COLOUR + BORDER / min(lq.shape[:2]) + CLIPPED * difference.std(axis=(0, 1)).max()
    mean: NDArray[np.float64] = difference.mean(axis=(0, 1))
    return mean, float(allowed)


def shift(sharp: Pixels, lq: Pixels) -> tuple[float, float]:
    """(down, right) in pixels by which the content of the LR lies beside that of the HR; (0, 0) where that cannot be
    seen. Both uint8 [h, w, 3].

    The peak of the phase correlation proposes a shift, and a degraded image can propose anything. So the shift is
    believed only if plain correlation agrees: at the shift it has to leave clearly less unexplained than without it and
    than at the opposite one. Noise and blur spoil all three alike.
    """
    height, width = lq.shape[:2]
    if min(height, width) < SMALLEST:
        return 0.0, 0.0
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    one, other = _plane(sharp, window), _plane(lq, window)
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    if not norm:
        return 0.0, 0.0
    (right, down), _ = cv2.phaseCorrelate(one, other)
    spectrum = np.fft.rfft2(other) * np.conj(np.fft.rfft2(one))
    there, none, opposite = (_correlation(spectrum, sign * down, sign * right, width) / norm for sign in (1, 0, -1))
    at_most = (1 - EXPLAINED - 4 / min(height, width)) * (1 - max(none, opposite, 0.0) ** 2)
    return (float(down), float(right)) if there > 0 and 1 - there**2 < at_most else (0.0, 0.0)


def _plane(image: Pixels, window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Luma without its mean, blurred a little and windowed, float64 [h, w]."""
    gray = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64), (0, 0), 1.0)
    plane: NDArray[np.float64] = (gray - np.average(gray, weights=window)) * window
    return plane


def _correlation(spectrum: NDArray[np.complex128], down: float, right: float, width: int) -> float:
    """The circular correlation at a shift that need not be whole: the inverse transform at one place."""
    height = spectrum.shape[0]
    rows = np.exp(2j * np.pi * np.fft.fftfreq(height) * down)[:, None]
    columns = np.exp(2j * np.pi * np.fft.rfftfreq(width) * right)
    twice = np.full(spectrum.shape[1], 2.0)  # rfft2 keeps one of each pair of conjugate columns
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    return float((spectrum * rows * columns * twice).real.sum() / (height * width))
