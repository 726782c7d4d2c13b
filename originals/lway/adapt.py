"""LWay's second step (3.2): an SR model S learns from test LR images alone.

    theta_ft = argmin L(R(S_theta(I_LR), e), I_LR),   e = E(I_LR),   E and R frozen
    L = L1(W ⊙ R(…), W ⊙ I_LR) + L_LPIPS(W ⊙ R(…), W ⊙ I_LR)

W is the wavelet weight map of I_LR. A subset theta_ft of S moves, 65 % of its parameters (4.4), by Adam at 2e-6, six
patches a step, 150 to 500 steps (4.1). The paper does not say which 65 %: we take the last layers. What reads the LR
stays as it was learnt, and no gradient has to go back through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.noise import Image
from degrade_engine.originals.photographs import tensor

from .model import LWay
from .perceptual import Distance
from .wavelet import weight_map

LEAST = 35  # LR pixels a side: LPIPS pools five times


@dataclass(frozen=True)
class AdaptOptions:
    """The paper's settings (4.1, 4.4). crop: LR pixels a side of a patch (the test LR of 4.1 are 128); a smaller image
    is taken whole, and then alone in its step's loss."""

    steps: int = 300
    batch: int = 6
    lr: float = 2e-6
    share: float = 0.65
    crop: int = 128
    seed: int = 0


@dataclass(frozen=True)
class LRTest:
    """A test image with what of it stays the same: lr [1, 3, h, w] in [-1, 1], e [1, D], W [1, 1, h, w]."""

    lr: Tensor
    e: Tensor
    weight: Tensor


def prepare(lway: LWay, image: Image) -> LRTest:
    """uint8 [h, w, 3] -> LRTest; E sees the whole image. Raises DegradeError for one that is too small."""
    if min(image.shape[:2]) < LEAST:
        raise DegradeError(f"A test image is {image.shape[1]}x{image.shape[0]}", wanted=f"{LEAST} px or more a side")
    lr = tensor([image]).to(next(lway.parameters()).device)
    with torch.no_grad():
        return LRTest(lr, lway.e(lr), weight_map(lr))


def select(net: nn.Module, share: float) -> list[nn.Parameter]:
    """theta_ft: the last parameter tensors of the network, in its own order, whose number of values comes nearest to
    `share` of all. Everything else is frozen. share in 0..1, at least one tensor."""
    if not 0 < share <= 1:
        raise DegradeError(f"A share of {share} of the parameters was to move", wanted="above 0, at most 1")
    parameters = [*net.parameters()]
    wanted = share * sum(p.numel() for p in parameters)
    sizes = np.cumsum([p.numel() for p in reversed(parameters)])
    count = 1 + int(np.abs(sizes - wanted).argmin())
    net.requires_grad_(False)
    chosen = parameters[-count:]
    for p in chosen:
        p.requires_grad_(True)
    return chosen


def loss(lway: LWay, distance: Distance, sr: Tensor, test: LRTest) -> dict[str, Tensor]:
    """L of 3.2 for sr = S(test.lr) [B, 3, H, W]; gradients go to sr alone where E and R are frozen."""
    made = lway.r(sr, test.e, (test.lr.shape[2], test.lr.shape[3]))
    made, real = test.weight * made, test.weight * test.lr
    l1, far = F.l1_loss(made, real), distance(made, real)
    return {"loss": l1 + far, "l1": l1, "perceptual": far}


def adapt(
    net: nn.Module,
    lway: LWay,
    tests: Sequence[LRTest],
    options: AdaptOptions,
    distance: Distance,
    log: Callable[[dict[str, float]], None] = lambda row: None,
    multiple: int = 1,
) -> float:
    """Fine-tune `net` in place on the tests; returns the share of its parameters that could move.

    net: LR [B, 3, h, w] to SR in [-1, 1], as sr_models.open_sr gives it, in eval mode (its normalisation and dropout
    stay as they are). The patches of a step depend on the seed and the step alone. log gets each step's losses, the
    means over its patches. multiple: of the patches' sides. Raises DegradeError where a loss is not finite.
    """
    lway.eval().requires_grad_(False)
    chosen = select(net, options.share)
    optimiser = torch.optim.Adam(chosen, lr=options.lr)
    for step in range(options.steps):
        rng = np.random.Generator(np.random.Philox(key=[options.seed, 0xADA7], counter=[0, 0, 0, step]))
        optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for patches in patches_of(rng, tests, options, multiple):
            losses = loss(lway, distance, net(patches.lr), patches)
            if not torch.isfinite(losses["loss"]):
                raise DegradeError(f"step {step}: the loss is not finite", mend="lower --learning-rate")
            part = len(patches.lr) / options.batch
            (part * losses["loss"]).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + part * float(value.detach())
        optimiser.step()
        log({"step": step + 1} | sums)
    return sum(p.numel() for p in chosen) / sum(p.numel() for p in net.parameters())


def patches_of(rng: np.random.Generator, tests: Sequence[LRTest], options: AdaptOptions, multiple: int) -> list[LRTest]:
    """One step's patches, those of one size together. The images come in turn at random, none twice before all were
    there once."""
    order = np.concatenate([rng.permutation(len(tests)) for _ in range(-(-options.batch // len(tests)))])
    found: dict[tuple[int, int], list[LRTest]] = {}
    for i in order[: options.batch]:
        test = tests[int(i)]
        h, w = (min(options.crop, n) // multiple * multiple for n in test.lr.shape[2:])
        y, x = (int(rng.integers(0, n - side + 1)) for n, side in zip(test.lr.shape[2:], (h, w), strict=True))
        there = (..., slice(y, y + h), slice(x, x + w))
        found.setdefault((h, w), []).append(LRTest(test.lr[there], test.e, test.weight[there]))
    return [LRTest(*(torch.cat([getattr(t, name) for t in same]) for name in ("lr", "e", "weight")))
            for same in found.values()]  # fmt: skip


@torch.no_grad()
def super_resolve(net: nn.Module, image: Image, scale: int, multiple: int = 1) -> Image:
    """S of a whole image: uint8 [h, w, 3] -> uint8 [scale·h, scale·w, 3]; sides are padded to `multiple` and cut."""
    h, w = image.shape[:2]
    lr = tensor([image]).to(next(net.parameters()).device)
    sr = net(F.pad(lr, (0, -w % multiple, 0, -h % multiple), mode="replicate"))[0, :, : scale * h, : scale * w]
    return ((sr.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
