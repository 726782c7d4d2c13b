"""Which images a place holds, and which of them can be used: from names and headers, nothing is decoded.

The inventory depends on what lies in the place and on nothing else: not on the order in which the system lists it, not
on the locale, not on where or what the place is. Paths are relative, with "/", sorted by their bytes.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import places
from .artefact import sha256_bytes
from .images import PIXEL_LIMIT, BadImage, read_size
from .places import Place


@dataclass(frozen=True)
class Entry:
    """One image that can be used. height and width are in pixels, after EXIF rotation."""

    path: str
    bytes: int
    height: int
    width: int


@dataclass(frozen=True)
class LeftOut:
    """One input that cannot be used, and why.

    reason: a word of `images`, or "too_small", "duplicate", "bad_name"; detail: a sentence.
    """

    path: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Inventory:
    """The images of a place: the usable ones and the others, both sorted by path."""

    place: Place
    entries: tuple[Entry, ...]
    rejects: tuple[LeftOut, ...]


def scan(
    where: str | Path | Place,
    minimum: tuple[int, int] = (1, 1),
    *,
    duplicates: Literal["reject", "keep"] = "reject",
    pixel_limit: int = PIXEL_LIMIT,
) -> Inventory:
    """All images of a place (`places.at`). minimum: (height, width) in pixels. duplicates: of files with equal bytes,
    under whatever name or link, only the first by path is used, unless "keep". Raises DegradeError where there is no
    such place.
    """
    place = places.at(where)
    entries: list[Entry] = []
    rejects: list[LeftOut] = []
    listing = place.files(lambda *said: rejects.append(LeftOut(_shown(said[0]), *said[1:])))
    for path in sorted(listing, key=os.fsencode):
        found = examine(place, path, minimum, pixel_limit=pixel_limit)
        if isinstance(found, Entry):
            entries.append(found)
        else:
            rejects.append(found)
    if duplicates == "reject":
        entries = _first_of_each(place, entries, rejects)
    return Inventory(place, tuple(entries), tuple(sorted(rejects, key=lambda one: one.path.encode())))


def examine(
    place: Place, path: str, minimum: tuple[int, int] = (1, 1), *, pixel_limit: int = PIXEL_LIMIT
) -> Entry | LeftOut:
    """The file `path` of a place by its header: an entry, or why it cannot be used."""
    try:
        path.encode()
    except UnicodeEncodeError:  # neither JSON nor another machine could name this file
        return LeftOut(_shown(path), "bad_name", "the name is not UTF-8; rename it")
    try:
        size = place.probe(path, 0).bytes
        height, width = read_size(place.image(path), pixel_limit=pixel_limit)
    except BadImage as bad:
        return LeftOut(path, bad.reason, str(bad))
    if height < minimum[0] or width < minimum[1]:
        detail = f"{width} x {height} pixels, and at least {minimum[1]} x {minimum[0]} are needed"
        return LeftOut(path, "too_small", detail)
    return Entry(path, size, height, width)


def _first_of_each(place: Place, entries: list[Entry], rejects: list[LeftOut]) -> list[Entry]:
    """Leaves out later files whose bytes are those of an earlier one; only equal sizes are read to know."""
    alike: defaultdict[tuple[int, int, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        alike[entry.bytes, entry.height, entry.width].append(entry)
    kept: list[Entry] = []
    first: dict[str, str] = {}  # hash to path
    for entry in entries:
        if len(alike[entry.bytes, entry.height, entry.width]) > 1:
            try:
                digest = sha256_bytes(place.read(entry.path))
            except BadImage as bad:
                rejects.append(LeftOut(entry.path, bad.reason, str(bad)))
                continue
            if digest in first:
                rejects.append(LeftOut(entry.path, "duplicate", f"the same bytes as {first[digest]}"))
                continue
            first[digest] = entry.path
        kept.append(entry)
    return kept


def _shown(path: str) -> str:
    """A path that JSON can hold: bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
