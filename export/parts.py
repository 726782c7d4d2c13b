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


@dataclass(frozen=True)
class Part:
    """A part to export: its module, how often it runs, its tensors."""

    module: nn.Module
    runs: Runs
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def example(self, batch: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of that size; t in 1..500."""
        generator = torch.Generator().manual_seed(seed)
        tensors = []
        for spec in self.inputs:
            shape = spec.resolve(batch, height, width)
            if spec.dtype == "int32":
                tensors.append(torch.randint(1, 501, shape, generator=generator, dtype=torch.int32))
            else:
                tensors.append(torch.rand(shape, generator=generator) * 2 - 1)
        return tuple(tensors)


def parts_of(model: nn.Module) -> dict[str, Part]:
    """The parts of a model of any kind, in the order in which they run."""
    if isinstance(model, RealDGen):
        return realdgen_parts(model)
    if isinstance(model, SynDiff):
        return syndiff_parts(model)
    if isinstance(model, LWay):
        return lway_parts(model)
    raise DegradeError(f"{type(model).__name__} cannot be exported", wanted="a checkpoint of a degradation model")


def syndiff_parts(model: SynDiff) -> dict[str, Part]:
    """The one part of SynDiff."""
    return {"denoiser": Part(UnconditionalDenoiser(model), "step", (X_T, T), (EPS,))}


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
        "denoiser": Part(Denoiser(model), "step", (X_T, T, condition), (EPS,)),
    }
