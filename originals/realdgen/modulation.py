"""M and Rec_lr: degradation into content (RealDGen A.4, figure 9; eq. 5, 7, 8).

Four modulation layers (convolution, activation, modulation unit) and a final convolution that yields c on the LR
grid. The paper draws the modulation unit as a fusion with the degradation vector; we use the field's usual form, a
scale and a shift a channel, predicted from F_deg. Rec_lr is "the aforementioned modulation network" (A.2): M followed
by one convolution.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .config import ContentConfig, ModulationConfig


class ModulationLayer(nn.Module):
    """Convolution, activation, modulation unit: f [B, width, h', w'], F_deg [B, D] -> [B, width, h', w']."""

    def __init__(self, width: int, vector: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.unit = nn.Linear(vector, 2 * width)
        nn.init.normal_(self.unit.weight, std=0.02)
        nn.init.zeros_(self.unit.bias)

    def forward(self, f: Tensor, f_deg: Tensor) -> Tensor:
        scale, shift = self.unit(f_deg)[:, :, None, None].chunk(2, dim=1)
        return f + F.silu(self.conv(f)) * (1 + scale) + shift


class Modulation(nn.Module):
    """M: (F_cont [B, C, h/f, w/f], F_deg [B, D]) -> c [B, channels, h, w], and Rec_lr, the image that c spells out."""

    def __init__(self, config: ModulationConfig, content: ContentConfig, vector: int) -> None:
        super().__init__()
        self.content = content
        self.inp = nn.Conv2d(content.channels, config.width, 3, padding=1)
        self.layers = nn.ModuleList(ModulationLayer(config.width, vector) for _ in range(config.layers))
        self.out = nn.Sequential(  # the final convolution, brought from the code grid to the LR grid
            nn.Conv2d(config.width, content.factor**2 * config.channels, 3, padding=1),
            nn.PixelShuffle(content.factor),
        )
        self.image = nn.Conv2d(config.channels, 3, 3, padding=1)
        if content.shortcut:
            nn.init.normal_(self.image.weight, std=1e-2)

    def forward(self, f_cont: Tensor, f_deg: Tensor) -> Tensor:
        f = self.inp(f_cont)
        for layer in self.layers:
            f = layer(f, f_deg)
        return self.out(f)

    def reconstruct(self, c: Tensor, f_cont: Tensor) -> Tensor:
        """Rec_lr's last convolution (eq. 5): c and F_cont -> LR image [B, 3, h, w] in about [-1, 1]."""
        image = self.image(c).float()
        if self.content.shortcut:
            image = image + F.pixel_shuffle(f_cont[:, : 3 * self.content.factor**2], self.content.factor)
        return image
