"""Decoded photographs: each once while it is kept, bounded by bytes, whatever the threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from degrade_engine.engine.inputs.decoded import Decoded


def photograph(n: int) -> np.ndarray:
    return np.full((10, 10, 3), n, np.uint8)  # 300 bytes


def test_the_one_longest_unused_goes_first():
    kept, decoded = Decoded(most_bytes=700), []

    def read(n: int) -> int:
        return int(kept.read(n, lambda: decoded.append(n) or photograph(n))[0, 0, 0])

    assert [read(n) for n in (1, 2, 1, 3, 1, 2, 3)] == [1, 2, 1, 3, 1, 2, 3]
    assert decoded == [1, 2, 3, 2, 3]  # 3 drove 2 out, which drove 3 out
    assert (kept.hits, kept.misses) == (2, 5)


def test_threads_that_ask_at_once_decode_once_and_a_failure_is_not_kept():
    kept, barrier, calls = Decoded(), threading.Barrier(8), []

    def ask(_: int) -> np.ndarray:
        barrier.wait()
        return kept.read("a", lambda: calls.append(1) or photograph(7))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert len(calls) == 1 and all(one is found[0] for one in found)
    with pytest.raises(ValueError):
        found[0][0] = 0  # it is everybody's
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            kept.read("b", lambda: (_ for _ in ()).throw(OSError("gone")))
    assert kept.read("b", lambda: photograph(1)).max() == 1


def test_more_than_fits_is_given_and_not_kept():
    kept = Decoded(most_bytes=100)
    assert kept.read("a", lambda: photograph(1)).max() == kept.read("a", lambda: photograph(2)).max() - 1
