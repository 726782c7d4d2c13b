"""P-DDM, the physics-based branch: a degradation made of network operations, its parameters predicted from the HR.

The paper says which operation does what (figure 5, after Luo et al. 2023) and no more:

    convolution      blur and ringing      I_1 = sum_n a_n (k_n * I_hr)      a mixture of learnt kernels, a_n at each LR
                                                                             pixel, sum_n a_n = 1
    pooling          downsampling          I_2 = mean of r x r of I_1
    activation       fading, saturation    I_3 = (1 + g) I_2 + o             g, o: one a colour and image
    further          noise                 I_lr^P = clamp(I_3 + sigma z)     sigma at each LR pixel, z ~ N(0, I)

Each k_n sums to 1 and may have negative taps, for ringing. Blur and pooling commute with the mixture, so both are one
convolution of stride r. The **parameter network** is a few residual blocks on the LR grid that read the HR through one
strided convolution: a and sigma are theirs, g and o those of their mean over the image. It starts as Gaussian blurs in
equal parts, no change of colour and half a grey level of noise.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import PDDMConfig

MOST_COLOUR = 0.25  # of g and o: a quarter more contrast, 32 grey levels more light
LEAST_NOISE = 0.004  # of a range of 2: half a grey level, where training starts


class Residual(nn.Module):
    """x + conv(SiLU(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(x)))


class Parameters(nn.Module):
    """The dynamic network: HR [B, 3, r·h, r·w] -> (a [B, N, h, w], sigma [B, 1, h, w], g and o [B, 3, 1, 1]), FP32."""

    def __init__(self, config: PDDMConfig) -> None:
        super().__init__()
        self.config = config
        r, width = config.r, config.width
        self.inp = nn.Conv2d(3, width, 2 * r, stride=r, padding=r // 2)
        self.blocks = nn.Sequential(*[Residual(width) for _ in range(config.blocks)])
        self.maps = nn.Conv2d(width, config.kernels + 1, 3, padding=1)
        self.colour = nn.Linear(width, 6)
        share = LEAST_NOISE / config.most_noise
        with torch.no_grad():
            for p in (*self.maps.parameters(), *self.colour.parameters()):
                p.zero_()
            self.maps.get_parameter("bias")[-1] = math.log(share / (1 - share))  # sigma's logit

    def forward(self, hr: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.blocks(F.silu(self.inp(hr)))
        maps = self.maps(F.silu(x))
        colour = MOST_COLOUR * torch.tanh(self.colour(x.float().mean(dim=(2, 3))))[:, :, None, None]
        n = self.config.kernels
        sigma = self.config.most_noise * torch.sigmoid(maps[:, n:])
        return torch.softmax(maps[:, :n], dim=1), sigma, colour[:, :3], colour[:, 3:]


class PDDM(nn.Module):
    """I_lr^P of an HR image and noise."""

    def __init__(self, config: PDDMConfig) -> None:
        super().__init__()
        self.config = config
        self.parameters_of = Parameters(config)
        self.raw = nn.Parameter(gaussians(config))

    def kernels(self) -> Tensor:
        """The N blur kernels, FP32 [N, 1, kernel, kernel]; each sums to 1."""
        return self.raw + (1 - self.raw.sum(dim=(2, 3), keepdim=True)) / self.config.kernel**2

    def blur(self, hr: Tensor, a: Tensor) -> Tensor:
        """I_2: blurred by each LR pixel's own kernel, then pooled. Beyond the border the image goes on as its edge."""
        r, n, side = self.config.r, self.config.kernels, self.config.kernel
        box = hr.new_full((1, 1, r, r), 1 / r**2)
        both = F.conv2d(self.kernels(), box, padding=r - 1)  # blur, then the mean of r x r
        padded = F.pad(hr, [side // 2] * 4, mode="replicate")
        each = F.conv2d(padded, both.repeat(3, 1, 1, 1), stride=r, groups=3)  # [B, 3·N, h, w], colour by colour
        return torch.cat([(each[:, c * n : (c + 1) * n] * a).sum(dim=1, keepdim=True) for c in range(3)], dim=1)

    def forward(self, hr: Tensor, z: Tensor) -> Tensor:
        """hr FP32 [B, 3, r·h, r·w] in [-1, 1], z FP32 [B, 3, h, w] of N(0, I) -> I_lr^P FP32 [B, 3, h, w] in [-1,
        1]."""
        a, sigma, g, o = self.parameters_of(hr)
        return ((1 + g) * self.blur(hr.float(), a) + o + sigma * z).clamp(-1, 1)


def gaussians(config: PDDMConfig) -> Tensor:
    """The kernels before training: Gaussians of a standard deviation from next to nothing to an LR pixel."""
    place = torch.arange(config.kernel, dtype=torch.float32) - config.kernel // 2
    sigma = torch.linspace(0.1, 1.0, config.kernels)[:, None] * config.r
    line = torch.exp(-0.5 * (place / sigma) ** 2)
    kernels = line[:, :, None] * line[:, None, :]
    return (kernels / kernels.sum(dim=(1, 2), keepdim=True))[:, None]
