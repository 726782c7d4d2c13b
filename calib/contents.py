"""HR crops that show the like of what a camera's photographs show.

LR and references show different scenes, and what is smooth in a scene passes for little noise, what is textured for
much. So of many HR crops those are taken that are most like the references where no camera makes a difference: at a
quarter of the LR's size, where blur and noise of a camera have gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.report.measures import gray
from .degradation import Crops

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

COARSE = 4  # LR pixels
QUIET = 0.1  # share of the places


def description(image: Pixels) -> Floats:
    """[4] of an image [h, w, 3] at LR size: brightness, contrast, and how steep it is on average and where it is
    smoothest; in grey levels, all but the first as logarithms."""
    small = shrunk(gray(image), COARSE)
    steps = np.hypot(np.diff(small, axis=0)[:, 1:], np.diff(small, axis=1)[1:])
    found = [small.std(), steps.mean(), np.quantile(steps, QUIET)]
    return np.array([small.mean(), *np.log(np.add(found, 0.5))])


def shrunk(image: NDArray[Any], times: int) -> Floats:
    """An image [h, w] or [h, w, c] at so much less its size: the means of blocks; what is no whole block is left
    out."""
    height, width = (side // times for side in image.shape[:2])
    cut = image[: height * times, : width * times].reshape(height, times, width, times, *image.shape[2:])
    return np.asarray(cut.mean(axis=(1, 3), dtype=np.float64))


def alike(camera: Crops, hr: Crops, bicubic: Pixels) -> tuple[Crops, Pixels]:
    """As many of the HR crops as there are of the camera, and what `bicubic`, uint8 [n, s, s, 3], has of them: for each
    of the camera's the one most like it that is left. All, where there are no more than that."""
    if len(hr.pixels) <= len(camera.pixels):
        return hr, bicubic
    there, here = (np.array([description(one) for one in some]) for some in (camera.pixels, bicubic))
    apart = np.square((there[:, None] - here[None]) / here.std(axis=0).clip(1e-6)).sum(axis=2)
    taken = list[int]()
    for row in apart:
        row[taken] = np.inf
        taken.append(int(row.argmin()))
    taken.sort()
    page = hr.page | {"crops": len(taken)}
    return Crops(hr.pixels[taken], page, tuple(hr.photographs[at] for at in taken)), bicubic[taken]
