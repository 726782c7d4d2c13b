"""The images of an inventory in columns: a million of them take about a hundred megabytes less than as many objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray


class Entry(NamedTuple):
    """One image that can be used. height and width are in pixels, after EXIF rotation.

    mtime_ns, sha256 (hex): where the inventory was asked for them, what the file has to be when it is read.
    """

    path: str
    bytes: int
    height: int
    width: int
    mtime_ns: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Reject:
    """One input that was left out.

    role: "hr", "reference" or "pair"; reason: a word of `images`, or another ("too_small", "duplicate", "bad_name",
    "unusable_input", …); detail: a sentence.
    """

    role: str
    path: str  # relative to its folder; empty for a pair
    reason: str
    detail: str

    def to_json(self) -> dict[str, str]:
        return {"role": self.role, "path": self.path, "reason": self.reason, "detail": self.detail}


class Photographs(Sequence[Entry]):
    """Entries, none of which changes. Either all of them have an mtime_ns (or a sha256), or none."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        names, ends, facts, mtimes, digests = bytearray(), array("q"), array("q"), array("q"), bytearray()
        for entry in entries:
            names += entry.path.encode()
            ends.append(len(names))
            facts.extend((entry.bytes, entry.height, entry.width))
            if entry.mtime_ns is not None:
                mtimes.append(entry.mtime_ns)
            if entry.sha256 is not None:
                digests += bytes.fromhex(entry.sha256)
        self._names, self._digests = bytes(names), bytes(digests)
        self._ends: NDArray[np.int64] = np.array(ends, np.int64)
        self._facts: NDArray[np.int64] = np.array(facts, np.int64).reshape(-1, 3)  # bytes, height, width
        self._mtimes: NDArray[np.int64] = np.array(mtimes, np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Entry]: ...
    def __getitem__(self, at: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(at, slice):
            return tuple(self._entry(one) for one in range(*at.indices(len(self))))
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        return self._entry(place)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Photographs):
            return NotImplemented
        same = (np.array_equal(getattr(self, name), getattr(other, name)) for name in ("_ends", "_facts", "_mtimes"))
        return (self._names, self._digests) == (other._names, other._digests) and all(same)

    def __repr__(self) -> str:
        return f"<{len(self)} photographs>"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each file."""
        return self._facts[:, 0]

    def path(self, at: int) -> str:
        """The path of one of them."""
        return self._names[self._ends[at - 1] if at else 0 : self._ends[at]].decode()

    def take(self, which: Sequence[int] | NDArray[np.int64]) -> Photographs:
        """Some of them, in this order."""
        taken, index = Photographs(), np.asarray(which, np.int64)
        starts, ends = (edges[index].tolist() for edges in (np.concatenate([[0], self._ends[:-1]]), self._ends))
        taken._names = b"".join(self._names[start:end] for start, end in zip(starts, ends, strict=True))
        taken._ends = np.cumsum(np.subtract(ends, starts), dtype=np.int64)
        taken._facts = self._facts[index]
        taken._mtimes = self._mtimes[index] if len(self._mtimes) else self._mtimes
        if self._digests:
            taken._digests = np.frombuffer(self._digests, np.uint8).reshape(-1, 32)[index].tobytes()
        return taken

    def _entry(self, at: int) -> Entry:
        size, height, width = self._facts[at].tolist()
        mtime = int(self._mtimes[at]) if len(self._mtimes) else None
        sha256 = self._digests[32 * at : 32 * at + 32].hex() if self._digests else None
        return Entry(self.path(at), size, height, width, mtime, sha256)
