"""One training loop for every original: EMA, JSONL log, exact resume after a kill, torchrun.

A **stage** is a module whose forward(batch, generator) returns named losses, `loss` being what is minimised. Batch and
randomness of a step are functions of (seed, step, rank), so a resumed run repeats an uninterrupted one.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from torch import Tensor, nn

from degrade_engine.engine import machine
from degrade_engine.engine.artefact import write_bytes_atomic
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.scalars import number, whole

from .state import Progress, read_state, write_state

Batches = Callable[[int, int], Iterable[dict[str, Tensor]]]
Watch = Callable[[int, float, dict[str, Tensor]], bool]
"""Called after each step with its number, the seconds so far and the EMA of the state; True ends the training."""


@dataclass(frozen=True)
class TrainOptions:
    """How long and how fast. Learning rates belong to the stage's parameter groups."""

    steps: int
    seed: int = 0
    warmup: int = 100  # steps of linear warm-up; then a cosine down to a tenth
    ema: float = 0.999
    clip_norm: float = 1.0
    bf16: bool = True  # autocast; see bf16_helps
    log_every: int = 20
    save_every_s: float = 120.0
    deadline_s: float = (
        0.0  # > 0: the cosine runs over wall-clock time instead and the stage ends then (not exactly resumable)
    )

    def __post_init__(self) -> None:
        whole("steps", self.steps, 1)
        whole("the seed", self.seed, 0, 2**24 - 1)  # a step's generator has the seed's bits above the step's
        number("ema", self.ema, 0, 1)
        number("the time in seconds", self.deadline_s, 0)

    def matters(self) -> dict[str, Any]:
        """What the result depends on, and so a run that goes on has to repeat."""
        return {name: value for name, value in asdict(self).items() if name not in ("log_every", "save_every_s")}


def bf16_helps() -> bool:
    """Whether autocast to bfloat16 is faster here than FP32: on a GPU, or a CPU that multiplies in it. With AVX-512
    alone a step takes twice FP32's time; others compute it in a reference loop, measured at ten to thirty times FP32's
    time for a convolution."""
    return torch.cuda.is_available() or any(name in machine.BF16 for name in machine.cpu_features())


def rank_and_world() -> tuple[int, int]:
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def train(
    stage: nn.Module, groups: list[dict[str, Any]], batches: Batches, options: TrainOptions, out: Path, name: str,
    asked: Mapping[str, Any], watch: Watch | None = None,
) -> tuple[dict[str, Tensor], Progress]:  # fmt: skip
    """Train `stage`: (the EMA of its state dict, how far it is). Files: out/NAME.jsonl (the curve),
    out/NAME.state.safetensors. `watch` may end it early.

    groups: AdamW parameter groups, each with its own `lr`. batches(first, last) yields the batches of those steps.
    asked: plain JSON values, all that the result depends on beside the options. What was begun in `out` is gone on
    with; DegradeError if it was asked for something else, and where the loss does not stay finite.
    """
    rank, world = rank_and_world()
    for group in groups:
        number("the learning rate", group["lr"], 0)
    device = _on_its_device(stage, options)
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0, betas=(0.9, 0.99))
    ema = {k: v.detach().clone() for k, v in stage.state_dict().items()}
    path = _made(out) / f"{name}.state.safetensors"
    asked = {**asked, "training": options.matters(), "processes": world}
    begun = read_state(path, stage, optimiser, ema, asked) if path.exists() else Progress()
    if begun.finished or begun.step >= options.steps:
        if rank == 0:
            print(f"stage {name} is finished in {out}: nothing is trained")
        return {k: v.cpu() for k, v in ema.items()}, begun
    run: nn.Module = stage
    if world > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        run = nn.parallel.DistributedDataParallel(stage, find_unused_parameters=True)
    curve = Curve(out / f"{name}.jsonl", begun.step, options.log_every) if rank == 0 else None
    peak = [g["lr"] for g in optimiser.param_groups]
    step, began, saved = begun.step, time.monotonic() - begun.seconds, time.monotonic()
    with Bar(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn(),
             TextColumn("{task.fields[loss]}"), disable=rank > 0) as bar:  # fmt: skip
        task = bar.add_task(name, **_place(options, step, begun.seconds), loss="")
        for batch in batches(step, options.steps):
            seconds = time.monotonic() - began
            part = seconds / options.deadline_s if options.deadline_s else step / options.steps
            if part >= 1:
                break
            for group, lr in zip(optimiser.param_groups, peak, strict=True):
                group["lr"] = lr * min(1.0, (step + 1) / options.warmup) * (0.55 + 0.45 * math.cos(math.pi * part))
            generator = torch.Generator().manual_seed((options.seed << 40) ^ (step << 8) ^ rank)
            batch = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
            losses = _move(run, optimiser, batch, generator, options, f"stage {name}, step {step}")
            step += 1
            _follow(ema, stage, min(options.ema, (1 + step) / (10 + step)))
            if curve and (row := curve.add(losses, step, optimiser.param_groups[0]["lr"], seconds)):
                bar.update(task, **_place(options, step, seconds), loss=f"loss {row['loss']:.4f}")
            if rank == 0 and time.monotonic() - saved > options.save_every_s:
                write_state(path, stage, optimiser, ema, Progress(step, time.monotonic() - began), asked)
                saved = time.monotonic()
            if watch and watch(step, time.monotonic() - began, ema):
                break
    done = Progress(step, time.monotonic() - began, finished=True)
    if rank == 0:
        write_state(path, stage, optimiser, ema, done, asked)
    return {k: v.cpu() for k, v in ema.items()}, done


def _made(out: Path) -> Path:
    """The folder of a training, which is made where it is not there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise DegradeError(f"{out} cannot be made ({e.strerror or e})", mend="give another --out") from e
    return out


def _place(options: TrainOptions, step: int, seconds: float) -> dict[str, Any]:
    """How far a training is, for its bar: by the time where that ends it."""
    if options.deadline_s:
        return {"total": options.deadline_s, "completed": seconds, "done": f"step {step}"}
    return {"total": options.steps, "completed": step, "done": f"{step}/{options.steps}"}


def _on_its_device(stage: nn.Module, options: TrainOptions) -> torch.device:
    """Moves the stage to this process's GPU where there is one."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    stage.to(device)
    if not cuda and options.bf16:  # in FP32, torch 2.13's GroupNorm backward has crashed in this layout
        stage.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return device


class Curve:
    """NAME.jsonl: a row of mean losses every so many steps. What stands there of steps that are made again goes."""

    def __init__(self, path: Path, step: int, every: int) -> None:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        write_bytes_atomic(path, b"".join(line for line in lines if _step_of(line) <= step))
        self.file, self.every = path.open("a"), every
        self.sums: dict[str, float] = {}
        self.summed = 0

    def add(self, losses: Mapping[str, Tensor], step: int, lr: float, seconds: float) -> dict[str, float] | None:
        """The losses of the step that was made as number `step`; returns the row if it was time for one."""
        for k, v in losses.items():
            self.sums[k] = self.sums.get(k, 0.0) + float(v.detach())
        self.summed += 1
        if step % self.every:
            return None
        row = {k: round(v / self.summed, 6) for k, v in self.sums.items()}
        row |= {"step": step, "lr": lr, "seconds": round(seconds, 1)}
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()
        self.sums, self.summed = {}, 0
        return row


def _step_of(line: bytes) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # half a line, of a run that was killed
        return math.inf


def _move(
    run: nn.Module, optimiser: torch.optim.Optimizer, batch: dict[str, Tensor], generator: torch.Generator,
    options: TrainOptions, where: str,
) -> dict[str, Tensor]:  # fmt: skip
    """One step of the optimiser; returns the losses."""
    device = next(iter(batch.values())).device
    with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
        losses: dict[str, Tensor] = run(batch, generator)
    optimiser.zero_grad(set_to_none=True)
    losses["loss"].backward()
    norm = torch.nn.utils.clip_grad_norm_(run.parameters(), options.clip_norm)
    if not torch.isfinite(norm):
        fact = f"{where}: the gradient is not finite"
        raise DegradeError(fact, wanted="finite gradients", mend="lower the learning rate, or train with --no-bf16")
    optimiser.step()
    return losses


@torch.no_grad()
def _follow(ema: dict[str, Tensor], stage: nn.Module, decay: float) -> None:
    for k, v in stage.state_dict().items():
        if v.is_floating_point():
            ema[k].lerp_(v.detach(), 1 - decay)
        else:
            ema[k].copy_(v)
