"""A super-resolution trainer as a stranger would write it: two folders and a meta file in, a small SRResNet out.

It knows nothing of the engine but the output contract (docs/design.md, section 6), so that what it learns is what the
pairs are worth. Same seed: same first weights, same crops, same flips, whichever set the pairs are from.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.photographs import tensor
from degrade_engine.originals.srresnet import SRResNet, SRResNetConfig

Image = np.ndarray
META = "meta_info_pair.txt"


@dataclass(frozen=True)
class Preset:
    """Network and training: `width` channels, `blocks` residual blocks, `crop` LR pixels a side, Adam at `rate` with
    `warmup` steps of rise and a cosine down to zero."""

    name: str
    width: int
    blocks: int
    steps: int
    batch: int
    crop: int
    rate: float
    warmup: int
    bf16: bool


CPU = Preset("cpu", width=32, blocks=8, steps=500, batch=8, crop=32, rate=1e-3, warmup=25, bf16=True)
GPU = Preset("gpu", width=64, blocks=16, steps=100_000, batch=16, crop=48, rate=2e-4, warmup=1000, bf16=True)
PRESETS = {preset.name: preset for preset in (CPU, GPU)}


@dataclass(frozen=True)
class Pair:
    """lr: uint8 [h, w, 3]; hr: uint8 [scale·h, scale·w, 3], RGB."""

    lr: Image
    hr: Image


def read_set(folder: Path, *, scale: int, least: int) -> list[Pair]:
    """The pairs that FOLDER/meta_info_pair.txt names, in its order. Raises DegradeError where the folder breaks the
    contract: no or an empty meta file, an image that is missing or no image, an HR that is not `scale` times its LR,
    an LR with a side below `least` pixels."""
    meta = folder / META
    if not meta.is_file():
        raise DegradeError(f"{folder} has no {META}", wanted="a folder that `degrade-engine generate` filled")
    lines = [line for line in meta.read_text().splitlines() if line.strip()]
    if not lines:
        raise DegradeError(f"{meta} names no pair")
    pairs = []
    for number, line in enumerate(lines, 1):
        names = line.split(", ")
        if len(names) != 2:
            raise DegradeError(f"{meta}, line {number}: {line!r}", wanted="gt/NAME.png, lq/NAME.png")
        hr, lr = (_image(folder / name) for name in names)
        h, w = lr.shape[:2]
        if hr.shape[:2] != (scale * h, scale * w):
            fact = f"{folder / names[0]} is {hr.shape[1]}x{hr.shape[0]} and its LR {w}x{h}"
            raise DegradeError(fact, wanted=f"exactly {scale} times the LR")
        if min(h, w) < least:
            raise DegradeError(f"{folder / names[1]} is {w}x{h}", wanted=f"{least} pixels a side or more")
        pairs.append(Pair(lr, hr))
    return pairs


def _image(path: Path) -> Image:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise DegradeError(f"{path} is named in {META} and is missing or no image")
    return np.ascontiguousarray(pixels[..., ::-1])


def cut(pairs: list[Pair], rng: np.random.Generator, *, batch: int, crop: int, scale: int) -> list[Pair]:
    """`batch` crops, each turned and mirrored into one of eight ways."""
    cuts = []
    for _ in range(batch):
        pair = pairs[rng.integers(len(pairs))]
        y, x = (int(rng.integers(side - crop + 1)) for side in pair.lr.shape[:2])
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        lr = pair.lr[y : y + crop, x : x + crop]
        hr = pair.hr[scale * y : scale * (y + crop), scale * x : scale * (x + crop)]
        lr, hr = np.rot90(lr, turns), np.rot90(hr, turns)
        cuts.append(Pair(lr[:, ::-1], hr[:, ::-1]) if mirrored else Pair(lr, hr))
    return cuts


@dataclass(frozen=True)
class Trained:
    """The network, the L1 of every step in units of [-1, 1], and how long a step took."""

    net: SRResNet
    losses: list[float]
    seconds_a_step: float


def train(
    pairs: list[Pair], preset: Preset, seed: int, *, scale: int = 4,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Trained:  # fmt: skip
    """L1, Adam, a cosine. Deterministic on one device and number of threads. On a GPU where there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = SRResNet(SRResNetConfig(preset.name, preset.width, preset.blocks, scale))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = torch.optim.Adam(net.parameters(), lr=preset.rate)
    cosine = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: rate_at(step, preset))
    losses: list[float] = []
    began = time.perf_counter()
    for step in range(preset.steps):
        cuts = cut(pairs, rng, batch=preset.batch, crop=preset.crop, scale=scale)
        lr = tensor([pair.lr for pair in cuts]).to(device, memory_format=torch.channels_last)
        hr = tensor([pair.hr for pair in cuts]).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=preset.bf16):
            loss = F.l1_loss(net(lr), hr)
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
        losses.append(float(loss.detach()))
        on_step(step + 1, losses[-1])
    return Trained(net.eval(), losses, (time.perf_counter() - began) / preset.steps)


def rate_at(step: int, preset: Preset) -> float:
    """The share of the learning rate at a step, 0..1: a linear rise, then a cosine to zero."""
    if step < preset.warmup:
        return (step + 1) / preset.warmup
    done = (step - preset.warmup) / max(1, preset.steps - preset.warmup)
    return float(0.5 * (1 + np.cos(np.pi * done)))
