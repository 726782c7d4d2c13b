"""UDDM: both branches, and eq. 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import ddm
from .config import UDDMConfig
from .ddm import DDM, Noise
from .pddm import PDDM


class UDDM(nn.Module):
    """`ddm` and `pddm`; they share no weight and are trained apart."""

    def __init__(self, config: UDDMConfig) -> None:
        super().__init__()
        self.config = config
        self.ddm, self.pddm = DDM(config.ddm), PDDM(config.pddm)


def fuse(of_ddm: Tensor, of_pddm: Tensor, w: float) -> Tensor:
    """eq. 1: (1 - w) DDM + w P-DDM. w = 0 is DDM alone, 1 is P-DDM alone."""
    return (1 - w) * of_ddm + w * of_pddm


@torch.no_grad()
def generate(model: UDDM, image: Tensor, hr: Tensor, z: Tensor, tau: int, noise: Noise, w: float) -> Tensor:
    """The oracle: image FP32 [3, h, w], the HR at LR size; hr FP32 [3, r·h, r·w]; z FP32 [3, h, w], P-DDM's noise; tau
    and noise as in ddm.generate. FP32 [3, h, w]."""
    return fuse(ddm.generate(model.ddm, image, tau, noise), model.pddm(hr[None], z[None])[0], w)
