"""From folders of photographs to a checkpoint: what `degrade-engine train uddm` calls.

The two branches know nothing of each other. Each stage leaves its own checkpoint, OUT/ddm.safetensors or
OUT/pddm.safetensors, and the one that finds the other's there joins both to OUT/uddm.safetensors.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.checkpoint import load, read_sidecar
from degrade_engine.originals.runs import Machine, Source, keep, train_one
from degrade_engine.originals.trainer import TrainOptions, rank_and_world

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


def train_stage(
    stage: StageName, config: UDDMConfig, options: Options, source: Source, crop: int, training: TrainOptions,
    out: Path, machine: Machine,
) -> Path:  # fmt: skip
    """Train a branch, resuming what was begun in `out`. Returns OUT/uddm.safetensors where both branches are trained
    now, else OUT/<stage>.safetensors; EMA weights. The curve is OUT/<stage>.jsonl.

    Raises DegradeError for photographs or a crop that do not do, an `out` begun with other options, or another branch
    of another preset.
    """
    if stage == "pddm" and not source.hr:
        raise DegradeError("P-DDM is trained without HR photographs", wanted="--hr, folders of sharp photographs")
    if crop % config.lr_multiple:
        raise DegradeError(f"The crop is {crop}", wanted=f"a multiple of {config.lr_multiple}")
    data = UDDMData(crop=crop, scale=config.pddm.r)
    of_stage = config.ddm if stage == "ddm" else config.pddm
    make = (
        (lambda: DDMStage(DDM(config.ddm), options.lr))
        if stage == "ddm"
        else (lambda: PDDMStage(PDDM(config.pddm), options.lr, options.alpha))
    )
    if stage == "ddm":  # eq. 2: real LR photographs alone
        source = dataclasses.replace(source, hr=())
    asked = {"options": dataclasses.asdict(options)}
    state, entry = train_one(stage, make, of_stage, asked, source, data, options.batch, crop, training, out, machine)
    path = out / f"{stage}.safetensors"
    keep(state, of_stage, path, [entry])
    return (join(config, out) if rank_and_world()[0] == 0 else None) or path


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
    keep(whole.state_dict(), config, out / "uddm.safetensors", [*ddm.training, *pddm.training])
    return out / "uddm.safetensors"
