"""What is drawn for a pair: photographs, crops, the seed of a classical start image.

Every draw is a counter-based Philox draw keyed by the seed, with the pair and the attempt in its counter, so pair i is
the same whatever the batch, the shard, the number of pairs, the folder's place on the disk or the order in which a file
system lists it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

IMAGES, TAU, OTHERS, CROPS = 0, 1, 2, 3  # what a draw is for: the last word of its counter
SPARES = 8  # further crops of a reference, where its own is flat
_DOMAIN = 0x646567726164652D  # second word of the key ("degrade-"): no other user of the seed shares the stream

Crop = tuple[int, int, int, int]  # top, left, height, width in pixels


class Photograph(Protocol):
    """One usable image of an inventory: path relative to its place, file size, size after EXIF rotation; mtime_ns and
    sha256 where the file has to agree with them when it is read. Those two are not part of the plan."""

    @property
    def path(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def mtime_ns(self) -> int | None: ...
    @property
    def sha256(self) -> str | None: ...


@dataclass(frozen=True)
class Draw:
    """The inputs of one attempt at one pair."""

    pair: int
    attempt: int
    hr: Photograph
    hr_crop: Crop
    reference: Photograph | None  # None: the run has no references
    reference_crop: Crop | None
    others: tuple[tuple[Photograph, Crop], ...]  # further references, where a recipe has several
    noise_seed: int  # of a classical start image's noise, 0..2^32-1 (a number that every JSON reader keeps)
    spares: tuple[tuple[Crop, ...], ...] = ()  # of each reference: crops to try where its own is flat
    cluster: int | str | None = None  # of the first reference, where a list says one
    passed_over: int = 0  # references whose own crop is flat, so that another is taken
    flat: int = 0  # references of which every crop that was tried is flat


class Words:
    """Uniform 64-bit words by seed, purpose, pair and attempt: Philox4x64-10, whose counter they are. One generator is
    moved from counter to counter, because making one takes longer than the draw."""

    def __init__(self, seed: int, purpose: int) -> None:
        self._purpose = purpose
        self._philox = np.random.Philox(key=np.array([seed, _DOMAIN], dtype=np.uint64))
        self._state: Any = self._philox.state

    def draw(self, pair: int, attempt: int, count: int) -> NDArray[np.uint64]:
        """The first `count` words of a pair's attempt."""
        self._state["state"]["counter"] = np.array([0, attempt, pair, self._purpose], dtype=np.uint64)
        self._philox.state = self._state
        return self._philox.random_raw(count)


def noise_seed(words: Sequence[int]) -> int:
    """Of a classical start image's noise, out of the words of a pair's attempt."""
    return words[6] >> 32


def first_noise_seed(seed: int, pair: int) -> int:
    """The same of a pair whose photographs were all usable."""
    return noise_seed(Words(seed, IMAGES).draw(pair, 0, 7).tolist())


def taus(seed: int, tau: tuple[int, int], first: int, pairs: int) -> NDArray[np.int16]:
    """int16 [pairs]: tau of each pair from `first` on, out of a range of which both ends are included.

    Each is uniform, and every run of so many pairs as the range has values takes each value once, in an order drawn for
    that run: so a plan's batches fill evenly whatever its seed, and pair i does not depend on how many pairs there are.
    """
    low, values = tau[0], tau[1] - tau[0] + 1
    if values == 1:
        return np.full(pairs, low, np.int16)
    words, runs = Words(seed, TAU), range(first // values, -(-(first + pairs) // values))
    drawn = np.empty((len(runs), values), np.int16)
    for run, order in zip(runs, drawn, strict=True):
        order[:] = low + np.argsort(words.draw(run, 0, values), kind="stable")
    skipped = first - runs.start * values
    return drawn.ravel()[skipped : skipped + pairs].copy()


def taus_of(seed: int, tau: tuple[int, int], pairs: Sequence[int]) -> list[int]:
    """The same of some pairs."""
    if isinstance(pairs, range) and pairs.step == 1:
        found: list[int] = taus(seed, tau, pairs.start, len(pairs)).tolist()
        return found
    return [int(taus(seed, tau, pair, 1)[0]) for pair in pairs]


def crop_of(photograph: Photograph, side: int, first: int, second: int, multiple: int) -> Crop:
    """A side x side crop: the top-left one where the size, cut to the multiple, is the side itself (mod-crop)."""

    def offset(length: int, word: int) -> int:
        return 0 if length // multiple == side // multiple else below(word, length - side + 1)

    return offset(photograph.height, first), offset(photograph.width, second), side, side


def crops_of(photograph: Photograph, side: int, words: Sequence[int]) -> tuple[Crop, ...]:
    """As many crops of a reference as there are pairs of words."""
    return tuple(crop_of(photograph, side, y, x, multiple=1) for y, x in zip(words[::2], words[1::2], strict=True))


def below(word: int, count: int) -> int:
    """A uniform 64-bit word as a uniform integer in 0..count-1 (multiply and shift; the bias is below count / 2^64)."""
    return (word * count) >> 64
