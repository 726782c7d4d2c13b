"""What the LR reconstruction network is trained on (LWay Table 3): BSRGAN's degradations of sharp photographs, and true
pairs where the user has some.

The paper feeds E the LR that R has to make. Then e can carry that LR's content, and R need not learn the degradation.
So a share of the rows takes e from elsewhere: another photograph with the same parameters, or another LR of the same
camera. The other rows are the paper's form, which is also how fine-tuning uses the two networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from degrade_engine.engine.classical import bsrgan, pipeline
from degrade_engine.engine.classical.pipeline import Pipeline
from degrade_engine.engine.images import resize_bicubic
from degrade_engine.originals.noise import Image
from degrade_engine.originals.photographs import StepDataset, cut, tensor


@dataclass(frozen=True)
class LWayData:
    """Sizes in LR pixels; shares in 0..1."""

    crop: int = 64  # a side, of the LR to be made and of what E sees alike
    pairs: float = 0.5  # share of the rows that are true pairs, where there are some
    clean: float = 0.1  # share of the synthetic rows that are brought to LR size and nothing else
    own: float = 0.5  # share of the rows whose e comes from the LR to be made (1 in the paper)
    scales: tuple[int, ...] = (2, 4)  # of the synthetic rows
    familiar: float = 0.3  # share of the synthetic rows whose photograph is the HR of a true pair
    textured: float = 0.25  # share of the crops that are the roughest of a few


class LWayBatches(StepDataset):
    """{"content", "target", "reference"}, each [B, 3, crop, crop] in [-1, 1]: the HR at LR size, the LR, what E
    sees."""

    options: LWayData

    def make(self, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = []
        for _ in range(self.batch):
            true = self.photographs.pairs and rng.random() < self.options.pairs
            rows.append(self.true_pair(rng) if true else self.synthetic(rng))
        return {name: tensor([row[i] for row in rows]) for i, name in enumerate(("content", "target", "reference"))}

    def true_pair(self, rng: np.random.Generator) -> tuple[Image, Image, Image]:
        """(content, target, reference)."""
        _, content, target, other = self.aligned(rng, self.options.crop)
        elsewhere = cut(rng, other, self.options.crop)
        return content, target, target if rng.random() < self.options.own else elsewhere

    def synthetic(self, rng: np.random.Generator) -> tuple[Image, Image, Image]:
        """(content, target, reference)."""
        scale = int(rng.choice(self.options.scales))
        theta = None
        if rng.random() >= self.options.clean:
            theta = bsrgan.draw(int(rng.integers(1 << 31)), int(rng.integers(1 << 31)), scale=scale)
        content, target = self.degraded(rng, theta, scale)
        own = rng.random() < self.options.own
        return content, target, target if own else self.degraded(rng, theta, scale)[1]

    def degraded(self, rng: np.random.Generator, theta: Pipeline | None, scale: int) -> tuple[Image, Image]:
        """(HR at LR size, LR) of a photograph; theta None: the two are one."""
        size = self.options.crop
        hr = self.sharp(rng, size, scale)
        content = resize_bicubic(hr, (size, size))
        if theta is None:
            return content, content
        return content, pipeline.apply(hr, theta, scale=scale, noise_seed=int(rng.integers(1 << 31)))
