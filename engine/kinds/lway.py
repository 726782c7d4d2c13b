"""LWay: an LR image in two calls, without steps.

degradation     image -> f_deg               E of the reference, which the paper calls e
reconstruction  content, f_deg -> image      R; content is what RealDGen's E_cont sees, the HR brought to LR size
"""

from __future__ import annotations

from ..recipe import Recipe
from ..sampling.feedforward import FeedForward
from .kind import ModelKind

_RECOMMENDED = Recipe((0, 0), None, "even", "ddpm", 0.0, "reconstruction", candidates=1, filter=False, noise=1.0)
"""All that LWay has: its own reconstruction. The paper makes no pairs; this is its one setting. The noise is ours: of
0 to 3, what makes LR most like the camera's on the scenes for choosing (docs/worth.md). `fast` has as much as
RealDGen's: its LR are noisier than the camera's, and worth more."""

KIND = ModelKind(
    name="lway",
    parts={"degradation": "reference", "reconstruction": "pair"},
    starts=("reconstruction",),
    recipes={"recommended": _RECOMMENDED, "fast": _RECOMMENDED.but(noise=2.0)},
    sampler=FeedForward,
)
