"""RealDGen (Algorithms 1 and 2): the content of an HR image, the degradation of a real LR photograph.

    degradation     image -> f_deg               E_deg of the reference
    content         image -> f_cont              E_cont of the HR brought to LR size
    modulation      f_cont, f_deg -> condition
    reconstruction  f_cont, f_deg -> image       Rec_lr, the model's own start image
    denoiser        x_t, t, condition -> eps

Of K candidates the filter keeps the one that is nearest to what was asked for (section 2.3).
"""

from __future__ import annotations

from typing import Any

from ..recipe import Recipe
from ..sampling.batch import Batch
from ..sampling.filter import Filter
from ..sampling.sampler import Sampler
from .kind import ModelKind

_PAPER = Recipe((1, 30), None, "even", "ddpm", 0.0, "realesrgan", candidates=3, filter=True)
_RECOMMENDED = Recipe((200, 200), 5, "quadratic", "ddim", 0.0, "bicubic", candidates=3, filter=True)
"""Chosen on the development scenes (bench/results/choice.jsonl and references_choice.jsonl), among settings that make
their own start more real: few calls smooth a weak noise of the reference away (a call gives the mean of what its x_t
leaves open; here the last is at t = 8), many from a small tau keep the start's sharpness. A start at Rec_lr with a
small tau is a little nearer to the truth there, but its start is already as sharp as real LR and the diffusion only
adds to it."""

_FAST = Recipe((0, 0), None, "even", "ddpm", 0.0, "reconstruction", candidates=1, filter=False, noise=2.0)
"""No call of the denoiser: Rec_lr with white noise. Every recipe with calls has to be worth more (docs/one-call.md)."""


class RealDGenSampler(Sampler):
    """With the filter after the last step."""

    def __init__(self, *networks: Any, candidates: int) -> None:
        super().__init__(*networks, candidates=candidates)
        extractors = {name: self.executors[name] for name in ("degradation", "content")}
        self._filter = Filter(self.device, extractors, self.model.filter, self.rows)

    def end(self, batch: Batch, filter: bool) -> dict[str, int]:
        if not filter:
            return super().end(batch, filter)
        f_deg, f_cont = (self.tensors[name][: self.batch] for name in ("f_deg", "f_cont"))
        return self._filter.run(self.x, f_deg, f_cont, self.scores)


KIND = ModelKind(
    name="realdgen",
    parts={"degradation": "reference", "content": "pair", "modulation": "pair", "reconstruction": "pair",
           "denoiser": "step"},
    starts=("reconstruction", "bicubic", "realesrgan"),
    recipes={"recommended": _RECOMMENDED, "paper": _PAPER, "fast": _FAST},
    sampler=RealDGenSampler,
    can_filter=True,
)  # fmt: skip
