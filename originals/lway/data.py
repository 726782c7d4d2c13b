"""What the LR reconstruction network is trained on (LWay Table 3): BSRGAN's degradations of sharp photographs, and true
pairs where the user has some.

The paper feeds E the LR that R has to make, and so do we by default. Then e can carry that LR's content. A share of
the rows can take e from elsewhere (`own`): another photograph with the same parameters, or another LR of the same
camera.

R must not be able to tell the degradation from the content. Where one camera gave all true pairs, it can: what looks
like that camera's HR was degraded by that camera. Two departures from the paper's mix are against this. Most synthetic
rows degrade the HR of the true pairs (`familiar`). And besides BSRGAN, whose every sample is heavy, there are plain
degradations (`plain`), one blur, one noise and one JPEG, each of which may be weak or missing: between them and no
degradation at all (`clean`) lies what cameras do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from degrade_engine.engine.classical import binned, bsrgan, pipeline
from degrade_engine.engine.classical.pipeline import Pipeline
from degrade_engine.engine.images import resize_bicubic
from degrade_engine.originals.noise import Image
from degrade_engine.originals.photographs import StepDataset, cut, tensor


@dataclass(frozen=True)
class LWayData:
    """Sizes in LR pixels; shares in 0..1."""

    crop: int = 64  # a side, of the LR to be made and of what E sees alike
    pairs: float = 0.5  # share of the rows that are true pairs, where there are some
    clean: float = 0.25  # share of the synthetic rows that are brought to LR size and nothing else
    plain: float = 0.5  # share of the synthetic rows with one blur, noise and JPEG; the rest are BSRGAN's
    own: float = 1.0  # share of the rows whose e comes from the LR to be made
    scales: tuple[int, ...] = (2, 4)  # of the synthetic rows
    familiar: float = 0.6  # share of the synthetic rows whose photograph is the HR of a true pair
    textured: float = 0.25  # share of the crops that are the roughest of a few


class LWayBatches(StepDataset):
    """{"content", "target", "reference"}, each [B, 3, crop, crop] in [-1, 1]: the HR at LR size, the LR, what E
    sees."""

    options: LWayData

    def hr_side(self) -> int:
        return max(self.options.scales) * self.options.crop

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
        theta = self.theta(rng, scale)
        content, target = self.degraded(rng, theta, scale)
        own = rng.random() < self.options.own
        return content, target, target if own else self.degraded(rng, theta, scale)[1]

    def theta(self, rng: np.random.Generator, scale: int) -> Pipeline | None:
        """A degradation, or None for none."""
        kind = rng.random()
        if kind < self.options.clean:
            return None
        if kind < self.options.clean + self.options.plain:
            return plain(rng, scale)
        return bsrgan.draw(int(rng.integers(1 << 31)), int(rng.integers(1 << 31)), scale=scale)

    def degraded(self, rng: np.random.Generator, theta: Pipeline | None, scale: int) -> tuple[Image, Image]:
        """(HR at LR size, LR) of a photograph; theta None: the two are one."""
        size = self.options.crop
        hr = self.sharp(rng, size, scale)
        content = resize_bicubic(hr, (size, size))
        if theta is None:
            return content, content
        return content, pipeline.apply(hr, theta, scale=scale, noise_seed=int(rng.integers(1 << 31)))


def plain(rng: np.random.Generator, scale: int) -> Pipeline:
    """One blur of up to 1.6 LR pixels, noise of up to 30 grey levels, mostly little, and JPEG of quality 15 to 95, each
    left out in a share of the samples."""
    sigma = scale * float(rng.uniform(0, 1.6)) if rng.random() < 0.8 else 0.0
    level = 30 * float(rng.random()) ** 2 if rng.random() < 0.4 else 0.0
    quality = int(rng.integers(15, 96)) if rng.random() < 0.4 else None
    return binned.degradation(sigma, level, quality)
