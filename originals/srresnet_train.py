"""`train srresnet`: the small SR network on synthetic pairs."""

from __future__ import annotations

from pathlib import Path

from .runs import Machine, Source, keep, train_one
from .srresnet import SRData, SRResNet, SRResNetConfig, SRStage
from .trainer import TrainOptions


def train_srresnet(
    config: SRResNetConfig, lr: float, batch: int, source: Source, data: SRData, training: TrainOptions, out: Path,
    machine: Machine,
) -> Path:  # fmt: skip
    """Train the network and return the path of OUT/srresnet.safetensors (EMA weights); the curve is OUT/srresnet.jsonl.

    Raises DegradeError for photographs that do not do, or an `out` begun with other options.
    """
    asked = {"options": {"lr": lr}}
    state, entry = train_one("srresnet", lambda: SRStage(SRResNet(config), lr), config, asked, source, data, batch,
                             data.crop, training, out, machine)  # fmt: skip
    path = out / "srresnet.safetensors"
    keep(state, config, path, [entry])
    return path
