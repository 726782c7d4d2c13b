"""Which images a place holds, and which of them can be used: from names and headers, nothing is decoded.

The inventory depends on what lies in the place and on nothing else: not on the order in which the system lists it, not
on the locale, not on where or what the place is. Paths are relative, with "/", sorted by their bytes.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar

import numpy as np

from ..artefact import sha256_bytes
from ..errors import DegradeError
from ..images import PIXEL_LIMIT, BadImage, Encoded, kind_of, read_size
from . import headers, places
from .folders import Place, Probe, base
from .photographs import Entry, Photographs, Reject
from .places import Where

Identity = Literal["size", "mtime", "sha256"]  # what tells a changed file: its size alone, or more
IDENTITIES = ("size", "mtime", "sha256")
HEAD, LONG_HEAD = 1 << 14, 1 << 17  # bytes: an ordinary header; one with a thumbnail and a profile
BYTES_A_PIXEL = 32  # four channels of 64 bits: a longer file is no image within the limit, and is not fetched
_CHUNK = 256  # files that a thread looks at in a go

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Inventory:
    """The images of a place: the usable ones and the others, both sorted by path."""

    place: Place
    entries: Photographs
    rejects: tuple[Reject, ...]


def scan(
    where: Where,
    minimum: tuple[int, int] = (1, 1),
    *,
    role: str = "hr",
    duplicates: Literal["reject", "keep"] = "reject",
    pixel_limit: int = PIXEL_LIMIT,
    identity: Identity = "size",
    on_files: Callable[[int], None] | None = None,
) -> Inventory:
    """All images of a place (`places.at`). minimum: (height, width) in pixels. role: of the rejects. duplicates: of
    files with equal bytes, under whatever name or link, only the first by path is used, unless "keep". on_files is told
    now and then how many files were looked at. Raises DegradeError where there is no such place, MachineFault where
    what lies in it cannot be read: nothing is left out for that.
    """
    place = places.at(where)
    rejects: list[Reject] = []
    marks, links, ordered, last = array("L"), array("Q"), True, b""

    def look(path: str) -> tuple[Entry, Probe] | Reject:
        return _look(place, path, minimum, role, pixel_limit, identity)

    def usable() -> Iterator[Entry]:
        nonlocal ordered, last
        files = place.files(lambda path, reason, detail: rejects.append(Reject(role, _shown(path), reason, detail)))
        for count, found in enumerate(_threaded(look, files, place.workers), 1):
            if on_files and count % _CHUNK == 0:
                on_files(count)
            if isinstance(found, Reject):
                rejects.append(found)
                continue
            entry, probe = found
            name = entry.path.encode()
            ordered, last = ordered and last < name, name
            marks.append(zlib.crc32(probe.head))
            links.extend(probe.link or (0, 0))
            yield entry

    entries = Photographs(usable())
    head, link = np.array(marks, np.int64), np.array(links, np.uint64).reshape(-1, 2)
    if not ordered:
        order = np.array(sorted(range(len(entries)), key=lambda at: entries.path(at).encode()), np.int64)
        entries, head, link = entries.take(order), head[order], link[order]
    if duplicates == "reject":
        entries = _first_of_each(place, entries, head, link, role, rejects)
    return Inventory(place, entries, tuple(sorted(rejects, key=lambda one: one.path.encode())))


def examine(
    place: Place,
    paths: Iterable[str],
    minimum: tuple[int, int] = (1, 1),
    *,
    role: str = "hr",
    pixel_limit: int = PIXEL_LIMIT,
    identity: Identity = "size",
) -> Iterator[Entry | Reject]:
    """Each of these files of a place by its header: an entry, or why it cannot be used."""
    for found in _threaded(lambda path: _look(place, path, minimum, role, pixel_limit, identity), paths, place.workers):
        yield found if isinstance(found, Reject) else found[0]


def _look(
    place: Place, path: str, minimum: tuple[int, int], role: str, pixel_limit: int, identity: Identity
) -> tuple[Entry, Probe] | Reject:
    try:
        path.encode()
    except UnicodeEncodeError:  # neither JSON nor another machine could name this file
        return Reject(role, _shown(path), "bad_name", "the name is not UTF-8; rename it")
    try:
        probe = place.probe(path, HEAD)
        if probe.bytes > BYTES_A_PIXEL * pixel_limit:
            said = f"{base(path)} has {probe.bytes} bytes, more than {pixel_limit} pixels can take"
            raise BadImage("too_large", said)
        height, width = _size(place, path, probe, pixel_limit)
        digest = sha256_bytes(place.read(path)) if identity == "sha256" else None
    except BadImage as bad:
        return Reject(role, path, bad.reason, str(bad))
    if height < minimum[0] or width < minimum[1]:
        detail = f"{width} x {height} pixels, and at least {minimum[1]} x {minimum[0]} are needed"
        return Reject(role, path, "too_small", detail)
    if identity == "mtime" and probe.mtime_ns is None:
        raise DegradeError(f"{place.name} does not say when its files were written", wanted="--identity size or sha256")
    return Entry(path, probe.bytes, height, width, probe.mtime_ns if identity == "mtime" else None, digest), probe


def _size(place: Place, path: str, probe: Probe, pixel_limit: int) -> tuple[int, int]:
    """By the first bytes where they are plain, else by libvips."""
    head = probe.head
    size = headers.size_of(head)
    if size is None and head.startswith(b"\xff\xd8\xff") and probe.bytes > len(head):
        size = headers.size_of(place.probe(path, LONG_HEAD).head)
    if size is None or size[0] * size[1] > pixel_limit:
        name = base(path)
        kind_of(name, head)  # raises for what is not read, of which no more has to be fetched
        file = Encoded(name, head if len(head) == probe.bytes else place.read(path))
        return read_size(file, pixel_limit=pixel_limit)
    return size


def _first_of_each(
    place: Place, entries: Photographs, head: np.ndarray, link: np.ndarray, role: str, rejects: list[Reject]
) -> Photographs:
    """Leaves out later files whose bytes are those of an earlier one. Read to know are only files that agree in length
    and first bytes with another, and of several names of one file only the first.
    """
    length = entries.lengths
    order = np.lexsort((np.arange(len(entries)), head, length))  # equal ones side by side, in order of path
    same = (np.diff(length[order]) == 0) & (np.diff(head[order]) == 0)
    if not same.any():
        return entries
    alike = np.unique(np.concatenate([order[:-1][same], order[1:][same]]))
    name: dict[tuple[int, int], int] = {}  # link to the first entry that it is
    first_link = [name.setdefault(tuple(link[at].tolist()), at) if link[at, 1] else at for at in alike.tolist()]
    wanted = sorted(set(first_link))

    def digest(at: int) -> str | Reject:
        entry = entries[at]
        try:
            return entry.sha256 or sha256_bytes(place.read(entry.path))
        except BadImage as bad:
            return Reject(role, entry.path, bad.reason, str(bad))

    digests = dict(zip(wanted, _threaded(digest, iter(wanted), place.workers, chunk=16), strict=True))
    keep, first = np.ones(len(entries), bool), dict[str, int]()
    for at, linked in zip(alike.tolist(), first_link, strict=True):
        found = digests[linked]
        if isinstance(found, Reject):
            rejects.append(Reject(role, entries.path(at), found.reason, found.detail))
        elif found in first:
            rejects.append(
                Reject(role, entries.path(at), "duplicate", f"the same bytes as {entries.path(first[found])}")
            )
        else:
            first[found] = at
            continue
        keep[at] = False
    return entries.take(np.flatnonzero(keep))


def _threaded(work: Callable[[T], U], items: Iterable[T], workers: int, chunk: int = _CHUNK) -> Iterator[U]:
    """`map` in threads, in order, with a bounded number of items in hand."""
    items, ended = iter(items), False

    def all_of(piece: list[T]) -> list[U]:
        return [work(item) for item in piece if not ended]

    pool = ThreadPoolExecutor(workers, thread_name_prefix="scan")
    try:
        waiting: deque[Future[list[U]]] = deque()
        while True:
            piece = list(islice(items, chunk))
            if piece:
                waiting.append(pool.submit(all_of, piece))
            if not waiting:
                return
            if not piece or len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
    finally:  # a fault or Ctrl-C ends it at once: nobody waits for what the others would find
        ended = True
        pool.shutdown(wait=False, cancel_futures=True)


def _shown(path: str) -> str:
    """A path that JSON can hold: bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
