"""The binned degradation space of "Crafting Training Degradation Distribution" (ICML 2023): bins, weights, samples.

    x = [(y (*) k_sigma) v + eps_l]_JPEG(q)                          (eq. 2: blur on the HR, noise and JPEG on the LR)
    P(d) = sum over bins b of p(d | b) p(b),   p(b_i) = w_i          (section 3.3)

A space may have a fourth axis, which is ours: an unsharp mask of amount a after v, since cameras sharpen what their
lenses blur, and no Gaussian has the overshoot that this leaves (docs/worth.md).

The space is a box cut by the edges of its axes; within a bin everything is uniform. The weights come from
`calibrate degradation` (calib/degradation.py) as weights.json; without one all bins weigh the same, which is uniform
sampling of the whole box. What the paper leaves open: v is an antialiased bicubic (the space says so and may say
otherwise); the kernel reaches four sigmas; the noise differs from channel to channel; q is rounded, since the codec
knows whole numbers only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from ..artefact import read_json
from ..errors import DegradeError
from . import pipeline
from .degrader import Degrader
from .dice import pick, throw
from .pipeline import Grain, Jpeg, Pipeline, Scale, Sharpen, Step
from .settings import preset, read
from .theta import Blur, Mode

Edges = tuple[float, ...]
RADIUS = 2.0
"""Sigma of the unsharp mask, LR pixels. Of 1, 1.5, 2 and 3, the last two bring the Canon scenes 001 to 020 nearest to
their real LR, with little between them."""
LIMITS = (("blur_sigma", 0, 50), ("noise_level", 0, 255), ("jpeg_quality", 1, 100), ("sharpen_amount", 0, 5))
OPTIONAL = ("jpeg_quality", "sharpen_amount")


@dataclass(frozen=True)
class Space:
    """Edges of the bins, ascending; one number alone fixes an axis. () leaves JPEG or the sharpening out.

    Bin (a, q, l, s) has the number ((a * n_q + q) * n_l + l) * n_s + s, with a, q, l and s the places of its
    sharpening, quality, noise and blur.
    """

    blur_sigma: Edges  # HR pixels
    noise_level: Edges  # sigma, grey levels of 0..255
    jpeg_quality: Edges  # 1..100
    downsample: Mode
    sharpen_amount: Edges = ()  # a: the share of what the mask's Gaussian takes away that is added once more

    def __post_init__(self) -> None:
        for name, least, most in LIMITS:
            edges: Edges = getattr(self, name)
            ascending = all(a < b for a, b in itertools.pairwise(edges))
            inside = all(least <= edge <= most for edge in edges)
            if not (ascending and inside) or not (edges or name in OPTIONAL):
                raise DegradeError(f"{name} is {list(edges)}", wanted=f"ascending edges within {least} .. {most}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many bins of sharpening, quality, noise and blur there are."""
        axes = (self.sharpen_amount, self.jpeg_quality, self.noise_level, self.blur_sigma)
        a, q, l, s = (max(1, len(edges) - 1) for edges in axes)  # noqa: E741
        return a, q, l, s

    @property
    def bins(self) -> int:
        """N_bin."""
        return math.prod(self.shape)

    def box(self, bin: int) -> tuple[tuple[float, float], ...]:
        """(low, high) of sharpening, quality, noise and blur in a bin; (0, 0) for what is left out."""
        places = (int(place) for place in np.unravel_index(bin, self.shape))
        axes = (self.sharpen_amount or (0.0,), self.jpeg_quality or (0.0,), self.noise_level, self.blur_sigma)
        return tuple(
            (axis[at], axis[at + 1] if at + 1 < len(axis) else axis[at]) for axis, at in zip(axes, places, strict=True)
        )

    def at(self, bin: int, place: Sequence[float]) -> Pipeline:
        """The degradation at a place of a bin. place: of quality, noise, blur and sharpening, 0..1 each."""
        of_box = (place[3], *place[:3])
        amount, q, level, sigma = (a + (b - a) * p for (a, b), p in zip(self.box(bin), of_box, strict=True))
        return degradation(sigma, level, round(q) if self.jpeg_quality else None, self.downsample, amount)

    def words(self, bin: int) -> str:
        """A bin in words."""
        a, q, l, s = (f"{low:g} to {high:g}" for low, high in self.box(bin))  # noqa: E741
        sharpened = f"sharpening {a}, " if self.sharpen_amount else ""
        return f"blur {s}, {sharpened}noise {l}, " + (f"JPEG {q}" if self.jpeg_quality else "no JPEG")


def degradation(
    sigma: float, level: float, quality: int | None, downsample: Mode = "antialias", amount: float = 0.0
) -> Pipeline:
    """Eq. 2. sigma: HR pixels; level: grey levels; quality: 1..100, None = no JPEG; amount: of the unsharp mask."""
    steps: list[Step] = []
    if sigma > 0:
        steps.append(Blur("iso", 2 * math.ceil(4 * sigma) + 1, sigma, sigma))
    steps.append(Scale(None, downsample))
    if amount > 0:
        steps.append(Sharpen(amount, RADIUS))
    if level > 0:
        steps.append(Grain("gaussian", level, "colour", None))
    if quality is not None:
        steps.append(Jpeg(quality))
    return Pipeline(tuple(steps))


PAPER = preset(Space, "binned")
"""Section 3.3: sigma 0..5, l 0..50, q 30..90 in 5 x 5 x 3 = 75 bins (presets/binned.toml)."""


@dataclass(frozen=True)
class Calibrated:
    """weights.json: what `calibrate degradation` found. The lists follow the numbers of the space's bins."""

    space: Space
    weights: tuple[float, ...]  # w_i of eq. 4; not negative, they sum to 1
    distances: tuple[float, ...]  # squared Fréchet distances D_i of eq. 3
    alpha: float
    extractor: dict[str, Any]  # which features, and what they were made from
    reference: dict[str, Any]  # X_ref: images, bytes, sha256 of the inventory, crops taken
    hr: dict[str, Any]  # Y_w, likewise
    crop: int  # side of the crops the distances were taken on, LR pixels
    scale: int
    seed: int
    spread: float  # share of the weight that moves when the references are drawn anew (calib/degradation.py)
    tools: dict[str, str]
    format: Literal["degrade-engine/degradation-weights/2"] = field(default="degrade-engine/degradation-weights/2")

    def __post_init__(self) -> None:
        if not len(self.weights) == len(self.distances) == self.space.bins:
            fact = f"{len(self.weights)} weights and {len(self.distances)} distances came"
            raise DegradeError(fact, wanted=f"{self.space.bins} of each, the space's number of bins")
        check_weights(self.weights)


def check_weights(weights: Sequence[float]) -> None:
    """DegradeError unless they are weights: finite, not negative, with the sum 1."""
    if not all(0 <= weight <= 1 for weight in weights) or abs(math.fsum(weights) - 1) > 1e-6:
        fact = f"The weights sum to {math.fsum(weights):g}"
        mend = "make weights.json again with `degrade-engine calibrate degradation`"
        raise DegradeError(fact, wanted="numbers of 0 or more that sum to 1", mend=mend)


def read_weights(path: Path) -> Calibrated:
    """weights.json. Raises DegradeError if it is missing, broken or of another kind."""
    return read_json(Calibrated, path)


def draw(seed: int, index: int, space: Space = PAPER, weights: Sequence[float] | None = None) -> Pipeline:
    """Sample `index` of the stream `seed` (both 0 .. 2^64 - 1): a bin by its weight (None: all the same), then a place
    in it."""
    dice = throw(seed, index)
    bin = int(dice.integers(space.bins)) if weights is None else pick(dice, weights)
    return space.at(bin, dice.random(4).tolist())


@dataclass(frozen=True)
class Weighted:
    """What the degrader draws from. weights: None = all bins the same."""

    space: Space
    weights: tuple[float, ...] | None


class BinnedDegrader(Degrader):
    """`--degrader binned`: with weights from `calibrate degradation`, which bring their own space, or uniform."""

    kind, title, fitted = "binned", "binned", "weights"
    theta = Pipeline
    apply = staticmethod(pipeline.apply)

    @classmethod
    def open(cls, options: Path | None = None, fitted: Path | None = None) -> Self:
        if fitted is None:
            return cls(Weighted(read(Space, cls.kind, options), None))
        if options is not None:
            raise DegradeError("both weights and options were given", wanted="one: weights.json holds its own space")
        found = read_weights(fitted)
        return cls(Weighted(found.space, found.weights))

    def draw(self, seed: int, pair: int, scale: int) -> Pipeline:
        return draw(seed, pair, self.ranges.space, self.ranges.weights)
