"""The LR reconstruction network (LWay 3.1): e = E(I_LR), then an estimate of I_LR, R(I_HR, e).

The paper names the two and draws no layer. E is RealDGen's extractor (realdgen/degradation.py): no normalisation,
which would take away what it has to measure. R brings I_HR to LR size by the field's antialiased bicubic and learns
what a camera does beyond that, by residual blocks that e scales and shifts. So R is differentiable in I_HR, which 3.2
needs; it serves every scale; and what is learnt lives on the LR grid, as everywhere in this project. The price: what
the bicubic takes away (aliasing) R cannot bring back.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from degrade_engine.originals.realdgen.content import silence
from degrade_engine.originals.realdgen.degradation import DegradationExtractor

from .config import LWayConfig, ReconstructorConfig


def to_lr_size(hr: Tensor, size: tuple[int, int]) -> Tensor:
    """hr [B, 3, H, W] to [B, 3, *size]: antialiased bicubic, a = -0.5 (Pillow's), in FP32 and without rounding."""
    return F.interpolate(hr.float(), size=size, mode="bicubic", antialias=True, align_corners=False)


class ModulatedBlock(nn.Module):
    """A residual block whose branch e scales and shifts, channel by channel: f [B, width, h, w], e [B, D]."""

    def __init__(self, width: int, vector: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.unit = nn.Linear(vector, 2 * width)
        silence(self.conv2)
        nn.init.normal_(self.unit.weight, std=0.01)
        nn.init.zeros_(self.unit.bias)

    def forward(self, f: Tensor, e: Tensor) -> Tensor:
        scale, shift = self.unit(e)[:, :, None, None].chunk(2, dim=1)
        return f + self.conv2(F.silu(self.conv1(F.silu(f)))) * (1 + scale) + shift


class Reconstructor(nn.Module):
    """R on the LR grid: (I_HR at LR size [B, 3, h, w], e [B, D]) -> the LR image [B, 3, h, w], FP32, about [-1, 1].

    An untrained R returns its image: the last convolution is zero.
    """

    def __init__(self, config: ReconstructorConfig, vector: int) -> None:
        super().__init__()
        self.inp = nn.Conv2d(3, config.width, 3, padding=1)
        self.blocks = nn.ModuleList(ModulatedBlock(config.width, vector) for _ in range(config.blocks))
        self.out = nn.Conv2d(config.width, 3, 3, padding=1)
        silence(self.out)

    def forward(self, content: Tensor, e: Tensor) -> Tensor:
        f = self.inp(content)
        for block in self.blocks:
            f = block(f, e)
        return content.float() + self.out(F.silu(f)).float()


class LWay(nn.Module):
    """E and R. Images are [B, 3, h, w] in [-1, 1]."""

    def __init__(self, config: LWayConfig) -> None:
        super().__init__()
        self.config = config
        self.degradation = DegradationExtractor(config.degradation)
        self.reconstructor = Reconstructor(config.reconstructor, config.degradation.vector)

    def e(self, lr: Tensor) -> Tensor:
        """e = E(I_LR), [B, D]; sides of 32 pixels or more."""
        return self.degradation(lr)

    def r(self, hr: Tensor, e: Tensor, size: tuple[int, int]) -> Tensor:
        """R(I_HR, e) for an LR of `size` (height, width); hr may be of any size, LR size included."""
        content = hr.float() if tuple(hr.shape[2:]) == tuple(size) else to_lr_size(hr, size)
        return self.reconstructor(content, e)
