"""UDDM: two branches, whose weighted sum is the LR (eq. 1).

condition  image -> condition              of the HR brought to LR size
pddm       hr, z -> lr_pddm                P-DDM, of the HR at its own size and of noise
denoiser   x_t, t, condition -> eps        DDM
"""

from __future__ import annotations

from typing import Any

from ..recipe import Recipe
from ..sampling.batch import Batch
from ..sampling.fusion import Fusion
from ..sampling.sampler import Sampler
from .kind import ModelKind

_PAPER = Recipe((200, 200), None, "even", "ddpm", 0.0, "bicubic", 1, filter=False, fusion_weight=0.5)
"""From noise, all 200 steps of DDPM (UDDM, implementation details), w = 0.5 (Table 2)."""


class UDDMSampler(Sampler):
    """With P-DDM's noise for its network, and the sum of both branches after the last step."""

    wide = ("lr_pddm",)

    def __init__(self, *networks: Any, candidates: int) -> None:
        super().__init__(*networks, candidates=candidates)
        self._fusion = Fusion(self.device, self.x.shape, self.model.schedule.T)
        self.tensors["z"] = self._fusion.z

    def draw(self, batch: Batch) -> None:
        assert batch.fusion_weight is not None  # checked with the batch
        self._fusion.upload(batch.fusion_weight)
        self._fusion.draw(self.x_start, *self.counters(batch))

    def end(self, batch: Batch, filter: bool) -> dict[str, int]:
        self._fusion.run(self.x, self.tensors["lr_pddm"], self.x_start, *self.counters(batch))
        return super().end(batch, filter)


KIND = ModelKind(
    name="uddm",
    parts={"condition": "pair", "pddm": "pair", "denoiser": "step"},
    starts=("bicubic",),
    recipes={"recommended": _PAPER.but(steps=10, spacing="quadratic", solver="ddim"), "paper": _PAPER},
    sampler=UDDMSampler,
    fuses=True,
    drawn=("z",),
)
