"""A small SRResNet (Ledig et al., CVPR 2017), so that LWay's fine-tuning has something of our own to adapt.

Residual blocks between two 3×3 convolutions, PixelShuffle upsampling by two, and the bicubic enlargement added at the
end. Without the batch normalisation of the first paper, as the field builds it since EDSR (Lim et al., CVPR-W 2017): it
costs range and, in fine-tuning, would change with every batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from degrade_engine.engine.classical import bsrgan, pipeline
from degrade_engine.engine.images import resize_bicubic

from .noise import Image
from .photographs import StepDataset, tensor
from .realdgen.content import silence
from .stage import WholeModel

Degrader = Literal["bicubic", "bsrgan"]


@dataclass(frozen=True)
class SRResNetConfig:
    """scale: 2 or 4. `preset` paper: 16 blocks of 64 channels (Ledig et al., 2.1.1); tiny: 8 of 32."""

    preset: str
    width: int
    blocks: int
    scale: int = 4


PRESETS = {"paper": SRResNetConfig("paper", 64, 16), "tiny": SRResNetConfig("tiny", 32, 8)}


class Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.conv2(F.relu(self.conv1(x)))


class SRResNet(nn.Module):
    """LR [B, 3, h, w] in [-1, 1] -> SR [B, 3, scale·h, scale·w], not clipped."""

    def __init__(self, config: SRResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.inp = nn.Conv2d(3, config.width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(config.width) for _ in range(config.blocks)))
        self.up = nn.ModuleList(
            nn.Conv2d(config.width, 4 * config.width, 3, padding=1) for _ in range(config.scale.bit_length() - 1)
        )
        self.out = nn.Conv2d(config.width, 3, 3, padding=1)
        silence(self.out)

    def forward(self, x: Tensor) -> Tensor:
        f = self.inp(x)
        f = f + self.blocks(f)
        for conv in self.up:
            f = F.leaky_relu(F.pixel_shuffle(conv(f), 2), 0.1)
        enlarged = F.interpolate(x.float(), scale_factor=self.config.scale, mode="bicubic", align_corners=False)
        return enlarged + self.out(f).float()


@dataclass(frozen=True)
class SRData:
    """What the SR network is trained on: crops of `crop` LR pixels a side, degraded by `degrader`."""

    degrader: Degrader = "bicubic"
    scale: int = 4
    crop: int = 32
    familiar: float = 0.0  # of StepDataset.sharp: there are no true pairs here
    textured: float = 0.0


class SRBatches(StepDataset):
    """{"lr" [B, 3, h, w], "hr" [B, 3, scale·h, scale·w]}: synthetic pairs."""

    options: SRData

    def hr_side(self) -> int:
        return self.options.scale * self.options.crop

    def make(self, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = [self.pair(rng) for _ in range(self.batch)]
        return {"lr": tensor([lr for lr, _ in rows]), "hr": tensor([hr for _, hr in rows])}

    def pair(self, rng: np.random.Generator) -> tuple[Image, Image]:
        """(LR, HR), uint8."""
        size, scale = self.options.crop, self.options.scale
        hr = self.sharp(rng, size, scale)
        if self.options.degrader == "bicubic":
            return resize_bicubic(hr, (size, size)), hr
        theta = bsrgan.draw(int(rng.integers(1 << 31)), int(rng.integers(1 << 31)), scale=scale)
        return pipeline.apply(hr, theta, scale=scale, noise_seed=int(rng.integers(1 << 31))), hr


class SRStage(WholeModel):
    """L1 of the SR image (the supervised pre-training of LWay's figure 2)."""

    batches = SRBatches
    model: SRResNet

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        loss = F.l1_loss(self.model(batch["lr"]), batch["hr"])
        with torch.no_grad():
            enlarged = F.interpolate(batch["lr"], scale_factor=self.model.config.scale, mode="bicubic")
            return {"loss": loss, "bicubic": F.l1_loss(enlarged, batch["hr"])}
