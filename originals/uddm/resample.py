"""Extreme downsampling and back: bicubic by an even factor s, antialiased, as a convolution and its adjoint.

With K the bicubic kernel (Keys 1981, a = -1/2, as Pillow and MATLAB), output i of the downsampling lies at (i + 1/2) s
on the input's axis and weighs input o by K((o + 1/2)/s - (i + 1/2)): a convolution of stride s with 4s taps. Output o
of the upsampling weighs input i by the same number: the transposed convolution. Where taps fall outside the image, the
rest is brought to sum 1, as Pillow does. Two plain convolutions are what every ONNX runtime has; an antialiased Resize
is not.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def bicubic(x: np.ndarray) -> np.ndarray:
    """K(x), float64, zero from |x| = 2 on."""
    a, x = -0.5, np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


class Bicubic(nn.Module):
    """down and up by an even s; both keep a constant."""

    taps: Tensor  # [3, 1, 4s, 4s], one a channel

    def __init__(self, s: int) -> None:
        super().__init__()
        if s < 2 or s % 2:
            raise ValueError(f"s is {s}, and has to be even")
        self.s = s
        line = bicubic((np.arange(4 * s) + 0.5) / s - 2) / s
        taps = torch.tensor(np.outer(line, line), dtype=torch.float32)
        self.register_buffer("taps", taps.expand(3, 1, 4 * s, 4 * s).clone(), persistent=False)

    def down(self, x: Tensor) -> Tensor:
        """FP32 [B, 3, h, w], multiples of s -> [B, 3, h/s, w/s]."""

        def conv(image: Tensor) -> Tensor:
            return F.conv2d(image, self.taps[: image.shape[1]], None, self.s, 3 * self.s // 2, groups=image.shape[1])

        return conv(x) / conv(torch.ones_like(x[:1, :1]))

    def up(self, x: Tensor) -> Tensor:
        """FP32 [B, 3, h, w] -> [B, 3, s·h, s·w]."""

        def conv(image: Tensor) -> Tensor:
            groups = image.shape[1]
            return F.conv_transpose2d(image, self.taps[:groups], None, self.s, 3 * self.s // 2, 0, groups)

        return conv(x) / conv(torch.ones_like(x[:1, :1]))
