"""SynDiff (Yang et al. 2023): an unconditional diffusion of real LR photographs. It reads no reference, and there is
nothing to filter by.

    denoiser  x_t, t -> eps
"""

from __future__ import annotations

from ..recipe import Recipe
from ..sampling.sampler import Sampler
from .kind import ModelKind

_PAPER = Recipe((1, 125), None, "even", "ddpm", 0.0, "realesrgan", candidates=1, filter=False)
"""A random strength up to a quarter of the schedule, from a classical degradation of the HR (as RealDGen describes
it)."""
_RECOMMENDED = Recipe((40, 40), 1, "quadratic", "ddim", 0.0, "bicubic", candidates=1, filter=False)
"""One call from a weak noise: the mean of what a model of one camera's LR takes for it. Chosen on the development
scenes with such a model (bench/results/syndiff_choice.jsonl; docs/other-checkpoints.md)."""

KIND = ModelKind(
    name="syndiff",
    parts={"denoiser": "step"},
    starts=("realesrgan", "bicubic"),
    recipes={"recommended": _RECOMMENDED, "paper": _PAPER},
    sampler=Sampler,
)
