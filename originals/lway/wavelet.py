"""The Haar transform, the weight map W of LWay 3.2, and the substitute for LPIPS.

The paper says "DWT" and "normalize it to yield a weight map W in [0, 1]", and names neither wavelet nor normalisation.
We take the Haar wavelet, whose 2×2 filters are four convolution kernels; no library is needed for it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

HAAR = torch.tensor([[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]).float() / 2
"""LL, and the details across columns, across rows, across both: orthonormal."""


def haar(x: Tensor, stride: int = 2) -> tuple[Tensor, Tensor]:
    """One level: x [B, C, h, w] -> (LL [B, C, h', w'], details [B, C, 3, h', w']), FP32.

    stride 2: the orthonormal transform, an odd last row or column left out; stride 1: of every 2×2 block, whose h' is
    h - 1.
    """
    channels = x.shape[1]
    kernels = HAAR.to(x.device).repeat(channels, 1, 1)[:, None]
    bands = F.conv2d(x.float(), kernels, stride=stride, groups=channels).unflatten(1, (channels, 4))
    return bands[:, :, 0], bands[:, :, 1:]


def weight_map(lr: Tensor) -> Tensor:
    """W [B, 1, h, w] in [0, 1] of images [B, 3, h, w]: how much detail lies at each pixel, min-max normalised image by
    image. 0 all over for an image without any.

    The detail at a pixel is the root of its Haar coefficients' energy, over the three bands, the three channels and the
    four 2×2 blocks that hold the pixel. (The transform with stride 2 alone has one block a pixel, and does not see an
    edge between two blocks.)
    """
    energy = haar(lr, stride=1)[1].square().sum(dim=(1, 2))[:, None]  # [B, 1, h - 1, w - 1]
    detail = F.avg_pool2d(F.pad(energy, (1, 1, 1, 1), mode="replicate"), 2, stride=1).sqrt()
    least, most = (bound(detail, dim=(1, 2, 3), keepdim=True) for bound in (torch.amin, torch.amax))
    return (detail - least) / (most - least).clamp_min(1e-6)


def band_distance(a: Tensor, b: Tensor, levels: int = 3) -> Tensor:
    """Mean absolute difference of the Haar details of a and b, the mean over `levels` levels [scalar]: "haar-l1", which
    stands in for LPIPS. Like it, it weighs structure above brightness; unlike it, it knows nothing of what people see.

    a, b [B, C, h, w], sides of 2^levels or more.
    """
    rest, total = (a - b).float(), a.new_zeros((), dtype=torch.float32)
    for _ in range(levels):  # the transform is linear: that of the difference is the difference of theirs
        rest, details = haar(rest)
        total = total + details.abs().mean()
        rest = rest / 2  # LL of a constant is twice the constant: back to the image's scale
    return total / levels
