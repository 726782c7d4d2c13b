"""The HR at LR size, antialiased (Pillow's bicubic): what the field means by the word. Alone, or blurred a little more,
which is the strongest of the simple baselines (docs/quality.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from ..artefact import from_json
from ..images import Pixels, resize_bicubic
from .degrader import Degrader
from .dice import throw, uniform
from .ranges import Range, check_range


class BicubicDegrader(Degrader):
    """Nothing but the resize."""

    kind, title = "bicubic", "bicubic"

    def draw(self, seed: int, pair: int, scale: int) -> None:
        return None

    @staticmethod
    def apply(hr: Pixels, theta: None, *, scale: int, noise_seed: int) -> Pixels:
        return resize_bicubic(hr, (hr.shape[0] // scale, hr.shape[1] // scale))


@dataclass(frozen=True)
class BlurRanges:
    """presets/blur-bicubic.toml. sigma: of the Gaussian, LR pixels; 0 leaves it out."""

    sigma: Range

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma)


@dataclass(frozen=True)
class Blurred:
    """sigma: of the Gaussian, LR pixels."""

    sigma: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Blurred:
        return from_json(cls, record, "blur-bicubic")


class BlurBicubicDegrader(Degrader):
    """The bicubic LR, laid under a Gaussian."""

    kind, title = "blur-bicubic", "bicubic, Gaussian sigma 0.5"
    settings_of, theta = BlurRanges, Blurred

    def draw(self, seed: int, pair: int, scale: int) -> Blurred:
        return Blurred(uniform(throw(seed, pair), *self.ranges.sigma))

    @staticmethod
    def apply(hr: Pixels, theta: Blurred, *, scale: int, noise_seed: int) -> Pixels:
        small = resize_bicubic(hr, (hr.shape[0] // scale, hr.shape[1] // scale))
        return np.asarray(cv2.GaussianBlur(small, (0, 0), theta.sigma), np.uint8) if theta.sigma else small
