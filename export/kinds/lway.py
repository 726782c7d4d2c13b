"""LWay as a bundle holds it: engine/kinds/lway.py says what runs when."""

from __future__ import annotations

from torch import Tensor

from degrade_engine.engine.spec import TensorSpec
from degrade_engine.originals.lway.model import LWay

from ..half import Half
from ..parts import IMAGE, OfModel, Part

HALF = Half(
    enter=("degradation.features", "reconstructor.inp", "reconstructor.blocks.*.unit"),
    exit=("reconstructor.out",),
    islands=("degradation.mapping",),
)


class Encoder(OfModel):
    """E: image -> f_deg, which the paper calls e."""

    def forward(self, image: Tensor) -> Tensor:
        return self.model.e(image)


class Reconstructor(OfModel):
    """R: content, f_deg -> image. content: the HR brought to LR size, which is R's first step."""

    def forward(self, content: Tensor, f_deg: Tensor) -> Tensor:
        return self.model.reconstructor(content, f_deg)


def parts(model: LWay) -> dict[str, Part]:
    """In the order in which they run."""
    f_deg = TensorSpec("f_deg", "float32", ("batch", model.config.degradation.vector))
    content = TensorSpec("content", "float32", IMAGE.shape)
    return {
        "degradation": Part(Encoder(model), (IMAGE,), (f_deg,)),
        "reconstruction": Part(Reconstructor(model), (content, f_deg), (IMAGE,)),
    }
