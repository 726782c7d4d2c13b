"""One stage from folders of photographs to a checkpoint: what `degrade-engine train realdgen` calls."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import torch

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.checkpoint import load, save
from degrade_engine.originals.photographs import Photographs, batches
from degrade_engine.originals.runs import last_step
from degrade_engine.originals.trainer import TrainOptions, rank_and_world, train

from .config import RealDGenConfig
from .data import DataOptions
from .model import RealDGen
from .stages import StageOptions, stage_module, stages_before


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that a stage depends on; the JSON of it is kept in the checkpoint."""

    stage: str
    config: RealDGenConfig
    options: StageOptions
    data: DataOptions
    training: TrainOptions
    hr: tuple[Path, ...]
    lr: tuple[Path, ...]
    pairs: tuple[Path, ...]
    held_out: tuple[Path, ...]  # photographs that may not be trained on, wherever their copies lie
    out: Path
    workers: int = 1
    threads: int | None = None


def run_stage(run: Run) -> Path:
    """Train the stage, starting from the earlier ones in run.out. Returns the path of OUT/STAGE.safetensors (EMA
    weights)."""
    if run.threads:
        torch.set_num_threads(run.threads)
    torch.manual_seed(run.training.seed)
    model, history = RealDGen(run.config), []
    for earlier in list(stages_before(run.stage, run.config, run.options))[-1:]:
        path = run.out / f"{earlier}.safetensors"
        if not path.is_file():
            raise DegradeError(
                f"stage {run.stage} starts from {path}, which does not exist",
                wanted=f"stage {earlier} trained first",
                mend=f"run `--stage {earlier}` with the same --out",
            )
        before, record = load(path, RealDGen)
        if dataclasses.replace(before.config, without=run.config.without) != run.config:
            raise DegradeError(
                f"{path} was trained as preset {before.config.preset!r}",
                wanted="the same sizes in every stage",
                mend="use one --preset for one --out",
            )
        model.load_state_dict(before.state_dict())
        history = list(record.training)
    least = max(run.data.crop, run.data.reference_crop)
    photographs = Photographs.read(
        list(run.hr), list(run.lr), list(run.pairs), least, run.data.longest, list(run.held_out)
    )
    for line in photographs.left_out:
        print(f"left out: {line}")
    print(f"{len(photographs.hr)} HR, {len(photographs.lr)} LR, {sum(map(len, photographs.pairs.values()))} true pairs")
    stage = stage_module(run.stage, model, run.options)
    rank, world = rank_and_world()
    dataset = stage.batches(photographs, run.data, run.options.batch, run.training.seed, rank)
    began = time.monotonic()
    state = train(
        stage, stage.prepare(), lambda a, b: batches(dataset, a, b, run.workers), run.training, run.out, run.stage
    )
    model_state = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    done = last_step(run.out / f"{run.stage}.jsonl")
    entry = {"stage": run.stage, "steps_done": done, "seconds": round(time.monotonic() - began), "processes": world,
             "options": dataclasses.asdict(run.options), "data": dataclasses.asdict(run.data),
             "training": dataclasses.asdict(run.training)}  # fmt: skip
    path = run.out / f"{run.stage}.safetensors"
    if rank == 0:
        save(model_state, run.config, path, [*history, entry], {})
    return path
