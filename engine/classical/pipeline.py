"""A degradation as a list of steps with plain numbers: what BSRGAN, BSRGAN+ and the binned space are made of.

A `Pipeline` is drawn once, kept in a manifest, and carried out by `apply`; only the noise's realisation is left, and
that has a seed of its own. Sizes and sigmas are in pixels of the image that a step gets, noise in grey levels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ...kernels.ziggurat import standard_normal
from ..artefact import from_json, to_json
from ..errors import DegradeError
from . import operations
from .operations import Floats, Pixels
from .theta import Blur, Mode

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Scale:
    """Resize by `factor` of the image that comes, its sides rounded down; None: to the LR size."""

    factor: float | None
    mode: Mode

    def __post_init__(self) -> None:
        if self.factor is not None and not 0 < self.factor <= 16:
            raise DegradeError(f"A scale step's factor is {self.factor}", wanted="above 0 to 16, or null")


@dataclass(frozen=True)
class Subsample:
    """Gaussian blur, then one pixel of each factor x factor block: the kernel sits on the block's centre."""

    factor: int
    sigma: float  # pixels
    size: int  # odd, pixels


@dataclass(frozen=True)
class Sharpen:
    """Unsharp mask: the image and `amount` times what a Gaussian takes away from it."""

    amount: float
    sigma: float  # pixels


@dataclass(frozen=True)
class Grain:
    """Gaussian noise, added or (speckle) multiplied with the image. The channels' noise is independent, one and the
    same, or has `covariance` (RGB, of unit level squared; null unless correlated)."""

    kind: Literal["gaussian", "speckle"]
    level: float  # sigma, grey levels; of speckle: at white
    channels: Literal["colour", "gray", "correlated"]
    covariance: Matrix | None


@dataclass(frozen=True)
class Shot:
    """Poisson noise of a sensor on which white is `photons`; gray: that of the luma, added to all channels."""

    photons: float
    gray: bool


@dataclass(frozen=True)
class Jpeg:
    """The real codec, 4:2:0."""

    quality: int  # 1..100

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise DegradeError(f"A JPEG step's quality is {self.quality}", wanted="1 to 100")


Step = Blur | Scale | Subsample | Sharpen | Grain | Shot | Jpeg
_STEPS: dict[str, type[Any]] = {
    "blur": Blur, "scale": Scale, "subsample": Subsample, "sharpen": Sharpen, "grain": Grain, "shot": Shot,
    "jpeg": Jpeg,
}  # fmt: skip
_NAMES = {step: name for name, step in _STEPS.items()}


@dataclass(frozen=True)
class Pipeline:
    """All that was drawn for one sample but the noise's realisation, in the order in which it is done."""

    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object; through a file and `from_json` it comes back equal, float for float."""
        return {"steps": [{"do": _NAMES[type(step)], **to_json(step)} for step in self.steps]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Pipeline:
        """The inverse of `to_json`. Raises DegradeError that names a missing, unknown or ill-typed field."""
        if set(record) != {"steps"} or not isinstance(record["steps"], list):
            raise DegradeError(f"A recorded degradation has the fields {', '.join(record)}", wanted="a list of steps")
        return cls(tuple(_step(one, f"steps[{at}]") for at, one in enumerate(record["steps"])))


def _step(record: Any, where: str) -> Step:
    name = record.get("do") if isinstance(record, Mapping) else None
    if name not in _STEPS:
        raise DegradeError(f"{where} does {name!r}", wanted=f"one of {', '.join(_STEPS)}")
    step: Step = from_json(_STEPS[name], {key: value for key, value in record.items() if key != "do"}, where)
    return step


def apply(hr: Pixels, pipeline: Pipeline, *, scale: int, noise_seed: int) -> Pixels:
    """Degrade `hr` (uint8 [H, W, 3] RGB) to uint8 [H/scale, W/scale, 3] RGB, which some step must bring it to.

    The same arguments give the same bytes; `noise_seed` (>= 0) matters only where a step has noise. Raises
    DegradeError if H or W is not a multiple of `scale`, the array is not such an image, or the steps end elsewhere.
    """
    height, width = operations.check(hr, scale, noise_seed)
    lr = (height // scale, width // scale)
    dice = np.random.Generator(np.random.SFC64(noise_seed))
    image = operations.to_floats(hr)
    for step in pipeline.steps:
        image = _do(step, image, lr, dice)
    if image.shape[:2] != lr:
        fact = f"The steps of a degradation end at {image.shape[1]} x {image.shape[0]} pixels"
        raise DegradeError(fact, wanted=f"{lr[1]} x {lr[0]}, by a scale step without factor")
    return operations.to_pixels(image)


def _do(step: Step, image: Floats, lr: tuple[int, int], dice: np.random.Generator) -> Floats:
    match step:
        case Blur():
            return operations.blur(image, step)
        case Scale():
            height, width = lr if step.factor is None else (int(side * step.factor) for side in image.shape[:2])
            return _clipped(operations.resize(image, height, width, step.mode))
        case Subsample():
            row = _shifted(step.size, step.sigma, (step.factor - 1) / 2)
            blurred = cv2.sepFilter2D(image, -1, row, row, borderType=cv2.BORDER_REFLECT_101)
            return np.ascontiguousarray(blurred[:: step.factor, :: step.factor], np.float32)
        case Sharpen():
            size = 2 * math.ceil(4 * step.sigma) + 1
            soft = operations.blur(image, Blur("iso", size, step.sigma, step.sigma))
            return _clipped(image + np.float32(step.amount) * (image - soft))
        case Grain():
            noise = _grain(step, image.shape, dice)
            if step.kind == "speckle":
                noise = noise * image * np.float32(1 / 255)
            return _clipped(image + noise)
        case Shot():
            return _clipped(_shot(step, image, dice))
        case Jpeg():
            return operations.jpeg(image, step.quality)


def _clipped(image: Floats) -> Floats:
    return np.clip(image, 0.0, 255.0, out=image)


@lru_cache(maxsize=64)
def _shifted(size: int, sigma: float, shift: float) -> npt.NDArray[np.float32]:
    """A Gaussian of `size` taps whose peak lies `shift` pixels to the right of the middle one, float32 [size], sum 1.

    As published it is the centred kernel, interpolated linearly; the kernel is a product, and so is what comes of it.
    OpenCV correlates where the authors convolve, so theirs is moved the other way.
    """
    at = np.arange(size) - size // 2
    centred = np.exp(-0.5 * (at / max(sigma, 1e-3)) ** 2)
    moved = np.interp(np.clip(at - shift, at[0], at[-1]), at, centred)
    return np.asarray(moved / moved.sum(), np.float32)


def _grain(step: Grain, shape: tuple[int, ...], dice: np.random.Generator) -> Floats:
    planes = (*shape[:2], 1) if step.channels == "gray" else shape
    z = standard_normal(dice, planes)
    z *= np.float32(step.level)
    if step.covariance is None:
        return z
    values, vectors = np.linalg.eigh(np.array(step.covariance)[::-1, ::-1])  # the image is BGR
    mix = vectors * np.sqrt(np.abs(values))  # |.|: what is published need not be positive, and is drawn so there too
    return np.asarray(z @ mix.T.astype(np.float32))


def _shot(step: Shot, image: Floats, dice: np.random.Generator) -> Floats:
    a_photon = np.float32(255.0 / step.photons)
    levels = np.rint(operations.grey(image) if step.gray else image)
    counts = operations.poisson(np.asarray(levels / a_photon, np.float32), dice)
    counts *= a_photon
    return image + (counts - levels) if step.gray else counts
