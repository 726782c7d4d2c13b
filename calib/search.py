"""The smallest set of FP32 islands. Pure logic: what a set costs is asked of a function.

    rank      each layer by its own error: it alone in FP16, everything else FP32
    forward   the shortest beginning of that ranking that meets the bound, found by bisection. Rounding errors of
              different layers add up about in quadrature, so the largest are what to remove
    backward  each island in FP16 again, the least one first; what is not needed goes; until a whole round removes none

"Smallest" is what the last round proves: the bound holds, and with any one island less it does not. Another set with
fewer members may exist; to exclude that, every smaller set would have to be run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Smallest:
    """islands: each with the error without it, in the order in which they were chosen; own: error of each layer alone
    in FP16, empty where no ranking was needed."""

    islands: dict[str, float]
    own: dict[str, float]


def smallest(
    error: Callable[[Collection[str]], float],
    layers: Sequence[str],
    bound: float,
    *,
    forced: Collection[str] = (),
    first: Collection[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Smallest:
    """The islands among `layers` that keep the error below the bound.

    error(islands): with these layers FP32 and the other ones FP16; infinite where a value is no number. It is 0 with
    all of them. It is asked for some sets again, so it had better remember. forced: are islands whatever the error;
    first: are islands to begin with, and stay if they are needed.
    """
    chosen = [*forced, *(layer for layer in first if layer not in forced)]
    own: dict[str, float] = {}
    if not error(chosen) < bound:
        rest = [layer for layer in layers if layer not in chosen]
        for i, layer in enumerate(rest):
            own[layer] = error(set(layers) - {layer})
            say(f"{i + 1} of {len(rest)}: {layer} alone in FP16, {own[layer]:.3g} grey levels")
        ranked = sorted(rest, key=own.__getitem__, reverse=True)
        fails, meets = 0, len(ranked)
        while meets - fails > 1:
            middle = (fails + meets) // 2
            if error(chosen + ranked[:middle]) < bound:
                meets = middle
            else:
                fails = middle
        chosen += ranked[:meets]
        say(f"the {meets} largest of them meet the bound")
    while True:
        before = len(chosen)
        for layer in [layer for layer in reversed(chosen) if layer not in forced]:
            less = [other for other in chosen if other != layer]
            if error(less) < bound:
                chosen = less
                say(f"{layer} is not needed")
        if len(chosen) == before:
            break
    without = {layer: error(set(chosen) - {layer}) for layer in chosen}
    return Smallest(without, own)


def finite_or_none(value: float) -> float | None:
    """For strict JSON, which has no infinity."""
    return value if math.isfinite(value) else None
