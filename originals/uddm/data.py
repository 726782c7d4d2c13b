"""What UDDM trains on: real LR photographs alone (DDM), or beside HR ones that they do not belong to (P-DDM)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from degrade_engine.engine.images import resize_bicubic
from degrade_engine.originals.photographs import StepDataset, cut, tensor


@dataclass(frozen=True)
class UDDMData:
    """crop: LR pixels a side (the paper: 128); scale: HR over LR."""

    crop: int = 64
    scale: int = 4
    familiar: float = 0.0  # there are no true pairs
    textured: float = 0.0


class DDMBatches(StepDataset):
    """{"image": crops of real LR photographs [B, 3, crop, crop]}."""

    options: UDDMData

    def make(self, rng: np.random.Generator) -> dict[str, Tensor]:
        return {"image": tensor([self.real(rng) for _ in range(self.batch)])}

    def real(self, rng: np.random.Generator) -> np.ndarray:
        """A crop of a real LR photograph."""
        lr = self.photographs.lr
        return cut(rng, lr[int(rng.integers(len(lr)))], self.options.crop)


class PDDMBatches(DDMBatches):
    """{"hr": [B, 3, scale·crop, scale·crop], "bicubic": the same at LR size, "real": other LR photographs}."""

    def make(self, rng: np.random.Generator) -> dict[str, Tensor]:
        crop, scale = self.options.crop, self.options.scale
        hr = [self.sharp(rng, crop, scale) for _ in range(self.batch)]
        return {
            "hr": tensor(hr),
            "bicubic": tensor([resize_bicubic(image, (crop, crop)) for image in hr]),
            "real": tensor([self.real(rng) for _ in range(self.batch)]),
        }
