"""Photographs that were decoded lately, so that the pairs cut from one decode it once.

What a batch needs is drawn from anywhere, so it pays where the photographs are few or large: bounded by bytes, the one
that was longest unused goes first. The pixels are the same with and without.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
MOST_BYTES = 256 * 2**20


class Decoded:
    """For any number of threads. hits, misses: how often pixels were there, and were not."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._bytes, self._lock = most_bytes, 0, threading.Lock()
        self._kept: OrderedDict[Hashable, Future[Pixels]] = OrderedDict()
        self.hits = self.misses = 0

    def read(self, key: Hashable, decode: Callable[[], Pixels]) -> Pixels:
        """The pixels of `key`, not to be written to. Of threads that ask for one at the same time, one decodes. Raises
        what `decode` raises, which is not kept.
        """
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
                self.hits += 1
            else:
                mine = self._kept[key] = Future()
                self.misses += 1
        if known is not None:
            return known.result()
        try:
            pixels = decode()
        except BaseException as error:
            with self._lock:
                del self._kept[key]
            mine.set_exception(error)
            raise
        pixels.flags.writeable = False
        mine.set_result(pixels)
        self._make_room(pixels.nbytes)
        return pixels

    def _make_room(self, more: int) -> None:
        with self._lock:
            self._bytes += more
            while self._bytes > self._most:  # what is counted is decoded, so there is one to go
                oldest = next(key for key, one in self._kept.items() if one.done())
                self._bytes -= self._kept.pop(oldest).result().nbytes
