"""The perceptual half of LWay's loss: LPIPS (Zhang et al., CVPR 2018) with weights from the user's files, or a named
substitute without.

LPIPS is AlexNet's five ReLU outputs, each scaled to unit length over its channels, their squared difference weighted
channel by channel, averaged over places and summed over layers (their eq. 1, version 0.1). Its two files are not ours
to ship: torchvision's `alexnet-owt-7be5be79.pth` and `weights/v0.1/alex.pth` of the package lpips. The paper does not
say which of LPIPS's networks it trained with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.weights import first_line, read_tensors

from .wavelet import band_distance

Distance = Callable[[Tensor, Tensor], Tensor]  # two images [B, 3, h, w] in [-1, 1] -> a scalar
LPIPS_NAME, SUBSTITUTE = "lpips-alex", "haar-l1"
INSTEAD = ", in place of LPIPS, whose weights were not given"
CONVOLUTIONS = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
PLACES = (0, 3, 6, 8, 10)  # where torchvision's `features` has them
POOLED_BEFORE = (1, 2)
WHERE = "torchvision's alexnet-owt-7be5be79.pth, then weights/v0.1/alex.pth of the package lpips"


class LPIPS(nn.Module):
    """LPIPS 0.1 over AlexNet: a, b [B, 3, h, w] in [-1, 1], sides of 35 or more -> mean over the batch [scalar]."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, k, s, p) for i, o, k, s, p in CONVOLUTIONS)
        self.linear = nn.ParameterList(nn.Parameter(torch.zeros(o)) for _, o, *_ in CONVOLUTIONS)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[None, :, None, None])

    def features(self, x: Tensor) -> list[Tensor]:
        """The five layers of x, each of unit length over its channels."""
        f, layers = (x.float() - self.shift) / self.scale, []
        for i, convolution in enumerate(self.convolutions):
            f = F.relu(convolution(F.max_pool2d(f, 3, 2) if i in POOLED_BEFORE else f))
            layers.append(f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return layers

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        total = torch.zeros((), device=a.device)
        for f, g, w in zip(self.features(a), self.features(b), self.linear, strict=True):
            total = total + ((f - g).square() * w[None, :, None, None]).sum(1).mean()
        return total


def open_distance(files: tuple[Path, Path] | None) -> tuple[str, Distance]:
    """(name, distance). files: AlexNet's and LPIPS's weights; None gives the substitute, whose name says so."""
    if files is None:
        return SUBSTITUTE, band_distance
    backbone, linear = (read_tensors(path) for path in files)
    model = LPIPS()
    try:
        for i, place in enumerate(PLACES):
            model.convolutions[i].load_state_dict({k: backbone[f"features.{place}.{k}"] for k in ("weight", "bias")})
            model.linear[i].data.copy_(linear[f"lin{i}.model.1.weight"].reshape(-1))
    except (KeyError, RuntimeError, AttributeError, TypeError) as e:
        fact = f"{files[0].name} and {files[1].name} are not LPIPS's weights ({first_line(e)})"
        raise DegradeError(fact, wanted=WHERE) from e
    return LPIPS_NAME, model.eval().requires_grad_(False)
