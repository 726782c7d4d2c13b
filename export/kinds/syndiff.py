"""SynDiff as a bundle holds it: engine/kinds/syndiff.py says what runs when."""

from __future__ import annotations

from torch import Tensor

from degrade_engine.originals.syndiff.model import SynDiff

from ..half import UNET
from ..parts import EPS, X_T, OfModel, Part, T

HALF = UNET


class Denoiser(OfModel):
    """eps_theta: x_t, t -> eps."""

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.model(x_t, t)


def parts(model: SynDiff) -> dict[str, Part]:
    """The one part."""
    return {"denoiser": Part(Denoiser(model), (X_T, T), (EPS,), model.config.diffusion.T)}
