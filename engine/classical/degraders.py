"""The degraders without networks, by name. A new one is a file of this folder and a line here; see docs/extending.md.

What a pair gets depends on the degrader, the seed, the pair's number and its HR crop alone, so any thread or process
may make it. None of them reads a reference at generation; binned has read its references when it was calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DegradeError
from ..images import Pixels
from .bicubic import BicubicDegrader, BlurBicubicDegrader
from .binned import BinnedDegrader
from .bsrgan import BSRGANDegrader, BSRGANPlusDegrader
from .camera import CameraDegrader
from .degrader import Degrader
from .realesrgan import RealESRGANDegrader

_ALL: tuple[type[Degrader], ...] = (
    BicubicDegrader, BlurBicubicDegrader, BSRGANDegrader, BSRGANPlusDegrader, RealESRGANDegrader, BinnedDegrader,
    CameraDegrader,
)  # fmt: skip
DEGRADERS = {one.kind: one for one in _ALL}


def open_degrader(kind: str, options: Path | None = None, weights: Path | None = None) -> Degrader:
    """The degrader of that name; options, weights: see `Degrader.open`. Raises DegradeError."""
    return _of(kind, "A degrader").open(options, weights)


def replay(record: Mapping[str, Any], hr: Pixels, *, scale: int) -> Pixels:
    """The LR of a manifest's record, byte for byte where the libraries are the same. Raises DegradeError for a record
    that is none."""
    return _of(record.get("kind"), "A record").replay(record, hr, scale=scale)


def title(kind: str) -> str:
    """A degrader's name in papers; a word that is none stands for itself."""
    return DEGRADERS[kind].title if kind in DEGRADERS else kind


def _of(kind: Any, what: str) -> type[Degrader]:
    if kind not in DEGRADERS:
        raise DegradeError(f"{what} is of the kind {kind!r}", wanted=f"one of {', '.join(DEGRADERS)}")
    return DEGRADERS[kind]
