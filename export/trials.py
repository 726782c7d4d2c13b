"""What an export is tried on: random tensors of two sizes, and what the parts are given for drawn photographs.

A photograph here is noise whose spectrum falls like that of real ones (1/f), with what is clipped at both ends; half of
the second one is flat, where little differences count most (E_deg takes the logarithm of how little a window varies).
The diffusion is tried at its first, middle and last timestep.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from .parts import Part

Inputs = tuple[Tensor, ...]
RANDOM = ((1, 8, 8), (3, 4, 6))  # batch, and height and width in multiples of lr_multiple: neither is the example's
PHOTOGRAPHS = ((6, 4), (4, 8))  # height and width likewise
FLAT = 0.25


def trials(parts: Mapping[str, Part], lr_multiple: int) -> dict[str, list[Inputs]]:
    """The inputs of each part. parts: of the PyTorch model, in the order in which they run, for a part's output is the
    input of others."""
    found = {
        name: [part.example(n, h * lr_multiple, w * lr_multiple, seed) for seed, (n, h, w) in enumerate(RANDOM)]
        for name, part in parts.items()
    }
    T = max(part.T for part in parts.values()) or 1
    t = torch.tensor([1, (T + 1) // 2, T], dtype=torch.int32)
    share = (t / T)[:, None, None, None]
    for seed, (rows, columns) in enumerate(PHOTOGRAPHS):
        generator = torch.Generator().manual_seed(seed)
        image = photograph(rows * lr_multiple, columns * lr_multiple, generator, flat=seed == 1)
        z = torch.randn(image.shape, generator=generator)
        known = {"image": image, "content": image, "z": z, "t": t, "x_t": (1 - share).sqrt() * image + share.sqrt() * z}
        for name, part in parts.items():
            known["hr"] = _enlarged(image, part)
            for spec in part.inputs:  # what a sampler draws by itself
                if spec.name not in known:
                    shape = spec.resolve(len(image), *image.shape[2:])
                    known[spec.name] = torch.randn(shape, generator=generator)
            found[name].append(tuple(known[spec.name] for spec in part.inputs))
            with torch.no_grad():
                known.setdefault(part.outputs[0].name, part.module(*found[name][-1]))
    return found


def photograph(height: int, width: int, generator: torch.Generator, flat: bool) -> Tensor:
    """float32 [3, 3, height, width] in [-1, 1]: three drawn photographs; flat: one grey in their left half."""
    fy, fx = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    waves = torch.fft.rfft2(torch.randn((3, 3, height, width), generator=generator))
    image = torch.fft.irfft2(waves / torch.hypot(fy, fx).clamp_min(1 / max(height, width)), s=(height, width))
    image = (0.6 * image / image.std()).clamp(-1, 1)
    if flat:
        image[..., : width // 2] = FLAT
    return image


def _enlarged(image: Tensor, part: Part) -> Tensor:
    """The image at the size of the part's "hr", if it reads one."""
    for spec in part.inputs:
        if spec.name == "hr":
            return F.interpolate(image, size=spec.resolve(*image.shape[:1], *image.shape[2:])[2:], mode="bicubic")
    return image
