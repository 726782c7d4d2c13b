"""What random-alexnet measures: how strongly AlexNet's first filters, random, answer in fine and in coarser detail.

A random filter hears every frequency, and in a photograph the low ones are the loudest by far: its answer tells the
subject. So it hears one band of a Laplacian pyramid at a time (Burt & Adelson 1983), in which blur, noise and JPEG
differ. Over the places of a photograph two numbers of each filter are kept: the log of the root mean square answer, in
which few edges count most, and the mean log answer, in which the quiet places count as much: noise fills them, JPEG
empties them, texture leaves some alone. Logarithms, for twice the blur or noise is the same step wherever it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

BANDS = 2  # one more was hardly better, at twice the work
LEAST = 24  # pixels a side: the coarser band then holds the filter
FLOOR = 1e-3  # of a squared answer: that of noise of three grey levels. A tenth of it found settings less well


def bands(x: Tensor) -> list[Tensor]:
    """[B, 3, h, w] to its finest BANDS bands: [B, 3, h, w], [B, 3, h // 2, w // 2]."""
    from torch.nn import functional as F

    found = []
    for _ in range(BANDS):
        coarse = F.avg_pool2d(x, 2)
        found.append(x - F.interpolate(coarse, size=x.shape[2:], mode="bilinear", align_corners=False))
        x = coarse
    return found


def answers(x: Tensor, filters: Tensor) -> Tensor:
    """x FP32 [B, 3, h, w], sides of LEAST or more; filters [n, 3, 11, 11] -> [B, BANDS * 2 * n]."""
    import torch
    from torch.nn import functional as F

    filters = filters - filters.mean(dim=(2, 3), keepdim=True)
    found = []
    for i, band in enumerate(bands(x)):
        power = F.conv2d(band, filters, stride=4 >> i).square()  # AlexNet's stride, and as many places in each band
        found += [power.mean(dim=(2, 3)).add(FLOOR).log(), power.add(FLOOR).log().mean(dim=(2, 3))]
    return torch.cat(found, dim=1) / 2
