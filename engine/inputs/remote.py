"""Images behind a URL: whatever fsspec opens (zip://…::file, memory://, s3://, gs://, https://, …).

Nothing is copied to this machine: a scan reads the first bytes of each file, a decode the whole of one into memory.
Each file system raises exceptions of its own (botocore's, aiohttp's, zipfile's), so here any means "unreadable".
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..errors import DegradeError
from ..images import EXTENSIONS, BadImage, Encoded
from .globs import MAGIC, matches, split_glob
from .places import Complain, Probe, base


@dataclass(frozen=True)
class Remote:
    """A folder, or a glob, behind a URL. The rules are a local folder's: endings, names with dots."""

    name: str
    root: str  # in the file system's own words
    pattern: str | None
    system: Any = field(repr=False)  # fsspec.AbstractFileSystem
    gate: AbstractContextManager[Any] = field(repr=False)  # held while reading: archives have one reading head
    workers: int = 16
    remote: bool = True
    _known: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def open(url: str) -> Remote:
        """Raises DegradeError: a package is missing, or there is no such place."""
        try:
            import fsspec
            from fsspec.archive import AbstractArchiveFileSystem
        except ModuleNotFoundError as missing:
            fact = f"{url} is read by the package {missing.name}, which is not installed"
            raise DegradeError(fact, mend="pip install 'degrade-engine[remote]'") from None
        first, chain, rest = url.partition("::")
        pattern = None
        if MAGIC.search(first):
            scheme, _, inner = first.partition("://")
            folder, pattern = split_glob(inner)
            first = f"{scheme}://{folder}"
        try:
            system, root = fsspec.url_to_fs(first + chain + rest)
            there = system.isdir(root)
        except (ImportError, ValueError) as error:  # fsspec names the package to install, or the unknown scheme
            raise DegradeError(f"{url} cannot be opened ({error})") from None
        except Exception as error:
            raise DegradeError(f"{url} cannot be opened ({said(error)})") from None
        if not there:
            raise DegradeError(f"{url} is not a folder, or not there", wanted="a folder of images, or a glob")
        archive = isinstance(system, AbstractArchiveFileSystem)
        gate: AbstractContextManager[Any] = threading.Lock() if archive else nullcontext()
        return Remote(url, root.rstrip("/"), pattern, system, gate, 1 if archive else 16)

    def __reduce__(self) -> tuple[Any, ...]:
        return Remote.open, (self.name,)  # another process has to have connections and a gate of its own

    def files(self, complain: Complain) -> Iterator[str]:
        try:
            with self.gate:
                found = self.system.find(self.root, detail=True)
        except Exception as error:
            raise DegradeError(f"{self.name} cannot be listed ({said(error)})") from None
        for full in sorted(found, key=lambda path: path.encode("utf-8", "surrogateescape")):
            path = posixpath.relpath(full, self.root) if self.root else full.lstrip("/")
            if any(part.startswith(".") for part in path.split("/")) or not path.lower().endswith(EXTENSIONS):
                continue
            if self.pattern is None or matches(path, self.pattern):
                self._known[path] = found[full]
                yield path

    def probe(self, path: str, count: int) -> Probe:
        # what the listing said is used once, by the scan: asking again would be a call a file, later it may be stale
        facts = self._known.pop(path, None) or self._ask(path, lambda full: self.system.info(full))
        if facts.get("type", "file") != "file":
            raise BadImage("unreadable", f"{base(path)} is not a regular file")
        head = self._ask(path, lambda full: self.system.cat_file(full, start=0, end=count)) if count else b""
        size = facts.get("size")  # some web servers do not tell
        return Probe(bytes(head), len(self.read(path)) if size is None else int(size), _mtime_ns(facts), None)

    def image(self, path: str) -> Encoded:
        return Encoded(base(path), self.read(path))

    def read(self, path: str) -> bytes:
        return bytes(self._ask(path, lambda full: self.system.cat_file(full)))

    def _ask(self, path: str, question: Callable[[str], Any]) -> Any:
        try:
            with self.gate:
                return question(f"{self.root}/{path}" if self.root else path)
        except FileNotFoundError:
            raise BadImage("missing", f"{base(path)} is not there") from None
        except Exception as error:
            raise BadImage("unreadable", f"{base(path)} cannot be read ({said(error)})") from None


def said(error: Exception) -> str:
    """What an exception says, or else what it is."""
    return getattr(error, "strerror", None) or str(error).strip().rstrip(".") or type(error).__name__


def _mtime_ns(facts: dict[str, Any]) -> int | None:
    """Each file system has its own word for it."""
    words = ("mtime", "LastModified", "last_modified", "updated")
    when = next((facts[word] for word in words if facts.get(word)), None)
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            return None
    if isinstance(when, datetime):
        when = when.timestamp()
    return int(when * 1e9) if isinstance(when, int | float) else None
