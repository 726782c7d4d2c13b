"""SRVGGNetCompact, the compact SR network of Real-ESRGAN (Wang et al., ICCV-W 2021; `srvgg_arch.py` of BasicSR).

All convolutions are at LR size. The channels of the last one become pixels, and the nearest enlargement of the LR is
added. Published weights have 64 channels and 16 convolutions (realesr-animevideov3) or 32 (realesr-general-x4v3); their
tensors have the names that they have here. They work in [0, 1], and our SR networks in [-1, 1].

The first weights are those of He et al. (2015) for PReLU, and the last convolution begins at zero. With PyTorch's own
first weights, which BasicSR takes, the signal dies out over so many layers, and 150 steps taught nothing.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .realdgen.content import silence


class Compact(nn.Module):
    """LR [B, 3, h, w] -> SR [B, 3, scale·h, scale·w], not clipped. convs: those between the first and the last."""

    def __init__(self, width: int, convs: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        channels = [3, *[width] * (convs + 1)]
        layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in zip(channels, channels[1:], strict=False)]
        last = nn.Conv2d(width, 3 * scale**2, 3, padding=1)
        for layer in [*layers, last]:
            nn.init.kaiming_normal_(layer.weight, a=0.25)  # the slope with which PReLU begins
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        silence(last)
        self.body = nn.Sequential(*(part for layer in layers for part in (layer, nn.PReLU(width))), last)

    def forward(self, x: Tensor) -> Tensor:
        enlarged = F.interpolate(x.float(), scale_factor=self.scale, mode="nearest")
        return enlarged + F.pixel_shuffle(self.body(x).float(), self.scale)
