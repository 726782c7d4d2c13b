"""Group normalisation spelled out, for the FP32 files: they are what ONNX Runtime runs on a CPU.

Its CPU provider has no kernel for GroupNormalization. It takes the operator's definition apart, a dozen nodes of which
eight read whole feature maps, and works out shapes at every call. Said directly, in FP32:

    m = mean of a group        d = x - m        y = d · (gamma / sqrt(mean of d² + eps)) + beta

with one scale a channel, so the division is of [B, C] numbers and not of the map. The mean square is taken of d, not
of x: what is subtracted first need not be cancelled later.

The FP16 files keep the operator, which TensorRT has a kernel for.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from degrade_engine.originals.realdgen.model import RealDGen
from degrade_engine.originals.realdgen.unet import GroupNorm


class SpelledGroupNorm(nn.Module):
    """The same statistics and parameters as `layer`, in operators that ONNX Runtime has kernels for."""

    def __init__(self, layer: GroupNorm) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:  # FP32 [B, C, h, w]
        batch, channels = x.shape[:2]  # not len(x): torch.export would take that for a constant
        groups = self.layer.num_groups

        def of_group(values: Tensor) -> Tensor:
            """Mean over each channel's group, [B, C, h, w] to [B, groups, 1]."""
            return values.mean(dim=(2, 3)).reshape(batch, groups, -1).mean(dim=2, keepdim=True)

        def of_channel(values: Tensor) -> Tensor:
            """[B, groups, 1 or C/groups] to [B, C, 1, 1]."""
            return values.expand(batch, groups, channels // groups).reshape(batch, channels, 1, 1)

        d = x - of_channel(of_group(x))
        gamma = self.layer.weight.reshape(1, groups, -1)
        return d * of_channel(gamma * (of_group(d * d) + self.layer.eps).rsqrt()) + self.layer.bias[:, None, None]


def spelled_out(model: RealDGen) -> RealDGen:
    """A copy of the model with every group normalisation spelled out."""
    lean = copy.deepcopy(model)
    for name, layer in list(lean.named_modules()):
        if isinstance(layer, GroupNorm):
            parent, _, leaf = name.rpartition(".")
            setattr(lean.get_submodule(parent), leaf, SpelledGroupNorm(layer))
    return lean.eval()
