"""Many names in little memory: a sorted or listed array of bytes, where a set of a million stems takes 100 MB."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Names = NDArray[np.bytes_]
_LONGEST = 64  # bytes; longer ones are cut, since one stray long name would make all of them as long
_AT_A_TIME = 4096


def packed(names: Iterable[str]) -> Names:
    """The names in their order, each cut to 64 bytes, which is far more than a pair's name has."""
    parts, rest = [np.zeros(0, "S1")], iter(names)
    while some := [os.fsencode(name)[:_LONGEST] for name in islice(rest, _AT_A_TIME)]:
        parts.append(np.array(some, "S"))
    return np.concatenate(parts)


def first_twice(names: Names) -> str | None:
    """The first name, by letters, that comes twice."""
    ordered = np.sort(names)
    twice = ordered[:-1][ordered[1:] == ordered[:-1]]
    return shown(twice[0]) if len(twice) else None


def missing(names: Names, there: Names) -> list[str]:
    """Those of `names` that are not among `there`, sorted."""
    return [shown(name) for name in np.setdiff1d(names, there)]


def shown(name: bytes) -> str:
    """A packed name as text."""
    return bytes(name).decode("utf-8", "backslashreplace")
