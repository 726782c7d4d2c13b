"""Images behind a URL: whatever fsspec opens (zip://…::file, memory://, s3://, gs://, https://, …).

Nothing is copied to this machine: a scan reads the first bytes of each file, a decode the whole of one into memory.
Each file system raises exceptions of its own (botocore's, aiohttp's, zipfile's). Whatever they are (no connection, no
answer in time, a server's 5xx), they say nothing of a file: all are a machine's faults, but for those that say that
there is no such file, and an archive's own checksums.
"""

from __future__ import annotations

import errno
import posixpath
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from ..errors import BadImage, DegradeError
from ..faults import Patience, fault, gone
from ..images import ENDINGS
from ..secrecy import hidden, keep
from .folders import Probe, base
from .globs import MAGIC, matches, split_glob
from .walk import Complain

T = TypeVar("T")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # of ours, that bring what opens such a URL


@dataclass(frozen=True)
class Remote:
    """A folder, or a glob, behind a URL. The rules are a local folder's: endings, names with dots."""

    url: str = field(repr=False)
    root: str = field(repr=False)  # in the file system's own words
    query: str = field(repr=False)  # "?token=…", which each request of a web server's file ends with
    pattern: str | None
    system: Any = field(repr=False)  # fsspec.AbstractFileSystem
    gate: AbstractContextManager[Any] = field(repr=False)  # held while reading: archives have one reading head
    patience: Patience = Patience()
    workers: int = 16
    remote: bool = True
    _known: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def open(url: str, patience: Patience = Patience()) -> Remote:  # noqa: B008 - frozen
        """Raises DegradeError: a package is missing, or there is no such place."""
        name = hidden(url)
        keep(url)
        try:
            import fsspec
            from fsspec.archive import AbstractArchiveFileSystem
        except ModuleNotFoundError as missing:
            fact = f"{name} is read by the package {missing.name}, which is not installed"
            raise DegradeError(fact, mend="pip install 'degrade-engine[remote]'") from None
        first, chain, rest = url.partition("::")
        first, query = _without_query(first)
        pattern = None
        if MAGIC.search(first):
            scheme, _, inner = first.partition("://")
            folder, pattern = split_glob(inner)
            first = f"{scheme}://{folder}"

        def look() -> tuple[Any, str, bool]:
            try:
                system, root = fsspec.url_to_fs(first + query + chain + rest)
            except (ImportError, ValueError, FileNotFoundError, zipfile.BadZipFile) as error:  # such as: install s3fs
                extra = _EXTRAS.get(url.rpartition("::")[2].partition("://")[0])
                mend = f"pip install 'degrade-engine[{extra}]'" if extra and isinstance(error, ImportError) else ""
                said = " ".join(str(error).split()).rstrip(".")
                raise DegradeError(f"{name} cannot be opened ({said})", mend=mend) from None
            keep(url, {"of": system.storage_options, "for all": fsspec.config.conf})
            return system, root, _is_folder(system, root)

        system, root, there = patience.ask(name, look)
        if not there:
            raise DegradeError(f"{name} is not a folder, or not there", wanted="a folder of images, or a glob")
        archive = isinstance(system, AbstractArchiveFileSystem)
        gate: AbstractContextManager[Any] = threading.Lock() if archive else nullcontext()
        if not root.endswith(query):  # the file system has taken it for itself
            query = ""
        root = root.removesuffix(query).rstrip("/")
        return Remote(url, root, query, pattern, system, gate, patience, 1 if archive else 16)

    def __reduce__(self) -> tuple[Any, ...]:
        return Remote.open, (self.url, self.patience)  # another process has to have connections and a gate of its own

    @property
    def name(self) -> str:
        return hidden(self.url)

    def files(self, complain: Complain) -> Iterator[str]:
        # fsspec's own search passes over folders that it cannot list, unless it is told not to; others raise
        strict = {"on_error": "raise"} if _is_generic(self.system.find) else {}
        found = self._ask("", lambda root: self.system.find(root, detail=True, **strict))
        for full in sorted(found, key=lambda path: path.encode("utf-8", "surrogateescape")):
            inner = full.replace(self.query, "", 1)
            path = posixpath.relpath(inner, self.root) if self.root else inner.lstrip("/")
            if any(part.startswith(".") for part in path.split("/")) or not path.lower().endswith(ENDINGS):
                continue
            if self.pattern is None or matches(path, self.pattern):
                self._known[path] = found[full]
                yield path

    def probe(self, path: str, count: int) -> Probe:
        # what the listing said is used once, by the scan: asking again would be a call a file, later it may be stale
        facts = self._known.pop(path, None) or self._ask(path, self.system.info)
        if facts.get("type", "file") != "file":
            raise BadImage("unreadable", f"{base(path)} is not a regular file")
        size = facts.get("size")  # some web servers do not tell

        def first(full: str) -> bytes:
            head = bytes(self.system.cat_file(full, start=0, end=count))
            if size is not None and len(head) < min(count, size):
                raise OSError(errno.EIO, f"its end came after {len(head)} of {size} bytes")
            return head

        head = self._ask(path, first) if count else b""
        return Probe(head, len(self.read(path)) if size is None else int(size), _mtime_ns(facts), None)

    def read(self, path: str) -> bytes:
        return self._ask(path, lambda full: bytes(self.system.cat_file(full)))

    def local(self, path: str) -> None:
        return None

    def _ask(self, path: str, question: Callable[[str], T]) -> T:
        """Of the file `path`, or of the place itself ("")."""

        def answer() -> T:
            try:
                with self.gate:
                    return question((f"{self.root}/{path}" if self.root and path else path or self.root) + self.query)
            except (zipfile.BadZipFile, zlib.error) as error:
                if "Error -4" in str(error):  # zlib's word for no memory
                    raise MemoryError from error
                raise BadImage("corrupt", f"{base(path)} is damaged in its archive ({error})") from error
            except FileNotFoundError as error:
                _believed(error)
                raise

        first, chain, rest = self.url.partition("::")
        inside = f"{first.rstrip('/')}/{path}" if self.pattern is None and path else path or first
        name = hidden(inside + chain + rest)
        return self.patience.ask(name, answer, self._is_there if path else None, base(path))

    def _is_there(self) -> None:
        if not self._ask("", lambda root: _is_folder(self.system, root)):
            raise fault(self.name, FileNotFoundError(errno.ENOENT, "is not there"))


def _without_query(url: str) -> tuple[str, str]:
    """A URL and its query ("?key=value…", or nothing): else "?" is a wildcard."""
    at = re.search(r"\?[^?/*\[\]=]+=[^*\[\]]*$", url)
    return (url[: at.start()], at[0]) if at else (url, "")


def _is_folder(system: Any, root: str) -> bool:
    """Raises what kept the file system from saying so: its own `isdir` is false then."""
    if system.isdir(root):
        return True
    try:
        system.info(root)
    except FileNotFoundError as error:
        _believed(error)
    return False


def _believed(error: FileNotFoundError) -> None:
    """Raises what lies behind an error that only seems to say that a file is not there: fsspec's HTTP says so of a
    server that does not answer, too."""
    cause = error.__cause__
    web = type(cause).__module__.startswith("aiohttp") and getattr(cause, "status", None) != 404
    if cause is not None and (web or (isinstance(cause, OSError) and not gone(cause))):
        raise cause


def _is_generic(find: Any) -> bool:
    """Whether a file system's search is fsspec's own."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    method = getattr(find, "__wrapped__", find)  # of asynchronous ones, what fsspec wraps
    return getattr(method, "__func__", None) in (AbstractFileSystem.find, AsyncFileSystem._find)


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
