"""UDDM as a bundle holds it: engine/kinds/uddm.py says what runs when."""

from __future__ import annotations

from torch import Tensor

from degrade_engine.engine.spec import TensorSpec
from degrade_engine.originals.uddm.model import UDDM

from ..half import UNET, Half
from ..parts import EPS, IMAGE, X_T, OfModel, Part, T

HALF = UNET.under("ddm") + Half(
    enter=("pddm.parameters_of.inp",), exit=("pddm.parameters_of.maps", "pddm.parameters_of.colour")
)


class Condition(OfModel):
    """All that the steps of UDDM's DDM need of the image down s: image -> condition (eq. 4)."""

    def forward(self, image: Tensor) -> Tensor:
        return self.model.ddm.condition(image)


class Denoiser(OfModel):
    """eps_theta of DDM: x_t, t, condition -> eps."""

    def forward(self, x_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return self.model.ddm(x_t, t, condition)


class Physics(OfModel):
    """P-DDM: hr, z -> lr_pddm."""

    def forward(self, hr: Tensor, z: Tensor) -> Tensor:
        return self.model.pddm(hr, z)


def parts(model: UDDM) -> dict[str, Part]:
    """In the order in which they run: DDM's condition and its steps, and P-DDM between them."""
    config = model.config
    r, channels = config.pddm.r, config.ddm.unet.condition_channels
    condition = TensorSpec("condition", "float32", ("batch", channels, "height", "width"))
    hr = TensorSpec("hr", "float32", ("batch", 3, f"{r}*height", f"{r}*width"))
    z, lr_pddm = (TensorSpec(name, "float32", IMAGE.shape) for name in ("z", "lr_pddm"))
    return {
        "condition": Part(Condition(model), (IMAGE,), (condition,)),
        "pddm": Part(Physics(model), (hr, z), (lr_pddm,)),
        "denoiser": Part(Denoiser(model), (X_T, T, condition), (EPS,), config.diffusion.T),
    }
