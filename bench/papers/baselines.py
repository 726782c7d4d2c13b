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
NAMES = tuple(KINDS)


@dataclass(frozen=True)
class Baseline:
    """One of NAMES. weights: weights.json of "binned, calibrated"."""

    name: str
    weights: Path | None = None

    def __post_init__(self) -> None:
        if self.needs_weights and self.weights is None:
            raise DegradeError(f"{self.name} came without weights", wanted="--weights weights.json",
                               mend="make it with `degrade-engine calibrate degradation`")  # fmt: skip

    @property
    def needs_weights(self) -> bool:
        return self.name == CALIBRATED

    @property
    def about(self) -> dict[str, Any]:
        """What a row says of it."""
        if not self.needs_weights or self.weights is None:
            return {}
        found = read_weights(self.weights)
        seal, features = sha256_file(self.weights)[:16], found.extractor["name"]
        return {"weights": seal, "features": features, "bins": found.space.bins}

    def make(self, pairs: Pairs, seed: int) -> list[Image]:
        """The LR images of the pairs."""
        degrader = open_degrader(KINDS[self.name], weights=self.weights if self.needs_weights else None)
        return [
            degrader.degrade(h, scale=pairs.scale, seed=seed, pair=i, noise_seed=i)[0] for i, h in enumerate(pairs.hr)
        ]
