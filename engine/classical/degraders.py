"""The degraders without networks, by name. A new one is a file of this folder and a line here; see docs/extending.md.

What a pair gets depends on the degrader, the seed, the pair's number and its HR crop alone, so any thread or process
may make it. None of them reads a reference at generation; binned and fitted cameras have read theirs when they were
calibrated.
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
from .camera_degrader import CameraDegrader
from .degrader import Degrader
from .realesrgan import RealESRGANDegrader

_ALL: tuple[type[Degrader], ...] = (
    BicubicDegrader, BlurBicubicDegrader, BSRGANDegrader, BSRGANPlusDegrader, RealESRGANDegrader, BinnedDegrader,
    CameraDegrader,
)  # fmt: skip
DEGRADERS = {one.kind: one for one in _ALL}


def open_degrader(
    kind: str, options: Path | None = None, weights: Path | None = None, cameras: Path | None = None
) -> Degrader:
    """The degrader of that name. options: a TOML file; weights, cameras: what binned and camera are fitted by, files
    of `calibrate degradation` and `calibrate camera`. Raises DegradeError."""
    found = _of(kind, "A degrader")
    for name, file in (("weights", weights), ("cameras", cameras)):
        if file is not None and name != found.fitted:
            of = next(one.kind for one in _ALL if one.fitted == name)
            raise DegradeError(f"{name} were given to the degrader {kind}", wanted=f"{name} with {of} only")
    return found.open(options, weights or cameras)


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
