"""Tuning a trained model to one camera: what its batches hold, what moves, and the LR by which it is judged.

Three or four kinds of rows:

- **rehearsal**: the synthetic rows of the base's own training, so that nothing else is forgotten;
- **fitted**: a sharp photograph and the LR that a synthetic camera, fitted to the user's LR without pairs
  (calib/camera.py), takes of it. The references are the user's own LR, or other photographs by the fitted camera. So
  what E_deg reads off the real camera leads to LR like it;
- **unpaired** (models whose denoiser returns a mean): the user's LR as in Algorithm 1. A model that returns a sample
  has none: without a sharp side they would teach it to copy its content;
- **true pairs**, if the user has some.

E_cont stays as it is, and all of E_deg but its mapping. A sample is drawn from what is learnt, so no row is
of the held-out photographs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from degrade_engine.engine.classical import camera
from degrade_engine.engine.schedule import table
from degrade_engine.originals.noise import Image, exactly
from degrade_engine.originals.photographs import cut, tensor

from .config import RealDGenConfig
from .data import DataOptions, DiffusionBatches, RealDGenBatches, Row, SampleBatches, Set
from .model import RealDGen
from .stages import GROWN_STAGES, STAGE_PRESETS, DDPMStage, SampleStage, Stage, StageOptions

BATCH = 8  # LR that `generated` makes at once
TAU, STEPS = 200, 5  # of the recommended recipe of a model that returns a mean


@dataclass(frozen=True)
class TuneData(DataOptions):
    """`fitted` = weight of the fitted rows, beside the mix."""

    fitted: float = 0.6
    own: float = 0.7  # share of the fitted rows whose references are the user's own LR
    cameras: tuple[camera.Camera, ...] = ()  # the fitted ones; a row draws one


def options_for(config: RealDGenConfig, batch: int) -> StageOptions:
    """Learning rates of a quarter of those that trained the bundled models, half of M's and E_deg's."""
    presets = GROWN_STAGES if config.unet.sample else STAGE_PRESETS[config.preset]
    return dataclasses.replace(
        presets, batch=batch, lr=presets.lr / 4, lr_degradation=1e-4, mapping_alone=True,
        lr_modulation=5e-5, lr_variety=presets.lr_variety / 2,
    )  # fmt: skip


def data_for(config: RealDGenConfig, cameras: Sequence[camera.Camera], crop: int, reference_crop: int) -> TuneData:
    """What a tuning sees. The rehearsed rows are those of the stage that trained the bundled model of this sort."""
    sample = config.unet.sample
    return TuneData(crop=crop, reference_crop=reference_crop, mix=(0.3, 0.0 if sample else 0.1, 0.1),
                    camera=0.7 if sample else 0.0, exposed=sample, cameras=tuple(cameras))  # fmt: skip


class Own(RealDGenBatches):
    """What the two sorts of batches have of the user's camera."""

    options: TuneData

    def hr_side(self) -> int:
        """Of the least scale: `scale` takes no larger one than the photographs have room for."""
        return self.largest_side()

    def largest_side(self) -> int:
        """LR pixels a side of the largest crop that is asked for."""
        return max(self.options.crop, self.options.reference_crop)

    def room(self) -> int:
        """Side of the largest square that a sharp photograph has."""
        return max(min(image.shape[:2]) for image in self.photographs.hr)

    def scale(self, rng: np.random.Generator) -> int:
        fits = np.array([scale == 1 or scale * self.largest_side() <= self.room() for scale in (1, 2, 4)])
        share = np.array([0.5, 0.35, 0.15]) * fits
        return int(rng.choice([1, 2, 4], p=share / share.sum()))

    def fitted(self, rng: np.random.Generator) -> camera.Camera:
        return self.options.cameras[int(rng.integers(len(self.options.cameras)))]

    def own(self, rng: np.random.Generator, size: int) -> Image:
        """A crop of one of the user's LR, at most `size` a side."""
        image = self.photographs.lr[int(rng.integers(len(self.photographs.lr)))]
        return cut(rng, image, size)


class TuneSets(Own, SampleBatches):
    """As SampleBatches, with the fitted rows."""

    def sources(self) -> list[Callable[[np.random.Generator, int, int], Set]]:
        return [*super().sources(), self.fitted_set]

    def weights(self) -> np.ndarray:
        return np.append(super().weights(), self.options.fitted)

    def largest_side(self) -> int:
        return max(super().largest_side(), self.largest_reference())

    def largest_reference(self) -> int:
        sides = (min(image.shape[:2]) for image in self.photographs.lr)
        most = self.options.reference_crop * 3 // 2
        return min(super().largest_reference(), most, self.room(), *sides)

    def fitted_set(self, rng: np.random.Generator, m: int, size: int) -> Set:
        """(content, target, m references)."""
        theta, scale = self.fitted(rng), self.scale(rng)
        content, target = self.degrade(rng, self.sharp(rng, self.options.crop, scale), theta, scale)
        if rng.random() < self.options.own:
            return content, target, [self.own(rng, size) for _ in range(m)]
        return content, target, [self.degrade(rng, self.sharp(rng, size, scale), theta, scale)[1] for _ in range(m)]


class TuneRows(Own, DiffusionBatches):
    """As DiffusionBatches, with the fitted rows."""

    def sources(self) -> list[Callable[[np.random.Generator], Row]]:
        return [*super().sources(), self.fitted_row]

    def weights(self) -> np.ndarray:
        return np.append(super().weights(), self.options.fitted)

    def fitted_row(self, rng: np.random.Generator) -> Row:
        size, theta, scale = self.options.reference_crop, self.fitted(rng), self.scale(rng)
        own = rng.random() < self.options.own
        other = self.own(rng, size) if own else self.degrade(rng, self.sharp(rng, size, scale), theta, scale)[1]
        content, target, noise = self.degrade_twice(rng, self.sharp(rng, self.options.crop, scale), theta, scale)
        return Row(content, target, other, noise, exactly(noise))


class TuneSample(SampleStage):
    batches = TuneSets


class TuneMean(DDPMStage):
    batches = TuneRows


def stage_of(config: RealDGenConfig) -> type[Stage]:
    """The stage that tunes a model: the last one of its training."""
    return TuneSample if config.unet.sample else TuneMean


@torch.no_grad()
def generated(
    model: RealDGen, contents: Sequence[Image], references: Sequence[Image], chosen: Sequence[Sequence[int]], seed: int
) -> list[Image]:
    """The LR of HR brought to LR size, uint8, as `generate` makes them by the recommended recipe, but without the
    filter, which chooses among several. chosen: the references of each, by their places."""
    generator, found = torch.Generator().manual_seed(seed), list[Image]()
    at = torch.tensor(chosen)
    f_deg = _drawn(model, references, at, generator)
    make = _sample if model.config.unet.sample else _mean
    for first in range(0, len(contents), BATCH):
        content = tensor(list(contents[first : first + BATCH]))
        x = make(model, content, f_deg[first : first + BATCH], generator)
        levels = x.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
        found += [np.ascontiguousarray(one) for one in levels.permute(0, 2, 3, 1).numpy()]
    return found


def _drawn(model: RealDGen, references: Sequence[Image], at: Tensor, generator: torch.Generator) -> Tensor:
    """F_deg [n, D] of n pairs, each with the references `at` [n, m]; each reference is read once."""
    several = [tensor(list(references[first : first + BATCH])) for first in range(0, len(references), BATCH)]
    if model.readings is None:
        return torch.cat([model.e_deg(some) for some in several])[at[:, 0]]
    read = [model.read(some) for some in several]
    value, precision = (torch.cat(part)[at] for part in zip(*read, strict=True))
    return model.readings(value, precision, torch.randn(value[:, 0].shape, generator=generator))


def _sample(model: RealDGen, content: Tensor, f_deg: Tensor, generator: torch.Generator) -> Tensor:
    tau = StageOptions().tau
    condition, mu = model.condition(f_deg, model.e_cont(content))
    signal, noise = model.config.diffusion.start(tau)
    x_t = signal * mu + noise * torch.randn(mu.shape, generator=generator)
    return (x_t - noise * model.unet(x_t, torch.full((len(mu),), tau), condition)) / signal


def _mean(model: RealDGen, content: Tensor, f_deg: Tensor, generator: torch.Generator) -> Tensor:
    condition, _ = model.condition(f_deg, model.e_cont(content))
    signal, noise = model.config.diffusion.start(TAU)
    x = signal * content + noise * torch.randn(content.shape, generator=generator)
    steps = table(model.config.diffusion, "ddim", TAU, STEPS, spacing="quadratic")
    for t, (p, q, a, b, _, _) in zip(steps.timesteps.tolist(), steps.coefficients.tolist(), strict=True):
        x_0 = p * x + q * model.unet(x, torch.full((len(x),), t), condition)
        x = a * x + b * x_0
    return x
