"""How near LR are to a camera's photographs of other scenes, by `match`'s measures, where there are only a few.

Each LR has a partner: a crop of the camera with similar content. Of the differences between partners the median counts,
so that one odd photograph does not, and beside it how much LR and photographs vary. Both are in units of what can be
told: what passes for none (`Measure.alike`), and what chance makes of so few photographs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..engine.report.measures import MEASURES, Measure, Measured

Floats = NDArray[np.float64]
JUDGED = [of for of in MEASURES if of.key != "clipped"]  # exposure is the photographer's
FLOOR = 0.3  # grey levels, added to noise before its logarithm
SIGMA = 1.4826  # standard deviation by the median of absolute deviations


def nearness(made: Sequence[Measured | None], partners: Sequence[Measured | None], photographs: int) -> float:
    """Mean over the measures that both can tell; 0 is as near as can be, 1 is a difference that can just be told. made
    and partners: one beside the other; photographs: how many the partners are of. nan where nothing can be told."""
    found = []
    for of in JUDGED:
        one, other = values(of, made), values(of, partners)
        both = ~np.isnan(one) & ~np.isnan(other)
        if both.sum() >= 3:
            one, other = one[both], other[both]
            unit = np.hypot(alike(of), spread(other) / np.sqrt(photographs))
            found.append(np.hypot(np.median(one - other), spread(one) - spread(other)) / unit)
    return float(np.mean(found)) if found else np.nan


def values(of: Measure, images: Sequence[Measured | None]) -> Floats:
    """Of each image; noise as its logarithm, since a quiet photograph's and a noisy one's differ by a factor."""
    found = np.array([one.values[of.key] if one else np.nan for one in images])
    return np.log(found + FLOOR) if logarithmic(of) else found


def alike(of: Measure) -> float:
    """The difference that passes for none."""
    return float(np.log1p(of.share)) if logarithmic(of) else of.alike


def logarithmic(of: Measure) -> bool:
    """Whether it is a noise in grey levels."""
    return of.unit == "grey levels"


def spread(some: Floats) -> float:
    """How much they vary, whatever the outliers do."""
    return SIGMA * float(np.median(np.abs(some - np.median(some))))
