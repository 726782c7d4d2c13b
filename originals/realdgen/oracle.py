"""Algorithm 2 and the filter of A.6 as printed: plain PyTorch, FP32, one image at a time. The engine is held to this.

Nothing here is fast, batched or hoisted; every formula stands as in the paper. The noise is passed in, so that engine
and oracle can be given the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from degrade_engine.engine.schedule import Schedule

from .model import RealDGen

Noise = Callable[[int, int], np.ndarray]  # (candidate, step) -> float32 [3, h, w]; step 0 is the start noise


@dataclass(frozen=True)
class Generated:
    """candidates [K, 3, h, w] in about [-1, 1]; errors [K] (normalised squared L2); kept: index of the chosen
    candidate."""

    candidates: Tensor
    degradation_error: Tensor
    content_error: Tensor
    kept: int


@torch.no_grad()
def generate(
    model: RealDGen, x_hr: Tensor, x_lr: Tensor, x_start: Tensor | None, tau: int, noise: Noise, candidates: int = 3
) -> Generated:
    """Algorithm 2 for one pair, and the choice of the best candidate.

    x_hr [3, h, w]: the HR image brought to LR size; x_lr [3, h', w']: the real LR reference; x_start [3, h, w]: the
    start image D(x_hr) (None: Rec_lr of eq. 5); all FP32 in [-1, 1]. tau in 0..T.
    """
    f_deg, f_cont = model.e_deg(x_lr[None]), model.e_cont(x_hr[None])
    c, rec_lr = model.condition(f_deg, f_cont)  # line 2
    if x_start is None:
        x_start = rec_lr[0]
    made = []
    for k in range(candidates):
        eps = partial(model.unet, condition=c)
        made.append(ancestral(eps, model.config.diffusion, x_start, tau, partial(noise, k)))
    again_deg = torch.stack([model.e_deg(x[None])[0] for x in made])
    again_cont = torch.stack([model.e_cont(x[None])[0] for x in made])
    e_deg, e_cont = relative_error(again_deg, f_deg[0]), relative_error(again_cont, f_cont[0])
    return Generated(torch.stack(made), e_deg, e_cont, int((e_deg + e_cont).argmin()))


def ancestral(
    eps: Callable[[Tensor, Tensor], Tensor], d: Schedule, x_start: Tensor, tau: int, noise: Callable[[int], np.ndarray]
) -> Tensor:
    """Algorithm 2 lines 4 to 8 (Ho et al. 2020, Algorithm 2, from a noised start): x_start FP32 [3, h, w] noised to tau
    and denoised step by step; tau = 0 returns it. eps: x_t [1, 3, h, w], t [1] -> eps. noise: step -> z [3, h, w]."""
    abar = alphas_bar(d.T, d.beta_1, d.beta_T)  # not the engine's: the oracle shares none of its arithmetic
    x = x_start.clone()
    if tau > 0:  # line 4
        x = float(np.sqrt(abar[tau])) * x + float(np.sqrt(1 - abar[tau])) * torch.from_numpy(noise(0))
    for t in range(tau, 0, -1):  # lines 5 to 8
        alpha = abar[t] / abar[t - 1]
        sigma = np.sqrt(1 - alpha)
        if d.sigma == "posterior":
            sigma *= np.sqrt((1 - abar[t - 1]) / (1 - abar[t]))
        z = torch.from_numpy(noise(t)) if t > 1 else torch.zeros_like(x)
        guess = eps(x[None], torch.tensor([t]))[0]
        x = float(1 / np.sqrt(alpha)) * (x - float((1 - alpha) / np.sqrt(1 - abar[t])) * guess) + float(sigma) * z
    return x


def alphas_bar(T: int, beta_1: float, beta_T: float) -> np.ndarray:
    """abar_0..abar_T in float64, abar_0 = 1, of linear betas."""
    return np.concatenate([[1.0], np.cumprod(1.0 - np.linspace(beta_1, beta_T, T))])


def relative_error(features: Tensor, target: Tensor) -> Tensor:
    """||features_k - target||² / ||target||², [K] (A.6: "compare their similarities"; the paper gives no formula)."""
    return (features - target).flatten(1).square().sum(1) / target.square().sum().clamp_min(1e-12)
