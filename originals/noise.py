"""What of a training photograph is noise: known for a synthetic one, bounded from above for a real one."""

from __future__ import annotations

import numpy as np

Image = np.ndarray  # uint8 [H, W, 3]
Noise = np.ndarray  # float32 [H, W, 3]: what of an image is noise, in the networks' units (255 grey levels = 2)
Range = tuple[float, float]  # least and most of a noise's standard deviation, in the networks' units

UNKNOWN: Range = (0.0, float("inf"))
WINDOW = 8  # pixels a side of the windows of `most_noise`
QUIETEST = 5  # percent of a photograph's windows that are taken for free of texture
ENOUGH = 100  # windows without a clipped pixel that `most_noise` asks for


def difference(a: Image, b: Image) -> Noise:
    """a - b in the networks' units."""
    return (a.astype(np.float32) - b.astype(np.float32)) / np.float32(127.5)


def exactly(noise: Noise | None) -> Range:
    """The range of a noise that is known: its own standard deviation twice. None is not known."""
    if noise is None:
        return UNKNOWN
    std = float(np.sqrt(np.square(noise).mean()))
    return std, std


def at_most(image: Image) -> Range:
    """The range of a real photograph's noise: no window of 8×8 pixels varies less than the noise that lies over all of
    them, so the quietest windows of the *whole* photograph (their fifth percentile, clipped pixels aside) bound it, and
    bound it in its textured parts too, where nothing else tells noise from sand or bark. What varies in a quiet window
    may be texture, so this says nothing of how little noise there is."""
    h, w = (n // WINDOW for n in image.shape[:2])
    x = image[: h * WINDOW, : w * WINDOW].astype(np.float32).reshape(h, WINDOW, w, WINDOW, 3)
    unclipped = (x.min(axis=(1, 3, 4)) > 8) & (x.max(axis=(1, 3, 4)) < 247)
    if unclipped.sum() < ENOUGH:
        return UNKNOWN
    std = np.sqrt(x.var(axis=(1, 3)).mean(axis=2))[unclipped] / 127.5
    return 0.0, float(np.percentile(std, QUIETEST))


def roughness(image: Image) -> float:
    """How much neighbouring pixels differ, for the choice among crops: the mean absolute second difference along both
    axes, in grey levels."""
    gray = image.astype(np.float32).mean(axis=2)
    return float(np.abs(gray[:-1, :-1] - gray[:-1, 1:] - gray[1:, :-1] + gray[1:, 1:]).mean())
