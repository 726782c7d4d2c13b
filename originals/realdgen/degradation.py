"""E_deg: an LR image to its degradation vector (RealDGen A.1.2, figure 8).

Feature extraction, 16 residual blocks, adaptive pooling, a mapping of four 1×1 convolutions. No normalisation layers:
noise strength and contrast are what it has to measure. The paper pools to 1×1 (a mean). The tiny preset also pools
the logarithm of the standard deviation of each feature, since blur and noise show in how much a band-pass response
varies, not in its mean.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import DegradationConfig
from .content import ResidualBlock


class NoiseHead(nn.Module):
    """F_deg [B, D] -> the standard deviation of the reference's noise [B], in the networks' units, FP32. Not in the
    paper: the tiny preset's gate needs it (unet.py)."""

    def __init__(self, vector: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(vector, 64), nn.Linear(64, 1)
        nn.init.constant_(self.out.bias, -3.0)

    def forward(self, f_deg: Tensor) -> Tensor:
        return F.softplus(self.out(F.silu(self.hidden(f_deg)))[:, 0].float())


class DegradationExtractor(nn.Module):
    """image [B, 3, h, w] in [-1, 1] -> F_deg [B, D]."""

    def __init__(self, config: DegradationConfig) -> None:
        super().__init__()
        self.config = config
        self.features = nn.Conv2d(3, config.widths[0], 3, padding=1)
        layers: list[nn.Module] = []
        width = config.widths[0]
        for next_width, blocks in zip(config.widths, config.blocks, strict=True):
            if next_width != width:
                layers.append(nn.Conv2d(width, next_width, 3, stride=2, padding=1))
            layers += [ResidualBlock(next_width) for _ in range(blocks)]
            width = next_width
        self.blocks = nn.Sequential(*layers)
        pooled = 2 * width if config.pool_spread else width
        sizes = [pooled, config.mapping, config.mapping, config.mapping, config.vector]
        self.mapping = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(sizes, sizes[1:], strict=False))

    @property
    def last(self) -> nn.Module:
        """The convolution that A.5 fine-tunes."""
        return self.mapping[-1]

    def forward(self, x: Tensor) -> Tensor:
        e = self.pool(self.blocks(self.features(x)).float())
        for i, conv in enumerate(self.mapping):
            e = conv(e if i == 0 else F.leaky_relu(e, 0.1))
        return e[:, :, 0, 0]

    def pool(self, f: Tensor) -> Tensor:
        """Adaptive pooling to 1×1, in FP32."""
        mean = f.mean(dim=(2, 3), keepdim=True)
        if not self.config.pool_spread:
            return mean
        spread = (f - mean).square().mean(dim=(2, 3), keepdim=True)
        return torch.cat([mean, 0.5 * torch.log(spread + 1e-6)], dim=1)
