"""All figures of a set of generated LR images against the real ones: what a row of `quality` says.

Fidelity and realism of each image (metrics.py), and distances of the sets: Fréchet over E_deg's features, which a
RealDGen was trained with and which favour it, and over AlexNet's first convolution with weights drawn from a seed,
which favours nobody. Every figure has a 95 % bootstrap interval over scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from degrade_engine.calib.features import open_features
from degrade_engine.engine.report.filters import random_features

from .. import metrics
from . import perceptual
from .true_pairs import Image

Extract = Callable[[Sequence[Image]], np.ndarray]  # images to features, [n, c] or [n, places, c]


def mean_of(name: str, values: np.ndarray, digits: int = 3) -> dict[str, Any]:
    """The mean over scenes, and its interval under the same name without its unit."""
    return {name: round(float(values.mean()), digits),
            f"{name.removesuffix('_db')}_interval": [round(v, digits) for v in metrics.interval(values)]}  # fmt: skip


def measure(made: Sequence[Image], real: Sequence[Image]) -> dict[str, Any]:
    """The figures that need no network."""

    def each(figure: Callable[[Image, Image], float]) -> np.ndarray:
        return np.array([figure(a, b) for a, b in zip(made, real, strict=True)])

    sharp = each(lambda a, b: metrics.laplacian_std(a) - metrics.laplacian_std(b))
    noise = each(lambda a, b: metrics.noise_std(a) - metrics.noise_std(b))
    bias = np.array([metrics.spectrum_bias(a, b) for a, b in zip(made, real, strict=True)])
    return {
        **mean_of("psnr_db", each(metrics.psnr)),
        **mean_of("psnr_y_db", each(metrics.psnr_y)),
        **mean_of("ssim", each(metrics.ssim), 4),
        **mean_of("ssim_y", each(metrics.ssim_y), 4),
        **mean_of("laplacian_gap", np.abs(sharp)),
        "laplacian_bias": round(float(sharp.mean()), 3),
        **mean_of("noise_gap", np.abs(noise)),
        "noise_bias": round(float(noise.mean()), 3),
        **mean_of("spectrum_db", each(metrics.spectrum_distance)),
        "spectrum_bias_db": [round(float(band), 2) for band in bias.mean(axis=0)],
    }


def distance(name: str, features: Extract, made: Sequence[Image], real: Sequence[Image]) -> dict[str, Any]:
    """The Fréchet distance of the two sets' features and its interval."""
    a, b = features(made), features(real)
    vectors = (x.reshape(-1, x.shape[-1]) for x in (a, b))
    return {name: round(metrics.frechet(*vectors), 4),
            f"{name}_interval": [round(v, 4) for v in metrics.frechet_interval(a, b)]}  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """What is measured beside the plain figures. sets: name -> features of a Fréchet distance; more: measures with
    weights of the user's (perceptual.py)."""

    sets: Mapping[str, Extract] = field(default_factory=dict)
    more: Mapping[str, Callable[..., dict[str, Any]]] = field(default_factory=dict)

    def __call__(self, made: Sequence[Image], real: Sequence[Image]) -> dict[str, Any]:
        """A row's figures."""
        found = measure(made, real)
        for name, features in self.sets.items():
            found |= distance(name, features, made, real)
        for figures in self.more.values():
            found |= figures(made, real)
        return found


def open_scores(
    e_deg: Path | None, weights: Path | None, images: int, threads: int | None = None
) -> tuple[Scores, list[str]]:
    """(what measures so many images, a sentence for each measure of `weights` that cannot).

    e_deg: engine folder or checkpoint of the RealDGen whose E_deg measures; weights: the folder of perceptual.py; None
    leaves those figures out.
    """
    sets: dict[str, Extract] = {"frechet_random": random_features}
    if e_deg is not None:
        features = open_features("e-deg", e_deg, threads=threads)
        sets["frechet_e_deg"] = lambda images: features(np.stack(images))
    more, missing = perceptual.measures(weights, images) if weights is not None else ({}, [])
    return Scores(sets, more), missing
