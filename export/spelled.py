"""Two layers of the U-Net spelled out for the FP32 files, which are what ONNX Runtime runs on a CPU.

**Group normalisation.** The CPU provider has no kernel for GroupNormalization. It takes the operator's definition
apart, a dozen nodes of which eight read whole feature maps, and works out shapes at every call. Said directly, in FP32:

    m = mean of a group        d = x - m        y = d · (gamma / sqrt(mean of d² + eps)) + beta

with one scale a channel, so the division is of [B, C] numbers and not of the map. The mean square is taken of d, not
of x: what is subtracted first need not be cancelled later.

**Upsampling.** Of the three rows of an upsampled image that a 3x3 kernel sees, two are the same row x_i. So their two
kernel rows can be added beforehand, and two thirds of the products remain:

    row 2i      w_0 x_{i-1} + (w_1 + w_2) x_i
    row 2i + 1  (w_0 + w_1) x_i + w_2 x_{i+1}

The same holds across, where interleaving single columns costs what it saves.

The FP16 files keep both as they are: TensorRT has kernels of its own for them.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from degrade_engine.originals.realdgen.unet import GroupNorm, Upsample

M = TypeVar("M", bound=nn.Module)


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


class SpelledUpsample(nn.Module):
    """The same convolution of the upsampled image, even and odd rows apart."""

    def __init__(self, layer: Upsample) -> None:
        super().__init__()
        w = layer.weight.detach()  # [O, C, 3, 3]
        self.even = nn.Parameter(torch.stack([w[:, :, 0], w[:, :, 1] + w[:, :, 2]], dim=2))
        self.odd = nn.Parameter(torch.stack([w[:, :, 0] + w[:, :, 1], w[:, :, 2]], dim=2))
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:  # [B, C, h, w] to [B, O, 2h, 2w]
        batch, _, height, width = x.shape
        wide = F.interpolate(x, scale_factor=(1.0, 2.0), mode="nearest")
        even = F.conv2d(F.pad(wide, (1, 1, 1, 0)), self.even, self.bias)
        odd = F.conv2d(F.pad(wide, (1, 1, 0, 1)), self.odd, self.bias)
        return torch.stack([even, odd], dim=3).reshape(batch, -1, 2 * height, 2 * width)


def spelled_out(model: M) -> M:
    """A copy of the model with both layers spelled out."""
    lean = copy.deepcopy(model)
    for name, layer in list(lean.named_modules()):
        if isinstance(layer, GroupNorm | Upsample):
            parent, _, leaf = name.rpartition(".")
            spelled = SpelledGroupNorm(layer) if isinstance(layer, GroupNorm) else SpelledUpsample(layer)
            setattr(lean.get_submodule(parent), leaf, spelled)
    return lean.eval()
