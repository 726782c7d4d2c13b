"""A run's folder in an object store: the names under a URL such as s3://bucket/run.

A run asks little of its folder, so an `ObjectPath` has those few methods of `pathlib.Path`, and two of its own: `put`
and `create`. An object is put whole or not at all, and one that was answered for is kept. So what a file system needs
renames and flushes for is a single request here. `create` puts only where nothing is (If-None-Match: *).

A request that fails (no connection, no answer in time, a server's 5xx) is tried again for as long as `patience` says,
and is then a MachineFault. That there is no such object is an answer.
"""

from __future__ import annotations

import math
import os
import posixpath
import re
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .artefact import process_name
from .errors import DegradeError
from .faults import Patience
from .secrecy import URL

T = TypeVar("T")
S = TypeVar("S")
EXTRAS = {"s3": "s3", "gs": "gcs"}  # by scheme, what brings the packages
ANSWER_S = 10  # for any request, and one more for each SLOWEST bytes of what is put
SLOWEST = 2**18
PART = 2**26  # bytes: what is larger is put in parts
THREADS = 16
LISTING_S, LISTING_SHARE = 1.0, 20  # a listing is asked for again after that, and 20 times as long as it took
_CODE = re.compile(r"<Code>([^<]+)</Code>(?:<Message>([^<]*)</Message>)?")
_unconditional: set[str] = set()  # URLs of stores that put what they were told only to create


@dataclass(frozen=True)
class Found:
    """An object: bytes; seconds since 1970 by the store's clock; a tag that is another one for other bytes."""

    size: int
    changed: float
    tag: str


@dataclass(frozen=True)
class ObjectPath:
    """A name in an object store. url: of the run; key: under it, "" for the run itself."""

    url: str
    key: str = ""
    patience: Patience = field(default=Patience(), compare=False)

    def __truediv__(self, name: str) -> ObjectPath:
        return replace(self, key=posixpath.join(self.key, name))

    def __str__(self) -> str:
        return posixpath.join(self.url, self.key) if self.key else self.url

    @property
    def name(self) -> str:
        """The last part."""
        return posixpath.basename(str(self))

    def hasty(self, seconds: float = 0.0) -> ObjectPath:
        """The same, where a request that fails is tried again for so many seconds alone."""
        return replace(self, patience=Patience(seconds))

    def read_bytes(self) -> bytes:
        """All of it. Raises FileNotFoundError, MachineFault."""
        data = self._ask("read", lambda store: bytes(store.get(self.key).bytes()))
        if data is None:
            raise FileNotFoundError(2, "is not there", str(self))
        return data

    def put(self, data: bytes | Path) -> None:
        """Puts the bytes, or a file's, in place of what is there. Raises MachineFault; OSError for the file."""
        size = os.path.getsize(data) if isinstance(data, Path) else len(data)
        if isinstance(data, Path) and size <= PART:  # in one request
            data = data.read_bytes()
        seconds = ANSWER_S + min(size, PART) / SLOWEST
        how = {"chunk_size": PART, "max_concurrency": 2}
        if self._ask("written", lambda store: store.put(self.key, data, **how) or True, seconds) is None:
            raise self._no_bucket()

    def create(self, data: bytes) -> bool:
        """Puts the bytes if nothing is there; whether it did. Of several that try, one does. Raises MachineFault."""
        if self.url in _unconditional:
            there = self.exists()
            if not there:
                self.put(data)
            return not there
        tried = 0

        def question(store: Any) -> bool:
            from obstore.exceptions import AlreadyExistsError

            nonlocal tried
            tried += 1
            try:
                store.put(self.key, data, mode="create")
            except AlreadyExistsError:  # by an earlier try whose answer was lost, it may be
                return tried > 1 and bytes(store.get(self.key).bytes()) == data
            return True

        made = self._ask("written", question)
        if made is None:
            raise self._no_bucket()
        return made

    def unlink(self, missing_ok: bool = True) -> None:
        """Removes it, if it is there. Raises MachineFault."""
        self._ask("removed", lambda store: store.delete(self.key))

    def found(self) -> Found | None:
        """What is there; None: nothing. Raises MachineFault."""
        return self._ask("read", lambda store: _found(store.head(self.key)))

    def exists(self) -> bool:
        """Whether there is such an object."""
        return self.found() is not None

    is_file = exists

    def listed(self, most: int | None = None) -> dict[str, Found]:
        """What lies under it, by the names after it; most: enough when so many were seen. Raises MachineFault."""

        def question(store: Any) -> dict[str, Found]:
            seen: dict[str, Found] = {}
            for some in store.list(self.key or None, chunk_size=1000):
                seen |= {posixpath.relpath(one["path"], self.key or "."): _found(one) for one in some}
                if most is not None and len(seen) >= most:
                    break
            return seen

        return self._ask("read", question) or {}

    def _ask(self, doing: str, question: Callable[[Any], T], seconds: float = ANSWER_S) -> T | None:
        """None: there is no such object."""

        def answer() -> T | None:
            from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

            try:
                return question(_store(self.url, _rounded(seconds)))
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise self._no_bucket() from None
                return None
            except (PermissionDeniedError, UnauthenticatedError) as error:
                raise DegradeError(
                    f"{self} may not be {doing} ({_said(error)})",
                    wanted="credentials that may list, read, write and delete there", mend="see docs/buckets.md",
                ) from None  # fmt: skip
            except BaseError as error:
                if _code(error) == "NoSuchBucket":
                    raise self._no_bucket() from None
                raise OSError(_said(error)) from None

        return self.patience.ask(str(self), answer, doing=doing)

    def _no_bucket(self) -> DegradeError:
        return DegradeError(f"{self.url}: there is no such bucket", mend="make it, or look at its name and AWS_REGION")


class Listing:
    """What lies under a name, asked for again only now and then: a listing of many names takes long and costs."""

    def __init__(self, path: ObjectPath) -> None:
        self._path, self._until, self._there = path, 0.0, dict[str, Found]()

    def names(self, *, afresh: bool = False) -> Mapping[str, Found]:
        """By the names after the path. afresh: as of now. Raises MachineFault."""
        began = time.monotonic()
        if afresh or began >= self._until:
            self._there = self._path.listed()
            ended = time.monotonic()
            self._until = ended + max(LISTING_S, LISTING_SHARE * (ended - began))
        return self._there


Out = Path | ObjectPath
"""Where a run lies."""


def out_of(where: str | Path | ObjectPath, patience_s: float | None = None) -> Out:
    """The folder, or the URL, that is meant. Raises DegradeError for a URL that no run can be written to."""
    if isinstance(where, str) and URL.match(where):
        scheme, _, rest = where.partition("://")
        if scheme not in EXTRAS or not rest.strip("/") or "::" in where:
            raise DegradeError(
                f"the output {where} is a URL", wanted="a folder, or s3://bucket/name or gs://bucket/name"
            )
        split = urlsplit(where)
        if split.username or split.query or split.fragment:
            raise DegradeError(f"the output {where} holds credentials or options", wanted="s3://bucket/name alone",
                               mend="set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL")  # fmt: skip
        where = ObjectPath(where.rstrip("/"))
    if isinstance(where, ObjectPath):
        return where if patience_s is None else where.hasty(patience_s)
    if URL.match(str(where)):
        raise DegradeError(f"the output {where} is a URL that was taken for a path", wanted="the URL as a str")
    return Path(where)


def require(url: str) -> None:
    """DegradeError where the package that writes to stores is not installed."""
    if find_spec("obstore") is None:
        raise DegradeError(f"{url} is written by the package obstore, which is not installed",
                           mend=f"pip install 'degrade-engine[{EXTRAS[url.partition(':')[0]]}]'")  # fmt: skip


def names(folder: Out) -> list[str]:
    """What lies in a folder. Raises OSError where there is none; a store has no folders, and nothing lies there."""
    return os.listdir(folder) if isinstance(folder, Path) else list(folder.listed())


def each(out: Out, question: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """The answers in order; of a store several at a time, since each takes a while."""
    if isinstance(out, Path):
        yield from map(question, items)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for one in items:
            waiting.append(pool.submit(question, one))
            if len(waiting) > 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def scratch(process: str | None = None) -> Path:
    """The folder on this machine where a process keeps what is not yet in a store (artefact.process_name; None: this
    one). It is not made here."""
    return Path(tempfile.gettempdir()) / f"degrade-engine-{process or process_name()}"


def put_conditionally(path: ObjectPath) -> bool:
    """Whether the store refuses to create what is there already; path: of an object. Where it does not, `create` looks
    first from now on. Raises MachineFault."""
    if path.create(b"again"):
        _unconditional.add(path.url)
    return path.url not in _unconditional


@cache
def _store(url: str, seconds: int) -> Any:
    """The store at a URL, whose requests may take so many seconds."""
    require(url)
    from obstore.store import from_url

    plain = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    how: dict[str, Any] = {
        "client_options": {"timeout": timedelta(seconds=seconds), "connect_timeout": timedelta(seconds=ANSWER_S),
                           "allow_http": plain.startswith("http://")},
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=seconds)},
    }  # fmt: skip
    try:
        return from_url(url, **how, **(_botocore() if url.startswith("s3:") else {}))
    except Exception as error:  # such as a variable with a value that is none
        raise DegradeError(f"{url} cannot be opened ({_said(error)})", mend="see docs/buckets.md") from None


def _botocore() -> dict[str, Any]:
    """Credentials and region as reading finds them: of the environment, a profile, or the machine. Nothing where the
    package that reads is not installed: then of the environment or the machine."""
    if find_spec("botocore") is None:
        return {}
    import botocore.session

    session = botocore.session.get_session()
    found = session.get_credentials()
    if found is None:
        return {}

    def credentials() -> dict[str, Any]:
        now = found.get_frozen_credentials()
        return {"access_key_id": now.access_key, "secret_access_key": now.secret_key, "token": now.token,
                "expires_at": getattr(found, "_expiry_time", None)}  # fmt: skip

    region = session.get_config_variable("region")
    return {"credential_provider": credentials} | ({"region": region} if region else {})


def _found(meta: Mapping[str, Any]) -> Found:
    return Found(meta["size"], meta["last_modified"].timestamp(), meta["e_tag"] or "")


def _rounded(seconds: float) -> int:
    """To few different numbers, each of which has connections of its own."""
    return ANSWER_S << max(0, math.ceil(math.log2(seconds / ANSWER_S)))


def _code(error: BaseException) -> str:
    """The store's own word for what was wrong, such as NoSuchKey."""
    return found[1] if (found := _CODE.search(str(error))) else ""


def _said(error: BaseException) -> str:
    """What a library or the store says, in a line."""
    if found := _CODE.search(str(error)):
        return ": ".join(filter(None, found.groups()))
    return str(error).partition("\n")[0].rpartition(" - ")[2][:200]
