"""How often each reference is drawn, where a list says so; else each as often as the next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .draws import below
from .errors import DegradeError

Cluster = int | str | None  # what a list calls the photographs that are degraded alike


@dataclass(frozen=True)
class Shares:
    """What a list says of each reference: weight, at least 0, and cluster. Raises DegradeError where no weight is above
    0."""

    weights: tuple[float, ...]
    clusters: tuple[Cluster, ...]

    def __post_init__(self) -> None:
        if not any(self.weights):
            fact = "No usable reference of the list has a weight above 0"
            raise DegradeError(fact, mend="give one of them another weight, or list others")

    def lines(self) -> Iterator[str]:
        """A line a reference, for a plan's page."""
        return (json.dumps(one) for one in zip(self.weights, self.clusters, strict=True))


class Choice:
    """Some of the references, to be drawn from by one 64-bit word. weights: of each of them; None: all alike."""

    def __init__(self, some: Sequence[int], weights: Sequence[float] | None = None) -> None:
        self._some = some
        self._ends = None if weights is None else np.cumsum(np.array(weights, np.float64))
        self._last = 0 if weights is None else max((at for at, one in enumerate(weights) if one), default=0)

    def pick(self, word: int) -> int:
        """One of them: index i where the word, as a share of all weights, is within i's."""
        if self._ends is None:
            return self._some[below(word, len(self._some))]
        share = (word >> 11) * 2.0**-53 * self._ends[-1]
        return self._some[min(self._last, int(np.searchsorted(self._ends, share, side="right")))]
