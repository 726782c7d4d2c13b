"""From folders of real LR photographs to a checkpoint: what `degrade-engine train syndiff` calls."""

from __future__ import annotations

from pathlib import Path

from degrade_engine.engine.artefact import to_json
from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.checkpoint import Checkpoint, load
from degrade_engine.originals.photographs import RealCrops
from degrade_engine.originals.runs import Machine, Source, keep, train_one
from degrade_engine.originals.trainer import TrainOptions

from .config import SynDiffConfig
from .model import SynDiff, SynDiffStage


def train_syndiff(
    config: SynDiffConfig, lr: float, low_share: float, batch: int, source: Source, crop: int, training: TrainOptions,
    out: Path, machine: Machine, pretrained: Path | None = None,
) -> Path:  # fmt: skip
    """Train the model, resuming what was begun in `out`, and return the path of OUT/syndiff.safetensors (EMA weights);
    the curve is OUT/syndiff.jsonl. pretrained: a checkpoint of the same sizes to begin with, instead of random weights;
    the new one's record has its trainings too.

    Raises DegradeError for photographs that do not do, an `out` begun with other options, or a checkpoint of others.
    """
    if crop % config.lr_multiple:
        raise DegradeError(f"The crop is {crop}", wanted=f"a multiple of {config.lr_multiple}")
    before = _checked(pretrained, config) if pretrained else None

    def stage() -> SynDiffStage:
        model = load(pretrained, SynDiff)[0].train() if pretrained else SynDiff(config)
        return SynDiffStage(model, lr, low_share)

    asked = {"options": {"lr": lr, "low_share": low_share}, "pretrained": before.weights_sha256 if before else None}
    state, entry = train_one("syndiff", stage, config, asked, source, RealCrops(crop), batch, crop, training, out,
                             machine)  # fmt: skip
    path = out / "syndiff.safetensors"
    keep(state, config, path, [*(before.training if before else ()), entry])
    return path


def _checked(pretrained: Path, config: SynDiffConfig) -> Checkpoint:
    record = load(pretrained, SynDiff)[1]
    if record.config != config:
        fact = f"{pretrained} has the sizes {to_json(record.config)}"
        raise DegradeError(fact, wanted=f"those of the preset {config.preset}", mend="give its --preset")
    return record
