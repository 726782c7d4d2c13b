"""Whether a file is damaged, or this machine could not decode it.

A decoder that gets no memory fails as one that meets damage does, and not every one says which; what libvips says is
one text for all threads. So what failed is done once more while no other image is decoded, and it is the file's fault
only where memory for an image of its size was there before and after; and for several times as much, if the decoder
says that it was memory that it lacked (a damaged header can ask for any amount). Else it is the machine's.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from ..errors import BadImage
from ..faults import Patience, out_of_memory

T = TypeVar("T")
SUSPECT = ("truncated", "corrupt")  # reasons that rest on a decoder's word
LEAST_ROOM = 2**26  # bytes
ROOM_A_BYTE = 8  # bytes of memory for a byte of pixels: a guess, above what the decoders here were seen to take
MORE_ROOM = 4  # times as much


def proven(name: str, decode: Callable[[], T], stored: Callable[[], int]) -> T:
    """What `decode` makes of a file's bytes. Raises its BadImage where the bytes are to blame, else MachineFault. name:
    the file's; stored: bytes of its pixels and of itself, by its header.
    """
    try:
        with _GATE.shared():
            return decode()
    except BadImage as bad:
        if bad.reason not in SUSPECT:
            raise
    except MemoryError:
        pass
    return Patience().ask(name, lambda: _alone(decode, stored))


def blamed(error: Exception) -> None:
    """Raises `error`, which a decoder gave, unless this thread decodes alone and has memory: then it is true."""
    if not _GATE.is_alone() or not _has_room(LEAST_ROOM):
        raise error


def _alone(decode: Callable[[], T], stored: Callable[[], int]) -> T:
    """Raises BadImage where the bytes are to blame; MemoryError, OSError."""
    with _GATE.alone():
        need = LEAST_ROOM + ROOM_A_BYTE * stored()
        before = _has_room(need)
        try:
            return decode()
        except BadImage as bad:
            said = bad.__cause__
            if said is not None and "thread" in str(said):  # no file can do that
                raise OSError(errno.EAGAIN, "no thread could be started") from said
            generous = need * MORE_ROOM if said is not None and out_of_memory(said) else need
            if bad.reason in SUSPECT and not (before and _has_room(generous)):
                raise MemoryError from said
            raise


def _has_room(count: int) -> bool:
    """Whether so many bytes can be had now."""
    try:
        np.empty(count, np.uint8)
    except (MemoryError, ValueError):  # ValueError: more than any machine has
        return False
    return True


class _Gate:
    """Many threads may decode at a time, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._decoding, self._waiting = 0, 0
        self._owner: int | None = None

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            while self._owner is not None or self._waiting:  # who waits to be alone goes first
                self._changed.wait()
            self._decoding += 1
        try:
            yield
        finally:
            with self._changed:
                self._decoding -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            try:
                while self._owner is not None or self._decoding:
                    self._changed.wait()
                self._owner = threading.get_ident()
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._owner = None
                self._changed.notify_all()

    def is_alone(self) -> bool:
        return self._owner == threading.get_ident()


_GATE = _Gate()
