"""What a camera is drawn from: presets/camera.toml as frozen dataclasses."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from ..errors import DegradeError
from .development import Sampling
from .optics import ShrinkKind
from .ranges import Range, check_probability, check_range, check_shares
from .sensor import Demosaic
from .settings import preset


@dataclass(frozen=True)
class Spread:
    """Most draws are uniform over `usual`, the rest over `all`."""

    usual: Range
    all: Range
    usual_prob: float

    def __post_init__(self) -> None:
        low, high = self.all
        if not 0 <= low <= self.usual[0] <= self.usual[1] <= high < math.inf:
            raise DegradeError(f"A spread is {self.usual} within {self.all}", wanted="usual inside all, 0 or more")
        check_probability("usual_prob", self.usual_prob)


@dataclass(frozen=True)
class LensRanges:
    skip: float
    width: Spread
    defocus_prob: float
    defocus: Range
    anisotropy: Range
    tail_prob: float
    tail: Range
    tail_sigma: Range

    def __post_init__(self) -> None:
        _check(self, shares=("tail", "defocus"))
        if self.anisotropy[0] < 1:
            raise DegradeError(f"lens.anisotropy is {self.anisotropy}", wanted="1 or more")


@dataclass(frozen=True)
class ShrinkRanges:
    kinds: tuple[ShrinkKind, ...]
    antialias: Range

    def __post_init__(self) -> None:
        _check(self)
        if not self.kinds:
            raise DegradeError("shrink.kinds is empty", wanted="at least one kernel")


@dataclass(frozen=True)
class SensorRanges:
    skip: float
    contrast: Range
    shoulder: Range
    shot: Range
    read: tuple[float, float, float]
    mosaic_prob: float
    double_prob: float
    low_pass: Range
    demosaic: tuple[Demosaic, ...]
    red: Range
    blue: Range
    luma_sigma: Range
    chroma_sigma: Range
    chroma: Range

    def __post_init__(self) -> None:
        _check(self, shares=("contrast",))
        if not 1 <= self.shoulder[0] <= self.shoulder[1] <= 8:
            raise DegradeError(f"sensor.shoulder is {self.shoulder}", wanted="1 to 8")
        if self.shot[0] <= 0:
            raise DegradeError(f"sensor.shot is {self.shot}", wanted="above 0: it is drawn log-uniformly")
        if not self.demosaic:
            raise DegradeError("sensor.demosaic is empty", wanted="bilinear, malvar or edge")


@dataclass(frozen=True)
class DenoiseRanges:
    skip: float
    luma_prob: float
    luma: Range
    luma_sigma: Range
    grain: Range
    bilateral_prob: float
    chroma: Range
    chroma_sigma: Range

    def __post_init__(self) -> None:
        _check(self, shares=("grain",))


@dataclass(frozen=True)
class SharpeningRanges:
    skip: float
    amount: Spread
    radius: Range
    threshold_prob: float
    threshold: Range

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class CodecRanges:
    skip: float
    quality: Spread
    chroma_less: Range
    sampling: tuple[Sampling, ...]
    sampling_shares: tuple[float, ...]

    def __post_init__(self) -> None:
        _check(self)
        check_shares("sampling_shares", self.sampling_shares)
        if len(self.sampling) != len(self.sampling_shares):
            raise DegradeError("sampling and sampling_shares differ in length", wanted="a share for each")
        if not 1 <= self.quality.all[0] <= self.quality.all[1] <= 100:
            raise DegradeError(f"JPEG qualities of {self.quality.all}", wanted="1 to 100")


@dataclass(frozen=True)
class MessengerRanges:
    prob: float
    factor: Range
    codec: CodecRanges

    def __post_init__(self) -> None:
        _check(self)
        if not 1 <= self.factor[0] <= self.factor[1] <= 4:
            raise DegradeError(f"messenger.factor is {self.factor}", wanted="1 to 4")


@dataclass(frozen=True)
class ShotRanges:
    blur: Range
    defocus: Range
    motion_prob: Range
    motion: Range
    gain: Range
    crop_prob: float

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class CameraRanges:
    """presets/camera.toml says each in a word."""

    lens: LensRanges
    shrink: ShrinkRanges
    sensor: SensorRanges
    denoise: DenoiseRanges
    sharpening: SharpeningRanges
    jpeg: CodecRanges
    messenger: MessengerRanges
    shots: ShotRanges


def _check(ranges: Any, shares: tuple[str, ...] = ()) -> None:
    """Probabilities are some, ranges are in order, and those in `shares` end at 1."""
    table = type(ranges).__name__.removesuffix("Ranges").lower()
    for field in fields(ranges):
        name, value = f"{table}.{field.name}", getattr(ranges, field.name)
        if field.type == "float":
            check_probability(name, value)
        if field.type == "Range":
            check_range(name, value)
            if field.name in (*shares, "motion_prob") and value[1] > 1:
                raise DegradeError(f"{name} is {value}", wanted="shares, 0 to 1")


CAMERA = preset(CameraRanges, "camera")
