"""Generators without networks, as `quality` measures them beside the engines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degrade_engine.engine.artefact import sha256_file
from degrade_engine.engine.classical.binned import read_weights
from degrade_engine.engine.classical.degraders import DEGRADERS, open_degrader
from degrade_engine.engine.errors import DegradeError

from .true_pairs import Image, Pairs

CALIBRATED = "binned, calibrated"
KINDS = {
    name: kind
    for kind, one in DEGRADERS.items()
    for name in (("binned, uniform", CALIBRATED) if kind == "binned" else (one.title,))
}
FITTED = "camera, fitted"
NAMES = (*KINDS, FITTED)
NEEDS = {
    CALIBRATED: ("--weights weights.json", "make it with `degrade-engine calibrate degradation`"),
    FITTED: ("--cameras FILE", "make it with `degrade-engine calibrate camera` or `tune`"),
}
"""The file that a generator comes with, and where it is from."""


@dataclass(frozen=True)
class Baseline:
    """One of NAMES. weights: weights.json of "binned, calibrated"; cameras: for "camera, fitted", a file of `calibrate
    camera` or the .json of a tuned model."""

    name: str
    weights: Path | None = None
    cameras: Path | None = None

    def __post_init__(self) -> None:
        if self.name in NEEDS and self.file is None:
            wanted, mend = NEEDS[self.name]
            raise DegradeError(f"{self.name} came without its file", wanted=wanted, mend=mend)

    @property
    def file(self) -> Path | None:
        """What it needs, if anything."""
        return {CALIBRATED: self.weights, FITTED: self.cameras}.get(self.name)

    @property
    def about(self) -> dict[str, Any]:
        """What a row says of it."""
        if self.name == FITTED and self.cameras:
            return {"cameras": sha256_file(self.cameras)[:16]}
        if self.name != CALIBRATED or self.weights is None:
            return {}
        found = read_weights(self.weights)
        seal, features = sha256_file(self.weights)[:16], found.extractor["name"]
        return {"weights": seal, "features": features, "bins": found.space.bins}

    def make(self, pairs: Pairs, seed: int) -> list[Image]:
        """The LR images of the pairs."""
        kind = "camera" if self.name == FITTED else KINDS[self.name]
        degrader = open_degrader(kind, weights=self.weights if self.name == CALIBRATED else None,
                                 cameras=self.cameras if self.name == FITTED else None)  # fmt: skip
        return [
            degrader.degrade(h, scale=pairs.scale, seed=seed, pair=i, noise_seed=i)[0] for i, h in enumerate(pairs.hr)
        ]
