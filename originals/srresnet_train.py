"""`train srresnet`: the small SR network on synthetic pairs."""

from __future__ import annotations

from pathlib import Path

from .runs import Setup, train_one
from .srresnet import SRData, SRResNet, SRResNetConfig, SRStage


def train_srresnet(config: SRResNetConfig, lr: float, batch: int, data: SRData, setup: Setup) -> Path:
    """Train the network and return the path of OUT/srresnet.safetensors. Raises as `train_one` does."""
    asked = {"batch": batch, "options": {"lr": lr}}
    return train_one("srresnet", lambda: SRStage(SRResNet(config), lr), config, asked, data, batch, setup)
