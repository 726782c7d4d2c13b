"""Whose picture an LR shows, among all HR of a set: each is known by its trace, 316 bytes of its coarsest structure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .likeness import TRACE_UNIT

BLOCK = 4096  # traces that are held against others at a time
LEAST, MARGIN = 7.0, 4.0  # of a score beyond the best of chance, and beyond the own HR's
CHANCE = 1.5  # standard deviation of the scores of foreign pictures, whose best grows with their number


class Owners:
    """The traces of HR, by name."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._traces = bytearray()

    def add(self, name: str, trace: bytes) -> None:
        """The next HR. All traces have one length."""
        self._names.append(name)
        self._traces += trace

    def find(self, doubted: Sequence[tuple[str, bytes]]) -> list[str]:
        """For (name, trace) of each LR whose HR was added: the name of the HR whose picture it is, "" where that is its
        own, or none that can be told."""
        if not doubted or len(self._names) < 2:
            return [""] * len(doubted)
        numbers = {name: n for n, name in enumerate(self._names)}
        traces = np.frombuffer(self._traces, np.int8).reshape(len(self._names), -1)
        unit = TRACE_UNIT**2 / math.sqrt(traces.shape[1])
        least = LEAST + CHANCE * math.sqrt(2 * math.log(len(self._names)))
        found = []
        for at in range(0, len(doubted), BLOCK):
            some = doubted[at : at + BLOCK]
            lows = np.stack([np.frombuffer(trace, np.int8) for _, trace in some]).astype(np.float32)
            best, where, own = _best(lows, traces, np.array([numbers[name] for name, _ in some]))
            surely = (best > least * unit) & (best > own + MARGIN * unit)
            found += [self._names[there] if sure else "" for there, sure in zip(where, surely, strict=True)]
        return found


def _best(
    lows: NDArray[np.float32], traces: NDArray[np.int8], own: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32]]:
    """(the largest product with a trace that is not its own, that one's number, the product with its own) of each."""
    rows = np.arange(len(lows))
    best, where = np.full(len(lows), -np.inf, np.float32), np.full(len(lows), -1)
    theirs = np.zeros(len(lows), np.float32)
    for at in range(0, len(traces), BLOCK):
        scores = lows @ traces[at : at + BLOCK].astype(np.float32).T
        here = (own >= at) & (own < at + BLOCK)
        theirs[here] = scores[here, own[here] - at]
        scores[here, own[here] - at] = -np.inf
        most = scores.argmax(axis=1)
        better = scores[rows, most] > best
        best[better], where[better] = scores[rows, most][better], most[better] + at
    return best, where, theirs
