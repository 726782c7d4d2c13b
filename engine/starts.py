"""Start images: what is noised to x_tau. One rule for whole runs and for the Python API, so that they make one pair."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from .classical.degrader import Degrader
from .classical.degraders import DEGRADERS, open_degrader
from .errors import DegradeError
from .images import Pixels
from .recipe import CLASSICAL


def open_start(
    start: str, options: Path | None = None, weights: Path | None = None, cameras: Path | None = None
) -> Degrader | None:
    """What makes the start images where an engine does not know them by name, or where there are settings for it; else
    None. options, weights, cameras: see `open_degrader`. Raises DegradeError."""
    given = [name for name, file in (("options", options), ("weights", weights), ("cameras", cameras)) if file]
    if start not in CLASSICAL and not given:
        return None
    if start not in DEGRADERS:
        fact = f"{given[0]} of a degrader came, and the start image is {start}"
        raise DegradeError(fact, wanted=f"the start {' or '.join(CLASSICAL)}")
    return open_degrader(start, options, weights, cameras)


def start_image(
    start: str, degrader: Degrader | None, gt: Pixels, content: Pixels, *, scale: int, seed: int, pair: int,
    noise_seed: int,
) -> tuple[Pixels | None, dict[str, Any]]:  # fmt: skip
    """(image, record) of a pair. gt: uint8 [scale*h, scale*w, 3]; content: uint8 [h, w, 3], the same at LR size; image:
    uint8 [h, w, 3], None where the model makes it itself. pair and seed decide what is drawn, noise_seed the noise."""
    if degrader is None and start == "realesrgan":
        degrader = _realesrgan()
    if degrader is not None:
        return degrader.degrade(gt, scale=scale, seed=seed, pair=pair, noise_seed=noise_seed)
    return (content if start == "bicubic" else None), {"kind": start}


@cache
def _realesrgan() -> Degrader:
    return open_degrader("realesrgan")
