"""From folders of real LR photographs to a checkpoint: what `degrade-engine train syndiff` calls."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from degrade_engine.originals.checkpoint import save
from degrade_engine.originals.photographs import Photographs, StepDataset, batches, cut, tensor
from degrade_engine.originals.realdgen.data import DataOptions
from degrade_engine.originals.trainer import TrainOptions, rank_and_world, train

from .config import SynDiffConfig
from .model import SynDiff, SynDiffStage

STAGE = "syndiff"


class LRBatches(StepDataset):
    """{"image"}: crops of real LR photographs."""

    options: DataOptions

    def make(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        lr, crop = self.photographs.lr, self.options.crop
        return {"image": tensor([cut(rng, lr[int(rng.integers(len(lr)))], crop) for _ in range(self.batch)])}


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that the training depends on."""

    config: SynDiffConfig
    training: TrainOptions
    lr: tuple[Path, ...]
    held_out: tuple[Path, ...]
    out: Path
    batch: int
    learning_rate: float
    low_share: float
    crop: int
    workers: int = 1


def run(run: Run) -> Path:
    """Train, resuming what was begun in run.out. Returns the path of OUT/syndiff.safetensors (EMA weights)."""
    torch.manual_seed(run.training.seed)
    options = DataOptions(crop=run.crop, reference_crop=run.crop)
    photographs = Photographs.read([], list(run.lr), [], run.crop, options.longest, list(run.held_out))
    for line in photographs.left_out:
        print(f"left out: {line}")
    print(f"{len(photographs.lr)} LR")
    rank, world = rank_and_world()
    stage = SynDiffStage(SynDiff(run.config), run.low_share)
    dataset = LRBatches(photographs, options, run.batch, run.training.seed, rank)
    began = time.monotonic()
    groups = [{"params": list(stage.parameters()), "lr": run.learning_rate}]
    state = train(stage, groups, lambda a, b: batches(dataset, a, b, run.workers), run.training, run.out, STAGE)
    path = run.out / f"{STAGE}.safetensors"
    if rank == 0:
        curve = (run.out / f"{STAGE}.jsonl").read_text().splitlines()
        entry = {"stage": STAGE, "steps_done": json.loads(curve[-1])["step"] if curve else 0,
                 "seconds": round(time.monotonic() - began), "processes": world, "batch": run.batch, "crop": run.crop,
                 "learning_rate": run.learning_rate, "low_share": run.low_share,
                 "training": dataclasses.asdict(run.training)}  # fmt: skip
        save({k.removeprefix("model."): v for k, v in state.items()}, run.config, path, [entry], {})
    return path
