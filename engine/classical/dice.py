"""Random choices of the classical degradations. Sample `index` of a stream never depends on the samples before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DegradeError


def throw(seed: int, index: int) -> np.random.Generator:
    """The dice of sample `index` of the stream `seed`, both 0 .. 2^64 - 1."""
    if not (0 <= seed < 2**64 and 0 <= index < 2**64):
        raise DegradeError(f"The seed and index of a degradation are {seed} and {index}", wanted="0 to 2^64 - 1")
    return np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))


def uniform(dice: np.random.Generator, low: float, high: float) -> float:
    """Uniform over low..high."""
    return float(low + (high - low) * dice.random())


def chance(dice: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(dice.random() < probability)


def pick(dice: np.random.Generator, shares: Sequence[float]) -> int:
    """An index, each with its share; the shares sum to 1."""
    below = int(np.searchsorted(np.cumsum(shares), dice.random(), side="right"))
    return min(below, len(shares) - 1)  # rounding may leave the shares' sum a hair under 1
