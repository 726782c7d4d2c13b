"""A part of a model as a bundle holds it: an nn.Module with named tensors, as the runtime calls it. Which parts a kind
has is on its page (kinds/)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from degrade_engine.engine.spec import IMAGE_SHAPE, TensorSpec

IMAGE = TensorSpec("image", "float32", IMAGE_SHAPE)
X_T, EPS = (TensorSpec(name, "float32", IMAGE.shape) for name in ("x_t", "eps"))
T = TensorSpec("t", "int32", ("batch",))


class OfModel(nn.Module):
    """One part of a model; forward's arguments are the part's tensors."""

    def __init__(self, model: Any) -> None:  # Any: each part knows what its kind of model has
        super().__init__()
        self.model = model


@dataclass(frozen=True)
class Part:
    """A part to export: its module, its tensors; T of the schedule for one that reads t."""

    module: nn.Module
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
