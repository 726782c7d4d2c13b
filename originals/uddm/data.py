"""What P-DDM trains on: HR photographs, and real LR ones that they do not belong to. (DDM: RealBatches alone.)"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from degrade_engine.engine.images import resize_bicubic
from degrade_engine.originals.photographs import RealBatches, RealCrops, tensor


@dataclass(frozen=True)
class UDDMData(RealCrops):
    """crop: LR pixels a side (the paper: 128); scale: HR over LR."""

    scale: int = 4


class PDDMBatches(RealBatches):
    """{"hr": [B, 3, scale·crop, scale·crop], "bicubic": the same at LR size, "real": other LR photographs}."""

    options: UDDMData

    def hr_side(self) -> int:
        return self.options.scale * self.options.crop

    def make(self, rng: np.random.Generator) -> dict[str, Tensor]:
        crop, scale = self.options.crop, self.options.scale
        hr = [self.sharp(rng, crop, scale) for _ in range(self.batch)]
        return {
            "hr": tensor(hr),
            "bicubic": tensor([resize_bicubic(image, (crop, crop)) for image in hr]),
            "real": tensor([self.real(rng) for _ in range(self.batch)]),
        }
