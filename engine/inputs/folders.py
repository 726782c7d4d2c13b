"""What a place is where images lie, and the first kind of it: a folder of this machine, or what a glob keeps of it.

An image is named by its path relative to its place, with "/", and by nothing else: the same images have the same names
in a folder, in a glob or a list over that folder, in a zip and in a bucket, and so make the same pairs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import DegradeError
from ..faults import Patience, read_file
from .globs import matches
from .walk import Complain, Walk


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file says of itself without being decoded."""

    head: bytes  # its first bytes, as many as were asked for
    bytes: int
    mtime_ns: int | None  # since 1970; None where the place does not know
    link: tuple[int, int] | None  # device and inode of a file with several names


class Place(Protocol):
    """One place. Paths are relative to it. Every method may be called from several threads, and raises MachineFault for
    what cannot be read for longer than the place's `Patience`.
    """

    @property
    def name(self) -> str:
        """As the user gave it, for sentences."""

    @property
    def workers(self) -> int:
        """Threads that are worth reading it with at a time."""

    @property
    def remote(self) -> bool:
        """Whether a question costs a call over a network."""

    @property
    def patience(self) -> Patience:
        """With what cannot be read."""

    def files(self, complain: Complain) -> Iterator[str]:
        """Paths of what may be an image, each once, in any order (cheapest: sorted by bytes). Raises DegradeError."""

    def probe(self, path: str, count: int) -> Probe:
        """The file's facts and its first `count` bytes. Raises BadImage."""

    def read(self, path: str) -> bytes:
        """All of the file. Raises BadImage."""

    def local(self, path: str) -> Path | None:
        """The file itself, where it lies on this machine."""


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or what a glob keeps of it.

    Files with an image's ending (`images.ENDINGS`, in any case), however deep. Passed over without a word: other
    endings, and files and folders whose name begins with a dot. A link to a folder is followed, but never into a folder
    that was walked already, so loops end; real folders come first, then links by path. A link that leads nowhere is
    missing whatever its name: it may have led to a folder.
    """

    root: Path
    pattern: str | None = None  # relative to root
    patience: Patience = Patience()
    workers: int = 4
    remote: bool = False
    _prefix: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prefix", os.path.join(self.root, ""))

    @property
    def name(self) -> str:
        return str(self.root) if self.pattern is None else self._prefix + self.pattern

    def files(self, complain: Complain) -> Iterator[str]:
        there = self.patience.ask(str(self.root), lambda: is_folder(self.root))
        if not there:
            fact = f"The folder {self.root} is not there" if there is None else f"{self.root} is not a folder"
            raise DegradeError(
                fact, wanted="a folder of images, a quoted glob, a .txt or .jsonl list, an archive or a URL"
            )
        found = Walk(self._prefix, self.patience, self._is_there, complain)
        return (path for path in found if self.pattern is None or matches(path, self.pattern))

    def probe(self, path: str, count: int) -> Probe:
        head, found = self._first(path, count)
        link = (found.st_dev, found.st_ino) if found.st_nlink > 1 else None
        return Probe(head, found.st_size, found.st_mtime_ns, link)

    def read(self, path: str) -> bytes:
        return self._first(path, None)[0]

    def local(self, path: str) -> Path:
        return self.root / path

    def _first(self, path: str, count: int | None) -> tuple[bytes, os.stat_result]:
        full = os.path.join(self._prefix, path)
        return self.patience.ask(full, lambda: read_file(full, base(path), count), self._is_there)

    def _is_there(self) -> None:
        self.patience.ask(str(self.root), lambda: os.stat(self.root))


def base(path: str) -> str:
    """The last name of a path, for sentences."""
    return path.rsplit("/", 1)[-1]


def is_folder(path: str | Path) -> bool | None:
    """None: nothing is there. Raises OSError."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
