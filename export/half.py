"""FP16 where it is safe, written into the module tree, so that the ONNX graph that leaves PyTorch is typed.

TensorRT's networks are strongly typed: the precision is in the ONNX. Every convolution and linear layer becomes one
of three:

    Inside   FP16 weights, casts its input to FP16
    Enter    FP32 island whose output goes on in FP16 (a network's first convolution, a unit's scale and shift)
    Exit     FP32 island that ends in FP32 (the last convolution of a network)

Group normalisation keeps its statistics, attention its softmax, pooling its sums in FP32 by the originals' own code.
What is listed as `islands` (the timestep embedding, E_deg's mapping) is left alone.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.realdgen.model import RealDGen


class Inside(nn.Module):
    """The layer in FP16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.half()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.half())


class Enter(nn.Module):
    """The layer in FP32, its output in FP16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.float()).half()


class Exit(nn.Module):
    """The layer in FP32, from FP16 to FP32."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.float())


# Names of the layers of RealDGen that are not simply Inside; a name stands for everything below it.
ENTER = ("vqvae.encoder.down.0", "degradation.features", "modulation.inp", "modulation.layers.*.unit", "unet.from_x",
         "unet.*.embed")  # fmt: skip
EXIT = ("vqvae.encoder.out", "modulation.out.0", "modulation.image", "unet.from_c", "unet.out")
ISLANDS = ("unet.embed", "noise", "degradation.mapping", "vqvae.decoder", "vqvae.quantiser")


def half_typed(model: RealDGen) -> RealDGen:
    """A copy of the model, typed as above; its inputs and outputs stay FP32."""
    typed = copy.deepcopy(model)
    layers = [name for name, m in typed.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    count = 0
    for name in layers:
        if any(_matches(name, island) for island in ISLANDS):
            continue
        parent, _, leaf = name.rpartition(".")
        holder = typed.get_submodule(parent)
        layer = holder.get_submodule(leaf)
        kind = (
            Enter if any(_matches(name, n) for n in ENTER) else Exit if any(_matches(name, n) for n in EXIT) else Inside
        )
        count += kind is Inside
        setattr(holder, leaf, kind(layer))  # also replaces entry "0" of a Sequential or ModuleList
    if not count:
        raise DegradeError("no layer of this model would run in FP16", wanted="convolutions outside the FP32 islands")
    return typed.eval()


def _matches(name: str, pattern: str) -> bool:
    """Whether `name` is `pattern` or lies below it; `*` stands for any part of a path. `unet.*.embed` has at least
    one between."""
    head, star, tail = pattern.partition(".*.")
    if not star:
        return name == pattern or name.startswith(pattern + ".")
    return name.startswith(head + ".") and name.endswith("." + tail) and name != f"{head}.{tail}"


def half_layers(model: nn.Module) -> tuple[int, int]:
    """(layers whose weights are FP16, layers in all): convolutions and linear layers."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return sum(m.weight.dtype == torch.float16 for m in layers), len(layers)
