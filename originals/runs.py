"""A training of one stage, from photographs to EMA weights and the record of how they came: what `train lway`,
`train srresnet` and `train uddm` share (RealDGen's stages start from one another, and have their own in
realdgen/train.py)."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .photographs import Photographs, StepDataset, batches
from .trainer import TrainOptions, rank_and_world, train


class Stage(Protocol):
    """What is trained: an nn.Module whose `model` is kept, and the batches that it wants."""

    model: nn.Module
    batches: type[StepDataset]

    def groups(self) -> list[dict]: ...


@dataclass(frozen=True)
class Source:
    """Folders of sharp photographs, CSV tables of true pairs, what may not be trained on wherever copies of it lie, and
    folders of real LR photographs, of which the central square of `longest` pixels is used."""

    hr: tuple[Path, ...]
    pairs: tuple[Path, ...] = ()
    held_out: tuple[Path, ...] = ()
    lr: tuple[Path, ...] = ()
    longest: int = 1024


@dataclass(frozen=True)
class Machine:
    """Processes that make batches, and CPU threads of the networks (None: torch's own choice)."""

    workers: int = 1
    threads: int | None = None


def train_one(
    name: str,
    make: Callable[[], Any],
    source: Source,
    data: Any,
    batch: int,
    least: int,
    training: TrainOptions,
    out: Path,
    machine: Machine,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train the stage that `make` returns: (EMA weights of its model, the record's entry).

    data: the options of the stage's batches, a frozen dataclass. least: LR pixels a side below which a photograph is
    left out. Raises DegradeError for photographs that do not do, and for a run in `out` with other options.
    """
    use_threads(machine.threads)
    torch.manual_seed(training.seed)
    stage = make()
    photographs = Photographs.read(
        list(source.hr), list(source.lr), list(source.pairs), least, source.longest, list(source.held_out)
    )
    for line in photographs.left_out:
        print(f"left out: {line}")
    print(f"{len(photographs.hr)} HR, {len(photographs.lr)} LR, {len(photographs.rows)} true pairs")
    rank, world = rank_and_world()
    dataset = stage.batches(photographs, data, batch, training.seed, rank)
    began = time.monotonic()
    state = train(stage, stage.groups(), lambda a, b: batches(dataset, a, b, machine.workers), training, out, name)
    entry = {"stage": name, "steps_done": last_step(out / f"{name}.jsonl"), "batch": batch,
             "seconds": round(time.monotonic() - began), "processes": world, "data": dataclasses.asdict(data),
             "training": dataclasses.asdict(training), "photographs": len(photographs.hr),
             "lr_photographs": len(photographs.lr), "true_pairs": len(photographs.rows)}  # fmt: skip
    return {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}, entry


def use_threads(threads: int | None) -> None:
    """Let the networks have so many CPU threads; None: torch's own choice."""
    if threads:
        torch.set_num_threads(threads)


def last_step(curve: Path) -> int:
    """The step of the last line of a training curve, 0 for an empty one."""
    lines = curve.read_text().splitlines()
    return json.loads(lines[-1])["step"] if lines else 0
