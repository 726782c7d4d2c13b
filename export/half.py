"""FP16 where it is safe, written into the module tree, so that the ONNX graph that leaves PyTorch is typed.

TensorRT's networks are strongly typed: the precision is in the ONNX. Every convolution and linear layer becomes one
of three:

    Inside   FP16 weights, casts its input to FP16
    Enter    FP32 island whose output goes on in FP16 (a network's first convolution, a unit's scale and shift)
    Exit     FP32 island that ends in FP32 (the last convolution of a network)

A calibration (`calib/`) adds islands of its own: each becomes an Exit, FP32 from its input to the next FP16 layer, the
sums of a residual stream between them included. Rounded to FP16 at once, its output could not hold what made it one.

Group normalisation keeps its statistics, attention its softmax, pooling its sums in FP32 by the originals' own code.
What a kind's page lists as `islands` (the timestep embedding, E_deg's mapping) is left alone.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError


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


class TensorCore(nn.Module):
    """An Inside (or any layer) as a tensor core computes it, on any machine: factors and bias in FP16, products and
    sums in FP32, the result rounded once to FP16. On a CPU without FP16 arithmetic it is also the fast way."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = copy.deepcopy(layer).half().float()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.half().float()).half()


M = TypeVar("M", bound=nn.Module)
Policy = Literal["half", "enter", "exit", "island"]


@dataclass(frozen=True)
class Half:
    """Names of a model's layers that are not simply Inside; a name stands for all below it, `*` for any part of a path.
    islands: left alone."""

    enter: tuple[str, ...] = ()
    exit: tuple[str, ...] = ()
    islands: tuple[str, ...] = ()

    def __add__(self, other: Half) -> Half:
        return Half(self.enter + other.enter, self.exit + other.exit, self.islands + other.islands)

    def under(self, prefix: str) -> Half:
        """Of a model that has these layers a level deeper."""
        return Half(*(tuple(f"{prefix}.{name}" for name in names) for names in (self.enter, self.exit, self.islands)))

    def policy(self, name: str) -> Policy:
        """What a layer is in every typed graph, by its name in the model: Inside, Enter, Exit or left alone."""
        kinds: tuple[tuple[Policy, tuple[str, ...]], ...] = (
            ("island", self.islands), ("enter", self.enter), ("exit", self.exit)
        )  # fmt: skip
        return next((kind for kind, names in kinds if any(_matches(name, n) for n in names)), "half")


UNET = Half(("unet.from_x", "unet.*.embed"), ("unet.from_c", "unet.out"), ("unet.embed",))  # of every kind with steps


def layer_names(model: nn.Module) -> list[str]:
    """Every convolution and linear layer of an untyped model."""
    return [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def half_typed(model: M, half: Half, islands: Collection[str] = ()) -> M:
    """A copy of the model, typed as above; its inputs and outputs stay FP32.

    half: its kind's; islands: names of further layers that become an Exit, from a calibration. DegradeError for one
    that is none.
    """
    names = layer_names(model)
    if unknown := sorted(set(islands) - set(names)):
        fact = f"The model has no layer {unknown[0]!r} to keep in FP32"
        raise DegradeError(fact, wanted="a convolution or linear layer of this checkpoint")
    typed = copy.deepcopy(model)
    for name in names:
        kind = half.policy(name)
        if kind == "island":
            continue
        parent, _, leaf = name.rpartition(".")
        holder = typed.get_submodule(parent)
        wrap = Exit if name in islands else {"half": Inside, "enter": Enter, "exit": Exit}[kind]
        setattr(holder, leaf, wrap(holder.get_submodule(leaf)))  # also replaces entry "0" of a Sequential or ModuleList
    return typed.eval()


def on_tensor_cores(typed: M) -> M:
    """A typed model with every Inside replaced, in place, by its TensorCore: the same roundings, fast on a CPU."""
    for name, m in list(typed.named_modules()):
        if isinstance(m, Inside):
            parent, _, leaf = name.rpartition(".")
            setattr(typed.get_submodule(parent), leaf, TensorCore(m.layer).eval())
    return typed


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
