"""A super-resolution trainer as a stranger would write it: pairs in, a small SR network out.

It knows nothing of how the pairs were made, so that what it learns is what they are worth. Same seed: same first
weights, same crops, same flips, whichever set the pairs are from.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.compact import Compact
from degrade_engine.originals.photographs import tensor
from degrade_engine.originals.srresnet import SRResNet, SRResNetConfig

from .pairs import Pair

MEASURED = 6  # steps, of which the first is not counted: it compiles


@dataclass(frozen=True)
class Network:
    """An SR network and its training: `width` channels, `blocks` residual blocks (compact: convolutions), `crop` LR
    pixels a side, Adam at `rate` with `warmup` steps of rise and a cosine down to zero. bf16: autocast."""

    name: str
    width: int
    blocks: int
    steps: int
    batch: int
    crop: int
    rate: float
    warmup: int
    bf16: bool = False

    def build(self, scale: int) -> nn.Module:
        """LR [B, 3, h, w] in [-1, 1] -> SR, of random weights."""
        if self.name == COMPACT.name:
            return Compact(self.width, self.blocks, scale)
        return SRResNet(SRResNetConfig(self.name, self.width, self.blocks, scale))


SMALL = Network("srresnet-small", width=32, blocks=8, steps=500, batch=8, crop=32, rate=1e-3, warmup=25)
PAPER = Network("srresnet", width=64, blocks=16, steps=100_000, batch=16, crop=48, rate=2e-4, warmup=1000)
COMPACT = Network("compact", width=64, blocks=16, steps=500, batch=8, crop=32, rate=4e-4, warmup=25)
NETWORKS = {network.name: network for network in (SMALL, PAPER, COMPACT)}
OLD_NAMES = {"cpu": SMALL.name, "gpu": PAPER.name}  # of rows before there was a second architecture


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
    """The network, and the L1 of every step in units of [-1, 1]."""

    net: nn.Module
    losses: list[float]


def train(
    pairs: list[Pair], network: Network, seed: int, *, scale: int = 4,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Trained:  # fmt: skip
    """L1, Adam, a cosine. Deterministic on one device and number of threads. On a GPU where there is one. Raises
    DegradeError for a pair of another scale, or whose LR has a side below the network's crop."""
    for pair in pairs:
        height, width = pair.lr.shape[:2]
        if pair.scale != scale or min(height, width) < network.crop:
            fact = f"The pair {pair.name} has an LR of {width} x {height} and a scale of {pair.scale}"
            raise DegradeError(fact, wanted=f"{network.crop} pixels a side or more, and a scale of {scale}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = network.build(scale)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = torch.optim.Adam(net.parameters(), lr=network.rate)
    cosine = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: rate_at(step, network))
    losses: list[float] = []
    for step in range(network.steps):
        cuts = cut(pairs, rng, batch=network.batch, crop=network.crop, scale=scale)
        lr = tensor([pair.lr for pair in cuts]).to(device, memory_format=torch.channels_last)
        hr = tensor([pair.hr for pair in cuts]).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=network.bf16):
            loss = F.l1_loss(net(lr), hr)
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
        losses.append(float(loss.detach()))
        on_step(step + 1, losses[-1])
    return Trained(net.eval(), losses)


def rate_at(step: int, network: Network) -> float:
    """The share of the learning rate at a step, 0..1: a linear rise, then a cosine to zero."""
    if step < network.warmup:
        return (step + 1) / network.warmup
    done = (step - network.warmup) / max(1, network.steps - network.warmup)
    return float(0.5 * (1 + np.cos(np.pi * done)))


def seconds_a_step(pairs: list[Pair], network: Network, *, scale: int) -> float:
    """Measured on a few steps of a training."""
    ends: list[float] = []
    few = replace(network, steps=MEASURED)
    train(pairs, few, 0, scale=scale, on_step=lambda step, loss: ends.append(time.perf_counter()))
    return (ends[-1] - ends[0]) / (len(ends) - 1)
