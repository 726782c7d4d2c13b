"""An unconditional diffusion model of real LR images, and how pairs are made with it.

Trained on real LR alone. A degraded HR image is noised to a strength drawn at random, at most a quarter of the
schedule, and denoised: what the noise has covered comes back as real LR look, what it has not stays the HR's content.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from degrade_engine.originals.photographs import RealBatches
from degrade_engine.originals.realdgen import losses
from degrade_engine.originals.realdgen.oracle import ancestral
from degrade_engine.originals.realdgen.unet import UNet
from degrade_engine.originals.stage import WholeModel

from .config import SynDiffConfig

Noise = Callable[[int], np.ndarray]  # step -> float32 [3, h, w]; step 0 is the start noise


class SynDiff(nn.Module):
    """eps_theta(x_t, t)."""

    def __init__(self, config: SynDiffConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.unet, 0, config.diffusion.alphas_bar)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """x_t FP32 [B, 3, h, w], t integers [B] in 1..T -> eps FP32 [B, 3, h, w]."""
        return self.unet(x_t, t)


class SynDiffStage(WholeModel):
    """Ho et al. 2020, Algorithm 1, on {"image": real LR [B, 3, h, w] in [-1, 1]}. low_share of the rows have t at most
    a quarter of the schedule, where generation happens."""

    batches = RealBatches
    model: SynDiff

    def __init__(self, model: SynDiff, lr: float, low_share: float = 0.0) -> None:
        super().__init__(model, lr)
        self.low_share = low_share

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        x_0, config = batch["image"], self.model.config
        t = losses.draw_t(len(x_0), config.diffusion.T, generator, self.low_share, config.strongest).to(x_0.device)
        eps = torch.randn(x_0.shape, generator=generator).to(x_0.device)
        x_t = losses.diffuse(x_0, eps, t, self.model.unet.abar)
        return {"loss": losses.reconstruction(self.model(x_t, t), eps)}


@torch.no_grad()
def generate(model: SynDiff, x_start: Tensor, tau: int, noise: Noise) -> Tensor:
    """The oracle: x_start FP32 [3, h, w] in [-1, 1] noised to tau and denoised step by step (Ho et al., Algorithm 2;
    sigma_t² = beta_t or the posterior's). tau in 0..T/4."""
    return ancestral(model, model.config.diffusion, x_start, tau, noise)
