"""One training loop for every original: EMA, JSONL log, exact resume after a kill, torchrun.

A **stage** is a module whose forward(batch, generator) returns named losses, `loss` being what is minimised. Batch and
randomness of a step are functions of (seed, step, rank), so a resumed run repeats an uninterrupted one.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError

Batches = Callable[[int, int], Iterable[dict[str, Tensor]]]


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


def bf16_helps() -> bool:
    """Whether autocast to bfloat16 is faster here than FP32: on a GPU, or a CPU with AVX-512. Others compute it in a
    reference loop, measured at ten to thirty times FP32's time for a convolution."""
    return torch.cuda.is_available() or "AVX512" in torch.backends.cpu.get_cpu_capability()


def rank_and_world() -> tuple[int, int]:
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def train(
    stage: nn.Module, groups: list[dict], batches: Batches, options: TrainOptions, out: Path, name: str
) -> dict[str, Tensor]:
    """Train `stage` and return the EMA of its state dict. Files: out/NAME.jsonl (the curve),
    out/NAME.state.safetensors.

    groups: AdamW parameter groups, each with its own `lr`. batches(first, last) yields the batches of those steps.
    """
    rank, world = rank_and_world()
    device = (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )
    stage.to(device)
    if device.type == "cpu" and options.bf16:  # in FP32, torch 2.13's GroupNorm backward has crashed in this layout
        stage.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run: nn.Module = stage
    if world > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        run = nn.parallel.DistributedDataParallel(stage, find_unused_parameters=True)
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0, betas=(0.9, 0.99))
    peak = [g["lr"] for g in optimiser.param_groups]
    ema = {k: v.detach().clone() for k, v in stage.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    state = out / f"{name}.state.safetensors"
    first = _load(state, stage, optimiser, ema, options) if state.exists() else 0
    log = (out / f"{name}.jsonl").open("a") if rank == 0 else None
    began = saved = time.monotonic()
    sums: dict[str, float] = {}
    summed = 0
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                  TextColumn("{task.fields[loss]}"), disable=rank > 0) as progress:  # fmt: skip
        task = progress.add_task(name, total=options.steps, completed=first, loss="")
        step = first
        for batch in batches(first, options.steps):
            part = step / options.steps
            if options.deadline_s:
                part = (time.monotonic() - began) / options.deadline_s
                if part >= 1:
                    break
            for group, lr in zip(optimiser.param_groups, peak, strict=True):
                group["lr"] = lr * min(1.0, (step + 1) / options.warmup) * (0.55 + 0.45 * math.cos(math.pi * part))
            generator = torch.Generator().manual_seed((options.seed << 40) ^ (step << 8) ^ rank)
            batch = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
                losses = run(batch, generator)
            optimiser.zero_grad(set_to_none=True)
            losses["loss"].backward()
            norm = torch.nn.utils.clip_grad_norm_(stage.parameters(), options.clip_norm)
            if not torch.isfinite(norm):
                raise DegradeError(
                    f"stage {name}, step {step}: the gradient is not finite",
                    wanted="finite gradients",
                    mend="lower the learning rate, or train with --no-bf16",
                )
            optimiser.step()
            step += 1
            _follow(ema, stage, min(options.ema, (1 + step) / (10 + step)))
            for k, v in losses.items():
                sums[k] = sums.get(k, 0.0) + float(v.detach())
            summed += 1
            if step % options.log_every == 0 and log:
                row = {k: round(v / summed, 6) for k, v in sums.items()}
                row |= {
                    "step": step,
                    "lr": optimiser.param_groups[0]["lr"],
                    "seconds": round(time.monotonic() - began, 1),
                }
                log.write(json.dumps(row) + "\n")
                log.flush()
                sums, summed = {}, 0
                progress.update(task, completed=step, loss=f"loss {row['loss']:.4f}")
            if rank == 0 and time.monotonic() - saved > options.save_every_s:
                _save(state, stage, optimiser, ema, step, options)
                saved = time.monotonic()
    if rank == 0:
        _save(state, stage, optimiser, ema, step, options)
    return {k: v.cpu() for k, v in ema.items()}


@torch.no_grad()
def _follow(ema: dict[str, Tensor], stage: nn.Module, decay: float) -> None:
    for k, v in stage.state_dict().items():
        if v.is_floating_point():
            ema[k].lerp_(v.detach(), 1 - decay)
        else:
            ema[k].copy_(v)


def _save(
    path: Path,
    stage: nn.Module,
    optimiser: torch.optim.Optimizer,
    ema: dict[str, Tensor],
    step: int,
    options: TrainOptions,
) -> None:
    """Weights, EMA and Adam's moments in one safetensors file, written aside and renamed."""
    tensors = {f"model.{k}": v for k, v in stage.state_dict().items()} | {f"ema.{k}": v for k, v in ema.items()}
    for i, slot in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{k}": torch.as_tensor(v) for k, v in slot.items()}
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    aside = path.with_suffix(".tmp")
    save_file(tensors, aside, metadata={"step": str(step), "options": json.dumps(asdict(options))})
    os.replace(aside, path)


def _load(
    path: Path, stage: nn.Module, optimiser: torch.optim.Optimizer, ema: dict[str, Tensor], options: TrainOptions
) -> int:
    from safetensors import safe_open

    with safe_open(path, "pt") as f:
        meta = f.metadata()
    before = json.loads(meta["options"])
    for key in ("steps", "seed", "ema", "bf16"):
        if before[key] != asdict(options)[key]:
            raise DegradeError(
                f"{path} was begun with {key} = {before[key]}, now {key} = {asdict(options)[key]}",
                wanted="the same options as the run that is resumed",
                mend="give them, or another --out",
            )
    tensors = load_file(path)
    stage.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    for k in ema:
        ema[k].copy_(tensors[f"ema.{k}"])
    packed = optimiser.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    for k, v in tensors.items():
        if k.startswith("adam."):
            _, i, field = k.split(".", 2)
            slots.setdefault(int(i), {})[field] = v
    packed["state"] = slots
    optimiser.load_state_dict(packed)
    return int(meta["step"])
