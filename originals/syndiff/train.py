"""From folders of real LR photographs to a checkpoint: what `degrade-engine train syndiff` calls."""

from __future__ import annotations

from pathlib import Path

from degrade_engine.originals.checkpoint import save
from degrade_engine.originals.photographs import RealCrops
from degrade_engine.originals.runs import Machine, Source, train_one
from degrade_engine.originals.trainer import TrainOptions, rank_and_world

from .config import SynDiffConfig
from .model import SynDiff, SynDiffStage


def train_syndiff(
    config: SynDiffConfig, lr: float, low_share: float, batch: int, source: Source, crop: int, training: TrainOptions,
    out: Path, machine: Machine,
) -> Path:  # fmt: skip
    """Train the model, resuming what was begun in `out`, and return the path of OUT/syndiff.safetensors (EMA weights);
    the curve is OUT/syndiff.jsonl.

    Raises DegradeError for photographs that do not do, or an `out` begun with other options.
    """
    state, entry = train_one("syndiff", lambda: SynDiffStage(SynDiff(config), lr, low_share), source, RealCrops(crop),
                             batch, crop, training, out, machine)  # fmt: skip
    path = out / "syndiff.safetensors"
    if rank_and_world()[0] == 0:
        save(state, config, path, [entry | {"options": {"lr": lr, "low_share": low_share}}], {})
    return path
