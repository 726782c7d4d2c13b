"""E_deg: an LR image to its degradation vector (RealDGen A.1.2, figure 8).

Feature extraction, 16 residual blocks, adaptive pooling, a mapping of four 1×1 convolutions. No normalisation layers:
noise strength and contrast are what it has to measure. The paper pools to 1×1 (a mean). The tiny preset also pools

- the logarithm of the standard deviation of each feature (`pool_spread`): blur and noise show in how much a band-pass
  response varies, not in its mean;
- how much each feature varies where it varies least (`pool_quiet`): the harmonic mean, over windows of 8×8 pixels, of
  its variance within a window, at each resolution. Weak noise, texture and JPEG differ little over a whole photograph,
  but texture leaves some windows alone, JPEG empties them, and noise spares none.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import DegradationConfig
from .content import ResidualBlock
from .samples import LOG_VARIANCE

WINDOW = 8  # LR pixels a side of a window of `pool_quiet`


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
    """image [B, 3, h, w] in [-1, 1] -> F_deg [B, D]; with `spread` [B, 2D], F_deg and the logarithm of the variance of
    the error of each of its numbers (samples.py)."""

    def __init__(self, config: DegradationConfig) -> None:
        super().__init__()
        self.config = config
        self.features = nn.Conv2d(3, config.widths[0], 3, padding=1)
        layers: list[nn.Module] = []
        self.ends: list[int] = []  # the last block at each resolution
        width = config.widths[0]
        for next_width, blocks in zip(config.widths, config.blocks, strict=True):
            if next_width != width:
                layers.append(nn.Conv2d(width, next_width, 3, stride=2, padding=1))
            layers += [ResidualBlock(next_width) for _ in range(blocks)]
            self.ends.append(len(layers) - 1)
            width = next_width
        self.blocks = nn.Sequential(*layers)
        pooled = width * (1 + config.pool_spread) + sum(config.widths) * config.pool_quiet
        sizes = [pooled, config.mapping, config.mapping, config.mapping, config.vector * (1 + config.spread)]
        self.mapping = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(sizes, sizes[1:], strict=False))
        if config.spread:
            last = self.mapping[-1]
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            nn.init.zeros_(last.weight[config.vector :])
            nn.init.constant_(last.bias[config.vector :], LOG_VARIANCE)

    @property
    def last(self) -> nn.Module:
        """The convolution that A.5 fine-tunes."""
        return self.mapping[-1]

    def forward(self, x: Tensor) -> Tensor:
        f, levels = self.features(x), []
        for i, layer in enumerate(self.blocks):
            f = layer(f)
            if i in self.ends:
                levels.append(f.float())
        e = self.pool(levels)
        for i, conv in enumerate(self.mapping):
            e = conv(e if i == 0 else F.leaky_relu(e, 0.1))
        return e[:, :, 0, 0]

    def pool(self, levels: list[Tensor]) -> Tensor:
        """The last block's features at each resolution, FP32 -> [B, channels, 1, 1]: adaptive pooling of the last."""
        f = levels[-1]
        mean = f.mean(dim=(2, 3), keepdim=True)
        pooled = [mean]
        if self.config.pool_spread:
            spread = (f - mean).square().mean(dim=(2, 3), keepdim=True)
            pooled.append(0.5 * torch.log(spread + 1e-6))
        if self.config.pool_quiet:
            pooled += [quiet(f, WINDOW >> i) for i, f in enumerate(levels)]
        return torch.cat(pooled, dim=1)


def quiet(f: Tensor, window: int) -> Tensor:
    """Half the logarithm of the harmonic mean, over windows of window×window positions, of f's variance within the
    window: f FP32 [B, C, h, w], h and w at least `window` -> [B, C, 1, 1]. What does not fill a window is left out."""
    variance = F.avg_pool2d(f.square(), window) - F.avg_pool2d(f, window).square()
    return -0.5 * torch.log((1 / (variance.clamp_min(0) + 1e-4)).mean(dim=(2, 3), keepdim=True))
