"""One stage from folders of photographs to a checkpoint: what `degrade-engine train realdgen` calls."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import Tensor

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.checkpoint import Checkpoint, load, read_sidecar
from degrade_engine.originals.runs import Setup, train_one

from .config import RealDGenConfig
from .data import DataOptions
from .model import RealDGen
from .stages import STAGES, Stage, StageOptions, stages_before


def train_stage(
    stage: str, config: RealDGenConfig, options: StageOptions, data: DataOptions, setup: Setup,
    begin: Path | None = None,
) -> Path:  # fmt: skip
    """Train a stage, starting from the earlier ones in the run's folder, and return the path of OUT/STAGE.safetensors.

    begin: stage sample: a finished checkpoint of the preset tiny to start from, in place of the earlier stages.
    Raises as `train_one` does, and for earlier stages that are missing or do not do.
    """
    if data.crop % config.lr_multiple:
        raise DegradeError(f"The crop is {data.crop}", wanted=f"a multiple of {config.lr_multiple}")
    if begin and stage != "sample":
        raise DegradeError(f"The stage {stage} starts from the stages before it", mend="leave out --from")
    before = list(stages_before(stage, options))
    check_chain(setup.out, before)
    earlier = begin or (setup.out / f"{before[-1]}.safetensors" if before else None)
    record = _earlier(earlier, stage, mean_of(config) if begin else config) if earlier else None

    def make() -> Stage:
        model = RealDGen(config)
        if earlier:
            grow(model, load(earlier, RealDGen)[0].state_dict())
        return STAGES[stage](model, options)

    asked = {"options": options, "earlier_sha256": record.weights_sha256 if record else None}
    setup = dataclasses.replace(setup, source=dataclasses.replace(setup.source, longest=data.longest))
    return train_one(stage, make, config, asked, data, options.batch, setup,
                     least=max(data.crop, data.reference_crop), history=record.training if record else ())  # fmt: skip


def mean_of(config: RealDGenConfig) -> RealDGenConfig:
    """The model whose denoiser returns a mean where that of `config` returns a sample: small -> tiny."""
    unet = dataclasses.replace(config.unet, sample=False, noise_gate=True)
    degradation = dataclasses.replace(config.degradation, spread=False)
    return dataclasses.replace(config, preset="tiny", unet=unet, degradation=degradation)


def grow(model: RealDGen, weights: dict[str, Tensor]) -> None:
    """Give `model` the weights of a model that has less. What is wider in `model` gets them first. The input channels
    that are new get zeros, so the network begins as what it was. All else that is new stays as it is."""
    own = model.state_dict()
    for name, value in weights.items():
        if (found := own[name]).shape == value.shape:
            found.copy_(value)
            continue
        if found.dim() == 4 and found.shape[1] > value.shape[1]:
            found.zero_()
        found[tuple(slice(n) for n in value.shape)] = value


def _earlier(path: Path, stage: str, config: RealDGenConfig) -> Checkpoint:
    """The record of the checkpoint that a stage starts from. Raises DegradeError where it cannot."""
    if not path.is_file():
        raise DegradeError(
            f"stage {stage} starts from {path}, which does not exist",
            wanted=f"stage {path.stem} trained first",
            mend=f"run `--stage {path.stem}` with the same --out",
        )
    before, record = load(path, RealDGen)
    if dataclasses.replace(before.config, without=config.without) != config:
        raise DegradeError(
            f"{path} was trained as preset {before.config.preset!r}",
            wanted=f"preset {config.preset!r} and the same sizes in every stage",
            mend="use one --preset for one --out; --from takes a finished checkpoint of the preset tiny",
        )
    return record


def check_chain(out: Path, stages: list[str]) -> None:
    """DegradeError if one of the stages was begun from other weights of the stage before than lie in `out` now."""
    for before, after in zip(stages, stages[1:], strict=False):
        paths = [out / f"{name}.safetensors" for name in (before, after)]
        if all(path.with_suffix(".json").is_file() for path in paths):
            came: dict[str, Any] = read_sidecar(paths[1]).training[-1]
            if came.get("earlier_sha256", "") not in ("", read_sidecar(paths[0]).weights_sha256):
                raise DegradeError(
                    f"{paths[1]} was not trained from the {paths[0].name} that is there now",
                    wanted="stages that followed one another",
                    mend=f"train stage {after} again in another --out, or bring the former {paths[0].name} back",
                )
