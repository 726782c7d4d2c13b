"""A training of one stage, from photographs to a checkpoint and the record of how it came: what every `train` command
comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from degrade_engine.engine.artefact import sha256_json, to_json

from .checkpoint import Config, save
from .photographs import Photographs, StepDataset, batches
from .trainer import TrainOptions, Watch, rank_and_world, train

Weights = dict[str, Tensor]
Entry = dict[str, Any]  # of a checkpoint's record: what was asked, and what came of it


@dataclass(frozen=True)
class Source:
    """Folders of sharp photographs, CSV tables of true pairs, what may not be trained on wherever copies of it lie, and
    folders of real LR photographs, of which the central square of `longest` pixels is used."""

    hr: tuple[Path, ...]
    pairs: tuple[Path, ...] = ()
    held_out: tuple[Path, ...] = ()
    lr: tuple[Path, ...] = ()
    longest: int = 1024

    def read(self, least: int) -> Photographs:
        """All of them; those of less than `least` LR pixels a side are left out, and named."""
        found = Photographs.read(
            list(self.hr), list(self.lr), list(self.pairs), least, self.longest, list(self.held_out)
        )
        for line in found.left_out:
            print(f"left out: {line}")
        print(f"{len(found.hr)} HR, {len(found.lr)} LR, {len(found.rows)} true pairs")
        return found


@dataclass(frozen=True)
class Machine:
    """Processes that make batches, and CPU threads of the networks (None: torch's own choice)."""

    workers: int = 1
    threads: int | None = None


@dataclass(frozen=True)
class Setup:
    """What every training is given: photographs, how long and how fast, the run's folder, the machine."""

    source: Source
    training: TrainOptions
    out: Path
    machine: Machine = Machine()


def train_one(
    name: str, make: Callable[[], Any], config: Config, asked: Mapping[str, Any], data: Any, batch: int, setup: Setup,
    *, least: int | None = None, history: Sequence[Entry] = (), watch: Watch | None = None,
) -> Path:  # fmt: skip
    """Train the stage that `make` returns, going on with what was begun, and write OUT/NAME.safetensors: the EMA
    weights of its model. The curve is OUT/NAME.jsonl.

    config: the model's sizes. asked: what else the stage depends on, for the record. data: the options of the stage's
    batches, a frozen dataclass. least: LR pixels a side below which a photograph is left out (None: data.crop).
    history: the entries of earlier trainings. watch: as of `train`. Raises DegradeError for photographs that do not do,
    and for a run in `out` that was begun with others, or with other options.
    """
    training, out, machine = setup.training, setup.out, setup.machine
    use_threads(machine.threads)
    torch.manual_seed(training.seed)
    stage = make()
    photographs = setup.source.read(least or data.crop)
    dataset: StepDataset = stage.batches(photographs, data, batch, training.seed, rank_and_world()[0])
    asked = to_json({**asked, "data": data})
    beside = {"config": to_json(config), "photographs": photographs.listings}  # too long for the record, or in it
    state, done = train(
        stage, stage.groups(), lambda a, b: batches(dataset, a, b, machine.workers), training, out, name,
        {**asked, **beside}, watch,
    )  # fmt: skip
    entry = {"stage": name, "steps_done": done.step, "seconds": round(done.seconds), "processes": rank_and_world()[1],
             **asked, "training": to_json(training), "photographs": len(photographs.hr),
             "lr_photographs": len(photographs.lr), "true_pairs": len(photographs.rows),
             "photographs_sha256": sha256_json(photographs.listings)}  # fmt: skip
    weights = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    return keep(weights, config, out / f"{name}.safetensors", [*history, entry])


def keep(state: Weights, config: Config, path: Path, training: list[Entry]) -> Path:
    """Write a checkpoint, if this is the process that writes, and say so. Returns its path."""
    if rank_and_world()[0] == 0:
        print(f"wrote {path}" if save(state, config, path, training, {}) else f"{path} is there as it was")
    return path


def use_threads(threads: int | None) -> None:
    """Let the networks have so many CPU threads; None: torch's own choice."""
    if threads:
        torch.set_num_threads(threads)
