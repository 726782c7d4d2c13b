"""`train srresnet`: the small SR network on synthetic pairs."""

from __future__ import annotations

from pathlib import Path

from .checkpoint import save
from .runs import Machine, Source, train_one
from .srresnet import SRData, SRResNet, SRResNetConfig, SRStage
from .trainer import TrainOptions, rank_and_world


def train_srresnet(
    config: SRResNetConfig, lr: float, batch: int, source: Source, data: SRData, training: TrainOptions, out: Path,
    machine: Machine,
) -> Path:  # fmt: skip
    """Train the network and return the path of OUT/srresnet.safetensors (EMA weights); the curve is OUT/srresnet.jsonl.

    Raises DegradeError for photographs that do not do, or an `out` begun with other options.
    """
    state, entry = train_one("srresnet", lambda: SRStage(SRResNet(config), lr), source, data, batch, data.crop,
                             training, out, machine)  # fmt: skip
    path = out / "srresnet.safetensors"
    if rank_and_world()[0] == 0:
        save(state, config, path, [entry | {"options": {"lr": lr}}], {})
    return path
