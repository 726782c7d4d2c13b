"""A RealDGen whose denoiser returns a sample, as a bundle holds it: engine/kinds/onecall.py says what runs when."""

from __future__ import annotations

import torch
from torch import Tensor

from degrade_engine.engine.spec import TensorSpec
from degrade_engine.originals.realdgen.model import RealDGen

from ..parts import OfModel, Part
from . import realdgen

HALF = realdgen.HALF


class Degradation(OfModel):
    """E_deg: image -> reading. Of each number of F_deg the precision, and precision times value: so several readings
    add up."""

    def forward(self, image: Tensor) -> Tensor:
        value, precision = self.model.read(image)
        return torch.cat([precision, precision * value], dim=1)


class Draw(OfModel):
    """The F_deg of one more shot: reading, w -> f_deg. No reading is as unsure as 1e-3; random tensors are."""

    def forward(self, reading: Tensor, w: Tensor) -> Tensor:
        precision, weighted = reading.chunk(2, dim=1)
        return self.model.readings.shot(precision.clamp_min(1e-3), weighted, w)


def parts(model: RealDGen) -> dict[str, Part]:
    """In the order in which they run."""
    others = realdgen.parts(model)
    image, f_deg = others["degradation"].inputs[0], others["degradation"].outputs[0]
    vector = model.config.degradation.vector
    reading = TensorSpec("reading", "float32", ("batch", 2 * vector))
    w = TensorSpec("w", "float32", ("batch", vector))
    degradation, draw = Part(Degradation(model), (image,), (reading,)), Part(Draw(model), (reading, w), (f_deg,))
    return {"degradation": degradation, "draw": draw} | {n: p for n, p in others.items() if n != "degradation"}
