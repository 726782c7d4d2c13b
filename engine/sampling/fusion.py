"""The fusion of UDDM: the LR is the weighted sum of two branches, x = (1 - w) DDM + w P-DDM (eq. 1).

Nothing of it needs a kernel of its own. Both of its launches are the solver's update, x = a·x + b·x0 + c·x0_prev + d·z
(kernels/update.py), with coefficients that no solver has:

    P-DDM's noise    a = b = c = 0, d = 1              z = N(0, I) of (seed, pair, candidate, T + 1)
    eq. 1            a = 1 - w, c = w, b = d = 0       x0_prev is P-DDM's image

The step word T + 1 of the noise counter is one that no step of the diffusion has, so the two branches' noises are
independent. With w = 0 the second is the identity, to the bit; with w = 1 x is P-DDM's image, to the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import Device

NOISE, SUM = 0, 1  # the rows of the tables


class Fusion:
    """Buffers of the fusion for R rows, made once. shape: (R, 3, h, w); z: float32 of it, P-DDM's noise."""

    def __init__(self, device: Device, shape: tuple[int, ...], T: int) -> None:
        self._device, self._rows = device, (rows := shape[0])
        self.z, self._scratch = (device.allocate(shape, np.float32) for _ in range(2))
        self._coefficients = device.allocate((2, rows, 6), np.float32)
        self._timesteps, self._steps = device.allocate((2, rows), np.int32), device.allocate((2,), np.int32)
        device.upload(self._timesteps, np.full((2, rows), T + 1, np.int32))
        device.upload(self._steps, np.array([NOISE, SUM], np.int32))

    def upload(self, w: float) -> None:
        """The weight of P-DDM, 0..1, before the first launch of a batch."""
        both = np.array([(0, 0, 0, 0, 0, 1), (0, 0, 1 - w, 0, w, 0)], np.float32)
        self._device.upload(self._coefficients, np.repeat(both[:, None], self._rows, axis=1))

    def draw(self, finite: Any, seed: int, pairs: Any, candidates: Any) -> None:
        """Fills z. finite: any [R, 3, h, w] of numbers, read with the factor 0."""
        self._launch(NOISE, self.z, self._scratch, finite, seed, pairs, candidates)

    def run(self, x: Any, lr_pddm: Any, finite: Any, seed: int, pairs: Any, candidates: Any) -> None:
        """eq. 1 in place: x, of DDM, becomes the sum. lr_pddm [R, 3, h, w] is overwritten."""
        self._launch(SUM, x, lr_pddm, finite, seed, pairs, candidates)

    def _launch(self, row: int, x: Any, x0_prev: Any, eps: Any, seed: int, pairs: Any, candidates: Any) -> None:
        self._device.launch(
            "update", x=x, eps=eps, x0_prev=x0_prev, coefficients=self._coefficients, timesteps=self._timesteps,
            step=self._steps[row : row + 1], clip=False, seed=seed, pairs=pairs, candidates=candidates,
        )  # fmt: skip
