"""BSRGAN's degradation (Zhang et al., ICCV 2021) and BSRGAN+, as their authors shipped them: drawn here, applied by
pipeline.py.

    BSRGAN    two blurs, two downsamplings, Gaussian noise and JPEG in random order (section 3.5), JPEG at the end
    BSRGAN+   two rounds of blur, resize, Gaussian, Poisson and speckle noise, one JPEG between them; the resize to the
              LR size and JPEG at the end

The numbers are those of utils_blindsr.py (presets/bsrgan.toml, bsrgan-plus.toml). Ranges that depend on the scale
follow it. A sample depends on its seed, index and scale alone.

**Without the camera ISP.** The paper's list has a processed sensor noise, the work of a trained ISP model that its
authors did not ship; their own code then leaves the step out, and so do we. A random order of the rest is as
random without it.

Departures: BSRGAN+ does not sharpen the HR first (a trick of its training, which sharpens the target too; here the
target is the photograph); the antialiased halving is Pillow's bicubic (MATLAB's kernel, another border); Poisson
counts above 8 come from a normal (`operations.poisson`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import DegradeError
from . import pipeline
from .degrader import Degrader
from .dice import chance, pick, throw, uniform
from .pipeline import Grain, Jpeg, Matrix, Pipeline, Scale, Shot, Step, Subsample
from .ranges import MOST_FACTOR, Range, check_probability, check_range, check_shares, check_sizes
from .settings import preset
from .theta import Blur, Mode


def _check_common(modes: tuple[Mode, ...], qualities: tuple[int, int]) -> None:
    if not modes:
        raise DegradeError("resize_modes is empty", wanted="area, bilinear, bicubic or antialias")
    if not 1 <= qualities[0] <= qualities[1] <= 100:
        raise DegradeError(f"jpeg_range is {qualities}", wanted="qualities of 1 to 100, the lower first")


@dataclass(frozen=True)
class BlurRanges:
    """Gaussian kernels, anisotropic or isotropic. [a, b]: 0 .. a + b * scale."""

    sizes: tuple[int, ...]  # odd, pixels
    aniso_prob: float
    aniso_variance: Range  # pixels²
    iso_sigma: Range  # pixels

    def __post_init__(self) -> None:
        check_probability("blur.aniso_prob", self.aniso_prob)
        check_sizes("blur.sizes", self.sizes)
        check_range("blur.aniso_variance", (0.0, *self.aniso_variance), ordered=False)
        check_range("blur.iso_sigma", (0.0, *self.iso_sigma), ordered=False)


@dataclass(frozen=True)
class NoiseRanges:
    """Gaussian and speckle noise."""

    level_range: tuple[int, int]  # grey levels, both ends drawn
    channels: tuple[float, float, float]  # shares of colour, gray, correlated

    def __post_init__(self) -> None:
        check_range("noise.level_range", self.level_range)
        check_shares("noise.channels", self.channels)


@dataclass(frozen=True)
class BSRGANRanges:
    """What `draw` draws from; presets/bsrgan.toml says each in a word."""

    half_prob: float
    half_antialias_prob: float
    resize_prob: float
    resize_most: float
    subsample_sigma: Range
    subsample_size: int
    resize_modes: tuple[Mode, ...]
    jpeg_prob: float
    jpeg_range: tuple[int, int]
    blur: BlurRanges
    noise: NoiseRanges

    def __post_init__(self) -> None:
        for name in ("half_prob", "half_antialias_prob", "resize_prob", "jpeg_prob"):
            check_probability(name, getattr(self, name))
        check_range("subsample_sigma", self.subsample_sigma, ordered=False)
        _check_common(self.resize_modes, self.jpeg_range)
        check_sizes("subsample_size", (self.subsample_size,))
        if not 0.5 <= self.resize_most <= MOST_FACTOR:
            wanted = f"0.5 to {MOST_FACTOR}: the HR is divided by 1 .. resize_most * scale"
            raise DegradeError(f"resize_most is {self.resize_most}", wanted=wanted)


@dataclass(frozen=True)
class BSRGANPlusRanges:
    """What `draw_plus` draws from; presets/bsrgan-plus.toml says each in a word."""

    shuffle_prob: float
    resize_prob: tuple[float, float, float]
    resize_up: float
    resize_down: float
    resize_modes: tuple[Mode, ...]
    poisson_prob: float
    poisson_exponent: Range
    poisson_gray_prob: float
    speckle_prob: float
    jpeg_range: tuple[int, int]
    blur: BlurRanges
    noise: NoiseRanges

    def __post_init__(self) -> None:
        for name in ("shuffle_prob", "poisson_prob", "poisson_gray_prob", "speckle_prob"):
            check_probability(name, getattr(self, name))
        check_shares("resize_prob", self.resize_prob)
        check_range("poisson_exponent", self.poisson_exponent, most=12.0)
        _check_common(self.resize_modes, self.jpeg_range)
        if not (1 <= self.resize_up <= 8 and 0 < self.resize_down <= 1):
            fact = f"resize_up and resize_down are {self.resize_up} and {self.resize_down}"
            raise DegradeError(fact, wanted="1 to 8, and above 0 to 1")


BSRGAN = preset(BSRGANRanges, "bsrgan")
BSRGAN_PLUS = preset(BSRGANPlusRanges, "bsrgan-plus")


def draw(seed: int, index: int, *, scale: int, ranges: BSRGANRanges = BSRGAN) -> Pipeline:
    """Sample `index` of the stream `seed` (both 0 .. 2^64 - 1) by BSRGAN."""
    dice, r = throw(seed, index), ranges
    before: list[Step] = []
    left = scale  # what is still to be divided by
    if scale == 4 and chance(dice, r.half_prob):
        antialiased = chance(dice, r.half_antialias_prob)
        before.append(Scale(0.5, "antialias" if antialiased else _mode(dice, r.resize_modes)))
        left = 2
    down = _downsample(dice, r, left)
    last = Scale(None, _mode(dice, r.resize_modes))
    shuffled: list[Step | None] = [
        _blur(dice, r.blur, left),
        _blur(dice, r.blur, left),
        _grain(dice, r.noise, "gaussian"),
        _jpeg(dice, r.jpeg_range) if chance(dice, r.jpeg_prob) else None,
        down,
        last,
    ]
    order = [int(at) for at in dice.permutation(6)]
    first, second = sorted((order.index(4), order.index(5)))
    order[first], order[second] = 4, 5  # the resize to the LR size comes after the other downsampling
    steps = [shuffled[at] for at in order]
    return Pipeline((*before, *(step for step in steps if step is not None), _jpeg(dice, r.jpeg_range)))


def draw_plus(seed: int, index: int, *, scale: int, ranges: BSRGANPlusRanges = BSRGAN_PLUS) -> Pipeline:
    """Sample `index` of the stream `seed` (both 0 .. 2^64 - 1) by BSRGAN+."""
    dice, r = throw(seed, index), ranges
    rounds = [_round(dice, r, scale) for _ in range(2)]
    jpeg = _jpeg(dice, r.jpeg_range)
    steps: list[Step | None] = [*rounds[0], jpeg, *rounds[1]]
    if chance(dice, r.shuffle_prob):
        steps = [steps[int(at)] for at in dice.permutation(len(steps))]
    else:
        for noises in (slice(2, 5), slice(8, 11)):
            steps[noises] = [steps[noises][int(at)] for at in dice.permutation(3)]
    end = (Scale(None, _mode(dice, r.resize_modes)), _jpeg(dice, r.jpeg_range))
    return Pipeline((*(step for step in steps if step is not None), *end))


# ---- one operation each ----


def _round(dice: np.random.Generator, r: BSRGANPlusRanges, scale: int) -> list[Step | None]:
    photons = 10 ** uniform(dice, *r.poisson_exponent)
    shot = Shot(photons, gray=chance(dice, r.poisson_gray_prob))
    return [
        _blur(dice, r.blur, scale),
        _resize(dice, r, scale),
        _grain(dice, r.noise, "gaussian"),
        shot if chance(dice, r.poisson_prob) else None,
        _grain(dice, r.noise, "speckle") if chance(dice, r.speckle_prob) else None,
    ]


def _blur(dice: np.random.Generator, r: BlurRanges, scale: int) -> Blur:
    size = r.sizes[int(dice.integers(len(r.sizes)))]
    if chance(dice, r.aniso_prob):
        widest = r.aniso_variance[0] + r.aniso_variance[1] * scale
        sigma_x, sigma_y = (math.sqrt(uniform(dice, 0.0, widest)) for _ in range(2))
        return Blur("aniso", size, sigma_x, sigma_y, rotation=uniform(dice, 0.0, math.pi))
    sigma = uniform(dice, 0.0, r.iso_sigma[0] + r.iso_sigma[1] * scale)
    return Blur("iso", size, sigma, sigma)


def _downsample(dice: np.random.Generator, r: BSRGANRanges, scale: int) -> Step:
    if chance(dice, r.resize_prob):
        return Scale(1 / uniform(dice, 1.0, r.resize_most * scale), _mode(dice, r.resize_modes))
    low, high = r.subsample_sigma
    return Subsample(scale, uniform(dice, low, high * scale), r.subsample_size)


def _resize(dice: np.random.Generator, r: BSRGANPlusRanges, scale: int) -> Scale:
    direction = pick(dice, r.resize_prob)
    low, high = ((1.0, r.resize_up), (r.resize_down / scale, 1.0), (1.0, 1.0))[direction]
    return Scale(uniform(dice, low, high), _mode(dice, r.resize_modes))


def _grain(dice: np.random.Generator, r: NoiseRanges, kind: str) -> Grain:
    level = float(dice.integers(r.level_range[0], r.level_range[1] + 1))
    channels = ("colour", "gray", "correlated")[pick(dice, r.channels)]
    if channels == "correlated":
        return Grain(kind, float(r.level_range[1]), channels, _covariance(dice))  # type: ignore[arg-type]
    return Grain(kind, level, channels, None)  # type: ignore[arg-type]


def _covariance(dice: np.random.Generator) -> Matrix:
    """|U^T D U|: D diagonal, uniform over 0..1; U the left singular vectors of a matrix of such numbers."""
    spread = dice.random(3)
    basis = np.linalg.svd(dice.random((3, 3)))[0]
    a, b, c = np.abs(basis.T @ np.diag(spread) @ basis).tolist()
    return tuple(a), tuple(b), tuple(c)


def _jpeg(dice: np.random.Generator, qualities: tuple[int, int]) -> Jpeg:
    return Jpeg(int(dice.integers(qualities[0], qualities[1] + 1)))


def _mode(dice: np.random.Generator, modes: tuple[Mode, ...]) -> Mode:
    return modes[int(dice.integers(len(modes)))]


# ---- as degraders ----


class BSRGANDegrader(Degrader):
    """`--degrader bsrgan`."""

    kind, title = "bsrgan", "BSRGAN"
    settings_of, theta = BSRGANRanges, Pipeline
    apply = staticmethod(pipeline.apply)

    def draw(self, seed: int, pair: int, scale: int) -> Pipeline:
        return draw(seed, pair, scale=scale, ranges=self.ranges)


class BSRGANPlusDegrader(Degrader):
    """`--degrader bsrgan-plus`."""

    kind, title = "bsrgan-plus", "BSRGAN+"
    settings_of, theta = BSRGANPlusRanges, Pipeline
    apply = staticmethod(pipeline.apply)

    def draw(self, seed: int, pair: int, scale: int) -> Pipeline:
        return draw_plus(seed, pair, scale=scale, ranges=self.ranges)
