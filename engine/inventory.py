"""Which images a folder holds, and which of them can be used: from names and headers, nothing is decoded.

The inventory of a folder depends on what lies in it and on nothing else: not on the order in which the system
lists it, not on the locale, not on where the folder is. Paths are relative, with "/", sorted by their bytes.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .artefact import sha256_file
from .errors import DegradeError
from .images import EXTENSIONS, PIXEL_LIMIT, BadImage, read_size


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
    """The images under `root`: the usable ones and the others, both sorted by path."""

    root: Path
    entries: tuple[Entry, ...]
    rejects: tuple[LeftOut, ...]


def scan(
    root: Path,
    minimum: tuple[int, int] = (1, 1),
    *,
    duplicates: Literal["reject", "keep"] = "reject",
    pixel_limit: int = PIXEL_LIMIT,
) -> Inventory:
    """All files under `root`, however deep, with an image's ending (`images.EXTENSIONS`, in any case).

    Passed over without a word: other endings, and files and folders whose name begins with a dot. minimum:
    (height, width) in pixels. duplicates: of files with equal bytes, under whatever name or link, only the
    first by path is used, unless "keep". A link to a folder is followed, but never into a folder that was
    scanned already, so loops end. Raises DegradeError if `root` is not a folder that can be listed.
    """
    root = Path(root)
    if not root.is_dir():
        fact = f"{root} is not a folder" if root.exists() else f"The folder {root} is not there"
        raise DegradeError(fact, wanted="a folder of images")
    entries: list[Entry] = []
    rejects: list[LeftOut] = []
    for path in sorted(_walk(root, rejects), key=os.fsencode):
        found = examine(root, path, minimum, pixel_limit=pixel_limit)
        if isinstance(found, Entry):
            entries.append(found)
        else:
            rejects.append(found)
    if duplicates == "reject":
        entries = _first_of_each(root, entries, rejects)
    return Inventory(root, tuple(entries), tuple(sorted(rejects, key=lambda one: one.path.encode())))


def examine(
    root: Path, path: str, minimum: tuple[int, int] = (1, 1), *, pixel_limit: int = PIXEL_LIMIT
) -> Entry | LeftOut:
    """The file `path` (relative to `root`, with "/") by its header: an entry, or why it cannot be used."""
    try:
        path.encode()
    except UnicodeEncodeError:  # neither JSON nor another machine could name this file
        return LeftOut(_shown(path), "bad_name", "the name is not UTF-8; rename it")
    try:
        size = _regular_size(root / path)
        height, width = read_size(root / path, pixel_limit=pixel_limit)
    except BadImage as bad:
        return LeftOut(path, bad.reason, str(bad))
    if height < minimum[0] or width < minimum[1]:
        detail = f"{width} x {height} pixels, and at least {minimum[1]} x {minimum[0]} are needed"
        return LeftOut(path, "too_small", detail)
    return Entry(path, size, height, width)


def _regular_size(path: Path) -> int:
    try:
        found = path.stat()
    except OSError as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        raise BadImage(reason, f"{path.name} cannot be read ({error.strerror or error})") from None
    if not stat.S_ISREG(found.st_mode):  # a pipe would wait for its writer for ever
        raise BadImage("unreadable", f"{path.name} is not a regular file")
    return found.st_size


def _walk(root: Path, rejects: list[LeftOut]) -> Iterator[str]:
    """Relative paths of files with an image's ending. Real folders first, then links to others, by path."""
    seen: set[tuple[int, int]] = set()
    links: list[str] = []
    waiting = [""]
    while waiting or links:
        if not waiting:
            links.sort(key=os.fsencode, reverse=True)
            waiting.append(links.pop())
        folder = waiting.pop()
        try:
            found = os.stat(root / folder)
            if (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            with os.scandir(root / folder) as listing:
                inside = list(listing)
        except OSError as error:
            if not folder:
                raise DegradeError(f"The folder {root} cannot be listed ({error.strerror})") from error
            detail = f"the folder cannot be listed ({error.strerror or error})"
            rejects.append(LeftOut(_shown(folder), "unreadable", detail))
            continue
        for one in inside:
            path = f"{folder}/{one.name}" if folder else one.name
            if one.name.startswith("."):
                continue
            if one.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif one.is_symlink() and os.path.isdir(one.path):
                links.append(path)
            elif one.name.lower().endswith(EXTENSIONS):
                yield path


def _first_of_each(root: Path, entries: list[Entry], rejects: list[LeftOut]) -> list[Entry]:
    """Leaves out later files whose bytes are those of an earlier one; only equal sizes are read to know."""
    alike: defaultdict[tuple[int, int, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        alike[entry.bytes, entry.height, entry.width].append(entry)
    kept: list[Entry] = []
    first: dict[str, str] = {}  # hash to path
    for entry in entries:
        if len(alike[entry.bytes, entry.height, entry.width]) > 1:
            try:
                digest = sha256_file(root / entry.path)
            except OSError as error:
                detail = f"the file cannot be read ({error.strerror or error})"
                rejects.append(LeftOut(entry.path, "unreadable", detail))
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
