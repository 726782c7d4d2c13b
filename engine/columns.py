"""Long sequences that are cheap to hold: a plan has a million pairs, and a tuple of a million numbers is 40 MB."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Column(Sequence[int]):
    """Whole numbers in a numpy array, which is `values`; numbers and slices come out as a tuple's would."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[int, ...]: ...
    def __getitem__(self, at: int | slice) -> int | tuple[int, ...]:
        if isinstance(at, slice):
            return tuple(self.values[at].tolist())
        return int(self.values[at])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and np.array_equal(self.values, np.array(other))

    __hash__ = None  # type: ignore[assignment]


class Cut(Sequence[T]):
    """A sequence in pieces of `length`, the last one perhaps shorter. A piece is a slice, made when it is asked for."""

    def __init__(self, whole: Sequence[Any], length: int) -> None:
        self._whole, self._length = whole, length

    def __len__(self) -> int:
        return -(-len(self._whole) // self._length)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...
    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(len(self))[at])
        first = range(len(self))[at] * self._length
        return cast(T, self._whole[first : first + self._length])


class Joined(Sequence[T]):
    """Several sequences, one after another."""

    def __init__(self, parts: Sequence[Sequence[T]]) -> None:
        self._parts = parts
        self._firsts = [0, *accumulate(map(len, parts))]

    def __len__(self) -> int:
        return self._firsts[-1]

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...
    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(len(self))[at])
        place = range(len(self))[at]
        part = bisect_right(self._firsts, place) - 1
        return self._parts[part][place - self._firsts[part]]
