"""RealDGen as a bundle holds it: engine/kinds/realdgen.py says what runs when."""

from __future__ import annotations

from torch import Tensor

from degrade_engine.engine.spec import TensorSpec
from degrade_engine.originals.realdgen.model import RealDGen

from ..half import UNET, Half
from ..parts import EPS, IMAGE, X_T, OfModel, Part, T

HALF = UNET + Half(
    enter=("vqvae.encoder.down.0", "degradation.features", "modulation.inp", "modulation.layers.*.unit"),
    exit=("vqvae.encoder.out", "modulation.out.0", "modulation.image"),
    islands=("noise", "degradation.mapping", "vqvae.decoder", "vqvae.quantiser"),
)


class Degradation(OfModel):
    """E_deg: image -> f_deg."""

    def forward(self, image: Tensor) -> Tensor:
        return self.model.e_deg(image)


class Content(OfModel):
    """E_cont: image -> f_cont."""

    def forward(self, image: Tensor) -> Tensor:
        return self.model.e_cont(image)


class Modulation(OfModel):
    """M and all that the U-Net computes from its output alone: f_cont, f_deg -> condition (eq. 7)."""

    def forward(self, f_cont: Tensor, f_deg: Tensor) -> Tensor:
        return self.model.condition(f_deg, f_cont)[0]


class Reconstruction(OfModel):
    """Rec_lr: f_cont, f_deg -> image (eq. 5)."""

    def forward(self, f_cont: Tensor, f_deg: Tensor) -> Tensor:
        return self.model.rec_lr(f_deg, f_cont)


class Denoiser(OfModel):
    """eps_theta: x_t, t, condition -> eps."""

    def forward(self, x_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return self.model.unet(x_t, t, condition)


def parts(model: RealDGen) -> dict[str, Part]:
    """In the order in which they run."""
    config = model.config
    f = config.content.factor
    f_deg = TensorSpec("f_deg", "float32", ("batch", config.degradation.vector))
    f_cont = TensorSpec("f_cont", "float32", ("batch", config.content.channels, f"height/{f}", f"width/{f}"))
    condition = TensorSpec("condition", "float32", ("batch", config.unet.condition_channels, "height", "width"))
    return {
        "degradation": Part(Degradation(model), (IMAGE,), (f_deg,)),
        "content": Part(Content(model), (IMAGE,), (f_cont,)),
        "modulation": Part(Modulation(model), (f_cont, f_deg), (condition,)),
        "reconstruction": Part(Reconstruction(model), (f_cont, f_deg), (IMAGE,)),
        "denoiser": Part(Denoiser(model), (X_T, T, condition), (EPS,), config.diffusion.T),
    }
