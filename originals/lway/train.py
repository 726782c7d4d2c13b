"""LWay's first step (3.1): L(I_LR, R(I_HR, E(I_LR))) = L1 + LPIPS, E and R trained together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from degrade_engine.engine.artefact import sha256_file
from degrade_engine.originals.runs import Setup, train_one
from degrade_engine.originals.stage import WholeModel

from .config import LWayConfig
from .data import LWayBatches, LWayData
from .model import LWay
from .perceptual import INSTEAD, Distance, open_distance


@dataclass(frozen=True)
class Options:
    """How E and R are trained. lpips: AlexNet's and LPIPS's weights; None trains with the substitute, by name."""

    batch: int = 16
    lr: float = 1e-4
    perceptual_weight: float = 1.0  # L = L1 + LPIPS, unweighted (3.1)
    lpips: tuple[Path, Path] | None = None


PAPER_OPTIONS = Options()
TINY_OPTIONS = Options(lr=8e-4)
OPTIONS = {"paper": PAPER_OPTIONS, "tiny": TINY_OPTIONS}


class LWayStage(WholeModel):
    """forward -> loss, "l1" and the perceptual distance under its own name; "identity" is the L1 of doing nothing."""

    batches = LWayBatches
    model: LWay

    def __init__(self, model: LWay, options: Options, name: str, distance: Distance) -> None:
        super().__init__(model, options.lr)
        self.options, self.name = options, name
        self.distance = [distance]  # in a list, so that LPIPS's weights are no part of this module's

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        target = batch["target"]
        made = self.model.reconstructor(batch["content"], self.model.e(batch["reference"]))
        l1, far = F.l1_loss(made, target), self.distance[0](made, target)
        with torch.no_grad():
            identity = F.l1_loss(batch["content"], target)
        return {"loss": l1 + self.options.perceptual_weight * far, "l1": l1, self.name: far, "identity": identity}


def train_lway(config: LWayConfig, options: Options, data: LWayData, setup: Setup) -> Path:
    """Train E and R and return the path of OUT/lway.safetensors. Raises as `train_one` does, and for LPIPS weights that
    do not do."""
    name, distance = open_distance(options.lpips)
    if isinstance(distance, nn.Module) and torch.cuda.is_available():
        distance.cuda()
    print(f"perceptual loss: {name}{'' if options.lpips else INSTEAD}")
    told = dataclasses.asdict(options) | {"lpips": [sha256_file(p) for p in options.lpips] if options.lpips else None}
    asked = {"batch": options.batch, "options": told, "perceptual": name}
    make = lambda: LWayStage(LWay(config), options, name, distance)  # noqa: E731
    return train_one("lway", make, config, asked, data, options.batch, setup)
