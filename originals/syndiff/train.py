"""From folders of real LR photographs to a checkpoint: what `degrade-engine train syndiff` calls."""

from __future__ import annotations

from pathlib import Path

from degrade_engine.engine.artefact import to_json
from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.checkpoint import Checkpoint, load
from degrade_engine.originals.photographs import RealCrops
from degrade_engine.originals.runs import Setup, train_one

from .config import SynDiffConfig
from .model import SynDiff, SynDiffStage


def train_syndiff(
    config: SynDiffConfig, lr: float, low_share: float, batch: int, crop: int, setup: Setup,
    pretrained: Path | None = None,
) -> Path:  # fmt: skip
    """Train the model and return the path of OUT/syndiff.safetensors. pretrained: a checkpoint of the same sizes to
    begin with, instead of random weights; the new one's record has its trainings too. Raises as `train_one` does, and
    for a crop or a checkpoint that does not do."""
    if crop % config.lr_multiple:
        raise DegradeError(f"The crop is {crop}", wanted=f"a multiple of {config.lr_multiple}")
    before = _checked(pretrained, config) if pretrained else None

    def stage() -> SynDiffStage:
        model = load(pretrained, SynDiff)[0].train() if pretrained else SynDiff(config)
        return SynDiffStage(model, lr, low_share)

    asked = {"batch": batch, "options": {"lr": lr, "low_share": low_share},
             "pretrained": before.weights_sha256 if before else None}  # fmt: skip
    history = before.training if before else ()
    return train_one("syndiff", stage, config, asked, RealCrops(crop), batch, setup, history=history)


def _checked(pretrained: Path, config: SynDiffConfig) -> Checkpoint:
    record = load(pretrained, SynDiff)[1]
    if record.config != config:
        fact = f"{pretrained} has the sizes {to_json(record.config)}"
        raise DegradeError(fact, wanted=f"those of the preset {config.preset}", mend="give its --preset")
    return record
