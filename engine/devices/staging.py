"""What goes between the host and a GPU that computes at the same time: a part of CudaDevice.

Two sets of memory are used in turns, one a batch. A set is pinned memory of the host, which the GPU copies from and to
by itself, and as much of the device's:

    upload    values -> pinned         now, by the host
              pinned -> the set's      in a stream of its own
              the set's -> buffer      in the stream of the kernels, which waits for the copy before
    fetch     buffers -> the set's     in the stream of the kernels
              the set's -> pinned      in a stream of its own, which waits for the kernels
              pinned -> values         when they are asked for: the host waits for the copy, and for nothing else

So the uploads of a batch run while the kernels of the batch before do, and its results come back while those of the
batch after do. Each direction has its stream: in one, the uploads of a batch would stand behind the results of the
batch before, which stand behind its kernels. The buffers of the kernels are touched in the stream of the kernels alone.

A fetch ends the turn of its set. When its copy has ended, so has all that used the set; that is waited for before the
set is used again, and results that nobody has asked for by then are put aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 256  # of a place in a set, in bytes
LEAST = 1 << 20  # bytes of a set
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream, nor it for this one
NO_TIME, SLEEPS = 2, 1  # CU_EVENT_DISABLE_TIMING; CU_EVENT_BLOCKING_SYNC: a host that waits leaves its core to others

Array = NDArray[Any]
Current = Callable[[str], AbstractContextManager[None]]


class Fetched:
    """Values on their way to the host. Called, it gives them, and waits where they are not there yet."""

    def __init__(self, current: Current, used: Set, values: Sequence[Array]) -> None:
        self._current, self._set, self._values = current, used, values
        self._found: tuple[Array, ...] | None = None

    def __call__(self) -> tuple[Array, ...]:
        if self._found is None:
            with self._current("when results were read back"):
                return self.put_aside()
        return self._found

    def put_aside(self) -> tuple[Array, ...]:
        """The same, where the context is current."""
        if self._found is None:
            self._set.ended.synchronize()
            self._found = tuple(value.copy() for value in self._values)
            self._values = ()
        return self._found


class Set:
    """Pinned memory and as much of the device's, given out from the front. ended: when its last fetch has."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self.ended: Any = cuda.Event(NO_TIME | SLEEPS)
        self.fetched: Fetched | None = None  # what was fetched when it was used last
        self._pinned: Any = np.empty(0, np.uint8)
        self._memory: Any = None
        self._used = 0

    def has(self, nbytes: int) -> bool:
        """Whether there is room for so many more."""
        return self._used + nbytes <= len(self._pinned)

    def take(self, nbytes: int) -> tuple[Array, int]:
        """So many bytes of the host, and the address of as many of the device."""
        first, self._used = self._used, self._used + room(nbytes)
        return self._pinned[first : first + nbytes], int(self._memory) + first

    def begin(self) -> None:
        """Nothing of it is in use any more."""
        self._used = 0

    def grow(self, nbytes: int) -> None:
        """Room for so many more, twice what there was at least. Nothing of it is in use."""
        size = max(2 * len(self._pinned), self._used + nbytes, LEAST)
        self.free()
        self._pinned = self._cuda.pagelocked_empty(size, np.uint8)
        self._memory = self._cuda.mem_alloc(size)
        self.begin()

    def free(self) -> None:
        """Gives the memory back."""
        if self._memory is not None:
            self._pinned.base.free()
            self._memory.free()
        self._pinned, self._memory = np.empty(0, np.uint8), None


class Staging:
    """Both sets and both streams. cuda: as CudaDevice has it; kernels: its stream; current: of that device. The context
    is current whenever a method is called."""

    def __init__(self, cuda: Any, kernels: Any, current: Current) -> None:
        self._cuda, self._current = cuda, current
        self._kernels: Any = kernels
        self._in: Any = cuda.Stream(NON_BLOCKING)
        self._out: Any = cuda.Stream(NON_BLOCKING)
        self._uploaded, self._made = cuda.Event(NO_TIME), cuda.Event(NO_TIME)
        self._sets = (Set(cuda), Set(cuda))

    def upload(self, address: int, values: Array) -> None:
        """Host values into device memory, in order with the kernels. The values may change afterwards."""
        pinned, place = self._room(values.nbytes).take(values.nbytes)
        pinned.view(values.dtype).reshape(values.shape)[...] = values
        self._cuda.memcpy_htod_async(place, pinned, self._in)
        self._uploaded.record(self._in)
        self._kernels.wait_for_event(self._uploaded)
        self._cuda.memcpy_dtod_async(address, place, values.nbytes, self._kernels)

    def fetch(self, buffers: Sequence[Any]) -> Fetched:
        """The buffers as they are after all that was launched so far; ends the turn of a set."""
        nbytes, at, values = sum(room(buffer.nbytes) for buffer in buffers), 0, []
        used = self._room(nbytes)
        whole, place = used.take(nbytes)
        for buffer in buffers:
            if buffer.nbytes:
                self._cuda.memcpy_dtod_async(place + at, buffer.address, buffer.nbytes, self._kernels)
            values.append(whole[at : at + buffer.nbytes].view(buffer.dtype).reshape(buffer.shape))
            at += room(buffer.nbytes)
        self._made.record(self._kernels)
        self._out.wait_for_event(self._made)
        if at:
            self._cuda.memcpy_dtoh_async(whole, place, self._out)
        used.ended.record(self._out)
        used.fetched = Fetched(self._current, used, values)
        self._sets = self._sets[::-1]
        return used.fetched

    def synchronize(self) -> None:
        """Waits for both streams."""
        self._in.synchronize()
        self._out.synchronize()

    def free(self) -> None:
        """Gives everything back; nothing is under way."""
        for one in self._sets:
            if one.fetched is not None:
                one.fetched.put_aside()
            one.free()
            one.ended = None  # like the rest, it goes back while the context is current
        self._kernels = self._in = self._out = self._uploaded = self._made = None

    def _room(self, nbytes: int) -> Set:
        """The set whose turn it is, with room for so many bytes."""
        now = self._sets[0]
        if now.fetched is not None:
            now.fetched.put_aside()
            now.fetched = None
            now.begin()
        if not now.has(nbytes):
            self._kernels.synchronize()  # after which the uploads have ended, too
            now.grow(nbytes)
        return now


def room(nbytes: int) -> int:
    """What they take in a set."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
