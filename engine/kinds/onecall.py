"""RealDGen with one call a pair: its denoiser returns a sample of the LR, not a mean, and so does its F_deg.

    degradation     image -> reading             E_deg of a reference: what it says of each number, and how surely
    draw            reading, w -> f_deg          of the camera, one more shot of it: w is white noise
    content         image -> f_cont              E_cont of the HR brought to LR size
    modulation      f_cont, f_deg -> condition
    reconstruction  f_cont, f_deg -> image       Rec_lr, the start image
    denoiser        x_t, t, condition -> eps

Several references of a pair add up (`sampling/references.py`): the more there are, the surer is what they say. This is
of this project (docs/one-call.md); no paper has it. There is no filter: the first sample is as good as any.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..recipe import Recipe
from ..sampling.batch import Batch
from ..sampling.sampler import Sampler
from .kind import ModelKind

TAU = 40  # where the call begins, in training and here
SHOT = 2**32 - 1  # the candidate word of w's noise counter: no candidate has that number

_RECOMMENDED = Recipe((TAU, TAU), 1, "even", "ddim", 0.0, "reconstruction", candidates=1, filter=False, references=4,
                      variety=0.5)  # fmt: skip


class OneCallSampler(Sampler):
    """With the noise of which F_deg is drawn."""

    def __init__(self, *networks: Any, candidates: int) -> None:
        super().__init__(*networks, candidates=candidates)
        (noise,) = (tensor for tensor in self.model.parts["draw"].inputs if tensor.name == "w")
        _, numbers = noise.resolve(1, self.height, self.width)
        device = self.device
        self.tensors["w"] = device.allocate((self._room, numbers), np.float32)
        self._nothing = device.allocate((self.batch, numbers), np.float32)
        self._w_scale = device.allocate((self.batch, 2), np.float32)
        self._shot = device.allocate((self.batch,), np.uint32)
        device.upload(self._shot, np.full((self.batch,), SHOT, np.uint32))

    def draw(self, batch: Batch) -> None:
        seed, pairs, _ = self.counters(batch)
        self.device.upload(self._w_scale, np.tile(np.array([0, batch.variety], np.float32), (self.batch, 1)))
        self.device.launch(
            "start", x=self.tensors["w"][: self.batch], x_start=self._nothing, coefficients=self._w_scale, seed=seed,
            pairs=pairs[: self.batch], candidates=self._shot,
        )  # fmt: skip


KIND = ModelKind(
    name="onecall",
    parts={"degradation": "reference", "draw": "pair", "content": "pair", "modulation": "pair",
           "reconstruction": "pair", "denoiser": "step"},
    starts=("reconstruction",),
    recipes={"recommended": _RECOMMENDED},
    sampler=OneCallSampler,
    drawn=("w",),
    adds=("reading",),
)  # fmt: skip
