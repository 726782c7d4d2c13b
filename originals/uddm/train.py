"""From folders of photographs to a checkpoint: what `degrade-engine train uddm` calls.

The two branches know nothing of each other. Each stage leaves its own checkpoint, OUT/ddm.safetensors or
OUT/pddm.safetensors, and the one that finds the other's there joins both to OUT/uddm.safetensors.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.checkpoint import load, read_sidecar
from degrade_engine.originals.runs import Setup, keep, train_one
from degrade_engine.originals.trainer import rank_and_world

from .adversarial import ALPHA, PDDMStage
from .config import UDDMConfig
from .data import UDDMData
from .ddm import DDM, DDMStage
from .model import UDDM
from .pddm import PDDM

StageName = Literal["ddm", "pddm"]


@dataclass(frozen=True)
class Options:
    """How a stage is trained. alpha: of eq. 5, P-DDM's alone."""

    batch: int
    lr: float
    alpha: float = ALPHA


def train_stage(stage: StageName, config: UDDMConfig, options: Options, crop: int, setup: Setup) -> Path:
    """Train a branch. Returns OUT/uddm.safetensors where both branches are trained now, else OUT/<stage>.safetensors.

    Raises as `train_one` does, and for a crop that does not do, or another branch of another preset.
    """
    if stage == "pddm" and not setup.source.hr:
        raise DegradeError("P-DDM is trained without HR photographs", wanted="--hr, folders of sharp photographs")
    if crop % config.lr_multiple:
        raise DegradeError(f"The crop is {crop}", wanted=f"a multiple of {config.lr_multiple}")
    asked = {"batch": options.batch, "options": dataclasses.asdict(options)}
    how: dict[str, Any] = {"asked": asked, "data": UDDMData(crop=crop, scale=config.pddm.r), "batch": options.batch}
    if stage == "ddm":  # eq. 2: real LR photographs alone
        alone = dataclasses.replace(setup, source=dataclasses.replace(setup.source, hr=()))
        path = train_one(stage, lambda: DDMStage(DDM(config.ddm), options.lr), config.ddm, setup=alone, **how)
    else:
        make = lambda: PDDMStage(PDDM(config.pddm), options.lr, options.alpha)  # noqa: E731
        path = train_one(stage, make, config.pddm, setup=setup, **how)
    return (join(config, setup.out) if rank_and_world()[0] == 0 else None) or path


def join(config: UDDMConfig, out: Path) -> Path | None:
    """OUT/uddm.safetensors from both branches' checkpoints; None where one is still missing."""
    paths = out / "ddm.safetensors", out / "pddm.safetensors"
    if not all(path.is_file() for path in paths):
        return None
    for path, wanted in zip(paths, (config.ddm, config.pddm), strict=True):
        if read_sidecar(path).config != wanted:
            raise DegradeError(
                f"{path} has other sizes than the preset {config.preset}", wanted="both branches of one preset",
                mend="train it again with this preset, or give another --out",
            )  # fmt: skip
    whole = UDDM(config)
    whole.ddm, ddm = load(paths[0], DDM)
    whole.pddm, pddm = load(paths[1], PDDM)
    return keep(whole.state_dict(), config, out / "uddm.safetensors", [*ddm.training, *pddm.training])
