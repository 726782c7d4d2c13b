"""One stage from folders of photographs to a checkpoint: what `degrade-engine train realdgen` calls."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.checkpoint import load, read_sidecar
from degrade_engine.originals.runs import Source, keep, train_prepared, use_threads
from degrade_engine.originals.trainer import TrainOptions, rank_and_world

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
    if run.data.crop % run.config.lr_multiple:
        raise DegradeError(f"The crop is {run.data.crop}", wanted=f"a multiple of {run.config.lr_multiple}")
    use_threads(run.threads)
    torch.manual_seed(run.training.seed)
    model, history, earlier_sha256 = RealDGen(run.config), [], None
    stages = list(stages_before(run.stage, run.config, run.options))
    check_chain(run.out, stages)
    for earlier in stages[-1:]:
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
        history, earlier_sha256 = list(record.training), record.weights_sha256
    source = Source(run.hr, run.pairs, run.held_out, run.lr, run.data.longest)
    photographs = source.read(max(run.data.crop, run.data.reference_crop))
    stage = stage_module(run.stage, model, run.options)
    dataset = stage.batches(photographs, run.data, run.options.batch, run.training.seed, rank_and_world()[0])
    asked = {"options": run.options, "earlier_sha256": earlier_sha256}
    state, entry = train_prepared(
        run.stage, stage, stage.prepare(), dataset, run.config, asked, run.training, run.out, run.workers
    )
    path = run.out / f"{run.stage}.safetensors"
    keep(state, run.config, path, [*history, entry])
    return path


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
