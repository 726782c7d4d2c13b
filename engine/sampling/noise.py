"""White noise on the finished LR: x + sigma·z, after the filter has chosen and before the bytes.

A network that was trained by L1, or a solver of few steps, gives the mean of what the camera might have made: its blur,
and less noise than a camera leaves. This is an addition of this project, in no paper that the kinds of model are from.

It is the solver's update (kernels/update.py) with a = 1, d = sigma and b = c = 0, so it needs no kernel of its own:
z = N(0, I) of (seed, pair, 0, STEP). No schedule is as long as STEP, so z is no other draw of the pair; and it is the
same for every kind of model, whatever the batch and whichever candidate was kept. Channels and pixels are independent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import Device
from ..errors import DegradeError

STEP = 2**31 - 1  # the step word of the noise counter
GREY_LEVELS = 127.5  # in the unit of x, whose range is -1..1
MOST_NOISE = 255.0  # grey levels: nothing is left of an image


class WhiteNoise:
    """Buffers for B pairs, made once."""

    def __init__(self, device: Device, batch: int) -> None:
        self._device, self._batch = device, batch
        self._coefficients = device.allocate((1, batch, 6), np.float32)
        self._timesteps, self._step = device.allocate((1, batch), np.int32), device.allocate((1,), np.int32)
        self._candidates = device.allocate((batch,), np.uint32)
        device.upload(self._timesteps, np.full((1, batch), STEP, np.int32))
        device.upload(self._step, np.zeros(1, np.int32))
        device.upload(self._candidates, np.zeros(batch, np.uint32))

    def upload(self, sigma: float) -> None:
        """The standard deviation in grey levels, before the first launch of a batch. With 0 `add` changes no bit."""
        row = np.array([0, 0, 1, 0, 0, sigma / GREY_LEVELS], np.float32)
        self._device.upload(self._coefficients, np.tile(row, (1, self._batch, 1)))

    def add(self, x: Any, finite: Any, scratch: Any, seed: int, pairs: Any) -> None:
        """In place. x, finite, scratch: float32 [B, 3, h, w]; finite: any numbers, read with the factor 0; scratch is
        overwritten; pairs: uint32 [B]."""
        self._device.launch(
            "update", x=x, eps=finite, x0_prev=scratch, coefficients=self._coefficients, timesteps=self._timesteps,
            step=self._step, clip=False, seed=seed, pairs=pairs, candidates=self._candidates,
        )  # fmt: skip


def check_noise(sigma: float) -> None:
    """Raises DegradeError unless it is a standard deviation."""
    if not 0 <= sigma <= MOST_NOISE:  # NaN is never within
        raise DegradeError(f"The noise is {sigma}", wanted="a standard deviation of 0 (none) to 255 grey levels")
