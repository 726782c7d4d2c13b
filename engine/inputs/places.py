"""Where images lie: a folder, a glob (`globs.py`), a list of paths (`lists.py`), or a URL (`remote.py`).

An image is named by its path relative to its place, with "/", and by nothing else: the same images have the same names
in a folder, in a glob or a list over that folder, in a zip and in a bucket, and so make the same pairs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import DegradeError
from ..images import EXTENSIONS, BadImage, Encoded
from .globs import MAGIC, matches, split_glob

Complain = Callable[[str, str, str], None]  # path, reason and detail of what cannot be listed
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file says of itself without being decoded."""

    head: bytes  # its first bytes, as many as were asked for
    bytes: int
    mtime_ns: int | None  # since 1970; None where the place does not know
    link: tuple[int, int] | None  # device and inode of a file with several names


class Place(Protocol):
    """One place. Paths are relative to it. Every method may be called from several threads."""

    @property
    def name(self) -> str:
        """As the user gave it, for sentences."""

    @property
    def workers(self) -> int:
        """Threads that are worth reading it with at a time."""

    @property
    def remote(self) -> bool:
        """Whether a question costs a call over a network."""

    def files(self, complain: Complain) -> Iterator[str]:
        """Paths of what may be an image, each once, in any order (cheapest: sorted by bytes). Raises DegradeError."""

    def probe(self, path: str, count: int) -> Probe:
        """The file's facts and its first `count` bytes. Raises BadImage."""

    def image(self, path: str) -> Path | Encoded:
        """What `images` reads the file from. Raises BadImage."""

    def read(self, path: str) -> bytes:
        """All of the file. Raises BadImage."""


def at(where: str | Path | Place) -> Place:
    """The place that is meant: a URL ("://" or "::" in it), a list (a .txt file), a glob ("*", "?" or "[" in it, and no
    such folder), else a folder; a Path is always a folder. Raises DegradeError.
    """
    if isinstance(where, Path):
        return Folder(where)
    if not isinstance(where, str):
        return where
    if "::" in where or ("://" in where and not where.startswith("file://")):
        from .remote import Remote

        return Remote.open(where)
    path = where.removeprefix("file://")
    if os.path.isdir(path):
        return Folder(Path(path))
    if MAGIC.search(path):
        root, pattern = split_glob(path)
        return Folder(Path(root or "."), pattern)
    if path.lower().endswith(".txt"):
        from .lists import Listed

        return Listed.open(Path(path))
    return Folder(Path(path))


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or what a glob keeps of it.

    Files with an image's ending (`images.EXTENSIONS`, in any case), however deep. Passed over without a word: other
    endings, and files and folders whose name begins with a dot. A link to a folder is followed, but never into a folder
    that was walked already, so loops end; real folders come first, then links by path.
    """

    root: Path
    pattern: str | None = None  # relative to root
    workers: int = 4
    remote: bool = False
    _prefix: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prefix", os.path.join(self.root, ""))

    @property
    def name(self) -> str:
        return str(self.root) if self.pattern is None else self._prefix + self.pattern

    def files(self, complain: Complain) -> Iterator[str]:
        if not self.root.is_dir():
            fact = f"{self.root} is not a folder" if self.root.exists() else f"The folder {self.root} is not there"
            archive = self.root.suffix.lower() in (".zip", ".tar") and self.root.is_file()
            mend = f"read the archive as {self.root.suffix[1:].lower()}://::{self.root}" if archive else ""
            raise DegradeError(fact, wanted="a folder of images, a quoted glob, a .txt list or a URL", mend=mend)
        return (path for path in self._walk(complain) if self.pattern is None or matches(path, self.pattern))

    def probe(self, path: str, count: int) -> Probe:
        try:
            handle = os.open(os.path.join(self._prefix, path), _OPEN)
            try:
                found = os.fstat(handle)
                if not stat.S_ISREG(found.st_mode):  # a pipe would wait for its writer for ever
                    raise BadImage("unreadable", f"{base(path)} is not a regular file")
                head = os.read(handle, count) if count else b""
            finally:
                os.close(handle)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        link = (found.st_dev, found.st_ino) if found.st_nlink > 1 else None
        return Probe(head, found.st_size, found.st_mtime_ns, link)

    def image(self, path: str) -> Path:
        return self.root / path

    def read(self, path: str) -> bytes:
        self.probe(path, 0)
        try:
            with open(self.root / path, "rb") as file:
                return file.read()
        except OSError as error:
            raise _unreadable(path, error) from None

    def _walk(self, complain: Complain) -> Iterator[str]:
        """Real folders depth first in the order of whole paths, then each link to another folder."""
        seen: set[tuple[int, int]] = set()
        links: list[str] = []
        waiting = [""]  # a stack: files as they are, folders with a "/" at their end
        while waiting or links:
            if not waiting:
                links.sort(reverse=True)
                waiting.append(links.pop())
            path = waiting.pop()
            if path and not path.endswith("/"):
                yield path
                continue
            folder = (self._prefix + path).rstrip("/") or "/"
            try:
                found = os.stat(folder)
                if (found.st_dev, found.st_ino) in seen:
                    continue
                seen.add((found.st_dev, found.st_ino))
                below = _inside(folder, path, links)
            except OSError as error:
                if not path:
                    raise DegradeError(f"The folder {self.root} cannot be listed ({error.strerror})") from error
                complain(path[:-1], "unreadable", f"the folder cannot be listed ({error.strerror or error})")
                continue
            below.sort(reverse=True)  # code points, which is the order of UTF-8's bytes
            waiting += below


def _inside(folder: str, path: str, links: list[str]) -> list[str]:
    """Paths of the images and, with a "/" at their end, of the real folders in a folder; linked ones go to `links`."""
    below = []
    with os.scandir(folder) as listing:
        for one in listing:
            if one.name.startswith("."):
                continue
            if one.is_dir(follow_symlinks=False):
                below.append(f"{path}{one.name}/")
            elif one.is_symlink() and os.path.isdir(one.path):
                links.append(f"{path}{one.name}/")
            elif one.name.lower().endswith(EXTENSIONS):
                below.append(path + one.name)
    return below


def base(path: str) -> str:
    """The last name of a path, for sentences."""
    return path.rsplit("/", 1)[-1]


def _unreadable(path: str, error: Exception) -> BadImage:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return BadImage("missing", f"{base(path)} is not there")
    said = getattr(error, "strerror", None) or error
    return BadImage("unreadable", f"{base(path)} cannot be read ({said})")
