"""DDM, the diffusion branch (eq. 2 to 4): from an extremely downsampled image to a real LR one.

    training     I_lr^R = DDM(I_lr^R down s)       real LR photographs alone                                    (eq. 2)
                 L_d = E ||eps - eps_theta(x_t, t | I_lr^R down s)||²                                           (eq. 3)
    generation   I_lr^D = DDM_reverse(I_hr down rs)                                                             (eq. 4)

What is left of a photograph after the downsampling looks alike whether it was HR or LR (the paper's figure 4 b; over 20
Canon pairs the mean difference falls from 7.1 grey levels at LR size to 4.6 at s = 2 and 3.4 at s = 4), so a network
that only ever met LR photographs takes an HR one for its own. The image is brought to LR size first, then down by s:
that is I_hr down rs up to rounding, and the engine has the former in any case.

The condition is brought back to LR size by bicubic upsampling and goes through the U-Net's first convolution, once a
pair (`condition`). With the residual preconditioning of the U-Net (unet.py; the tiny preset) it is also the mu around
which x_0 is sought.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from degrade_engine.originals.photographs import RealBatches
from degrade_engine.originals.realdgen import losses
from degrade_engine.originals.realdgen.oracle import ancestral
from degrade_engine.originals.realdgen.unet import UNet
from degrade_engine.originals.stage import WholeModel

from .config import DDMConfig
from .resample import Bicubic

Noise = Callable[[int], np.ndarray]  # step -> float32 [3, h, w]; step 0 is the start noise


class DDM(nn.Module):
    """eps_theta(x_t, t | condition)."""

    def __init__(self, config: DDMConfig) -> None:
        super().__init__()
        self.config = config
        self.resample = Bicubic(config.s)
        self.unet = UNet(config.unet, 3, config.diffusion.alphas_bar)

    def condition(self, image: Tensor) -> Tensor:
        """image FP32 [B, 3, h, w] in [-1, 1], at LR size -> what the steps need of `image down s`, FP32 [B,
        unet.condition_channels, h, w]."""
        low = self.resample.up(self.resample.down(image))
        return self.unet.condition(None, low)

    def forward(self, x_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """x_t FP32 [B, 3, h, w], t integers [B] in 1..T -> eps FP32 [B, 3, h, w]."""
        return self.unet(x_t, t, condition)


class DDMStage(WholeModel):
    """eq. 3 on {"image": real LR [B, 3, h, w] in [-1, 1]}."""

    batches = RealBatches
    model: DDM

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        x_0, T = batch["image"], self.model.config.diffusion.T
        t = torch.randint(1, T + 1, (len(x_0),), generator=generator).to(x_0.device)
        eps = torch.randn(x_0.shape, generator=generator).to(x_0.device)
        x_t = losses.diffuse(x_0, eps, t, self.model.unet.abar)
        return {"loss": losses.reconstruction(self.model(x_t, t, self.model.condition(x_0)), eps)}


@torch.no_grad()
def generate(model: DDM, image: Tensor, tau: int, noise: Noise) -> Tensor:
    """The oracle of eq. 4: image FP32 [3, h, w] in [-1, 1], the HR at LR size, noised to tau and denoised step by step
    (Ho et al. 2020, Algorithm 2). tau = T is the paper's, a start that is noise; 0 returns the image."""
    eps = partial(model, condition=model.condition(image[None]))
    return ancestral(eps, model.config.diffusion, image, tau, noise)
