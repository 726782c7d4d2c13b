"""Models cut into the parts that a bundle holds, each an nn.Module with named tensors, as the runtime calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.spec import Runs, TensorSpec
from degrade_engine.originals.lway.model import LWay
from degrade_engine.originals.realdgen.model import RealDGen
from degrade_engine.originals.syndiff.model import SynDiff
from degrade_engine.originals.uddm.ddm import DDM
from degrade_engine.originals.uddm.model import UDDM
from degrade_engine.originals.uddm.pddm import PDDM

IMAGE = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
X_T, EPS = (TensorSpec(name, "float32", IMAGE.shape) for name in ("x_t", "eps"))
T = TensorSpec("t", "int32", ("batch",))


class OfModel(nn.Module):
    """One part of a model; forward's arguments are the part's tensors."""

    def __init__(self, model: Any) -> None:  # Any: each part knows what its kind of model has
        super().__init__()
        self.model = model


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


class UnconditionalDenoiser(OfModel):
    """eps_theta of SynDiff: x_t, t -> eps."""

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.model(x_t, t)


class Encoder(OfModel):
    """E of LWay: image -> f_deg, which the paper calls e."""

    def forward(self, image: Tensor) -> Tensor:
        return self.model.e(image)


class Reconstructor(OfModel):
    """R of LWay: content, f_deg -> image. content: the HR brought to LR size, which is R's first step."""

    def forward(self, content: Tensor, f_deg: Tensor) -> Tensor:
        return self.model.reconstructor(content, f_deg)


class ULRCondition(OfModel):
    """All that the steps of UDDM's DDM need of the image down s: image -> condition (eq. 4)."""

    def forward(self, image: Tensor) -> Tensor:
        return self.model.ddm.condition(image)


class ULRDenoiser(OfModel):
    """eps_theta of UDDM's DDM: x_t, t, condition -> eps."""

    def forward(self, x_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return self.model.ddm(x_t, t, condition)


class Physics(OfModel):
    """P-DDM: hr, z -> lr_pddm."""

    def forward(self, hr: Tensor, z: Tensor) -> Tensor:
        return self.model.pddm(hr, z)


@dataclass(frozen=True)
class Part:
    """A part to export: its module, how often it runs, its tensors; T of the schedule for one that reads t."""

    module: nn.Module
    runs: Runs
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    T: int = 0

    def example(self, batch: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of that size; t in 1..T."""
        generator = torch.Generator().manual_seed(seed)
        tensors = []
        for spec in self.inputs:
            shape = spec.resolve(batch, height, width)
            if spec.dtype == "int32":
                tensors.append(torch.randint(1, self.T + 1, shape, generator=generator, dtype=torch.int32))
            else:
                tensors.append(torch.rand(shape, generator=generator) * 2 - 1)
        return tuple(tensors)


def parts_of(model: nn.Module) -> dict[str, Part]:
    """The parts of a model of any kind, in the order in which they run."""
    if isinstance(model, RealDGen):
        if model.readings is not None:
            raise DegradeError("Models of the preset small cannot be exported yet", wanted="the preset tiny or paper")
        return realdgen_parts(model)
    if isinstance(model, SynDiff):
        return syndiff_parts(model)
    if isinstance(model, LWay):
        return lway_parts(model)
    if isinstance(model, UDDM):
        return uddm_parts(model)
    raise DegradeError(
        f"{type(model).__name__} cannot be exported",
        wanted="a checkpoint of a degradation model",
        mend="of UDDM, both stages have to be trained" if isinstance(model, DDM | PDDM) else "",
    )


def syndiff_parts(model: SynDiff) -> dict[str, Part]:
    """The one part of SynDiff."""
    return {"denoiser": Part(UnconditionalDenoiser(model), "step", (X_T, T), (EPS,), model.config.diffusion.T)}


def uddm_parts(model: UDDM) -> dict[str, Part]:
    """The three parts of UDDM: DDM's condition and its steps, and P-DDM between them."""
    config = model.config
    r, channels = config.pddm.r, config.ddm.unet.condition_channels
    condition = TensorSpec("condition", "float32", ("batch", channels, "height", "width"))
    hr = TensorSpec("hr", "float32", ("batch", 3, f"{r}*height", f"{r}*width"))
    z, lr_pddm = (TensorSpec(name, "float32", IMAGE.shape) for name in ("z", "lr_pddm"))
    return {
        "condition": Part(ULRCondition(model), "pair", (IMAGE,), (condition,)),
        "pddm": Part(Physics(model), "pair", (hr, z), (lr_pddm,)),
        "denoiser": Part(ULRDenoiser(model), "step", (X_T, T, condition), (EPS,), config.diffusion.T),
    }


def lway_parts(model: LWay) -> dict[str, Part]:
    """The two parts of LWay in the order in which they run."""
    f_deg = TensorSpec("f_deg", "float32", ("batch", model.config.degradation.vector))
    content = TensorSpec("content", "float32", IMAGE.shape)
    return {
        "degradation": Part(Encoder(model), "reference", (IMAGE,), (f_deg,)),
        "reconstruction": Part(Reconstructor(model), "pair", (content, f_deg), (IMAGE,)),
    }


def realdgen_parts(model: RealDGen) -> dict[str, Part]:
    """The five parts of RealDGen in the order in which they run."""
    config = model.config
    f = config.content.factor
    f_deg = TensorSpec("f_deg", "float32", ("batch", config.degradation.vector))
    f_cont = TensorSpec("f_cont", "float32", ("batch", config.content.channels, f"height/{f}", f"width/{f}"))
    condition = TensorSpec("condition", "float32", ("batch", config.unet.condition_channels, "height", "width"))
    return {
        "degradation": Part(Degradation(model), "reference", (IMAGE,), (f_deg,)),
        "content": Part(Content(model), "pair", (IMAGE,), (f_cont,)),
        "modulation": Part(Modulation(model), "pair", (f_cont, f_deg), (condition,)),
        "reconstruction": Part(Reconstruction(model), "pair", (f_cont, f_deg), (IMAGE,)),
        "denoiser": Part(Denoiser(model), "step", (X_T, T, condition), (EPS,), config.diffusion.T),
    }
