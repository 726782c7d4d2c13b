"""A folder as a machine sees it over a network file system: what others change shows late, and not in order.

`install(root, lag_s, seed)` patches this process's own calls. Below `root`,

- a name that another process made, or took away, shows only some time after this process could first have noticed: up
  to lag_s later, drawn for each name, so that a later change may show before an earlier one. Until then the name is
  missing from listings, and neither `stat` nor `open` finds it; or it is still listed;
- what this process does itself, it sees at once;
- a file that is found is as it is (close-to-open: opening asks the server);
- links, renames, exclusive creation and removal are done by the server at once, and fail as they must. A name that the
  server has refused to make is known to be there.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Gone:
    """A listed name that is not there any more."""

    def __init__(self, folder: str, name: str) -> None:
        self.name, self.path = name, os.path.join(folder, name)

    def stat(self, **_: Any) -> os.stat_result:
        return os.stat(self.path)

    def is_dir(self, **_: Any) -> bool:
        return False

    def is_file(self, **_: Any) -> bool:
        return True

    def is_symlink(self) -> bool:
        return False


class View:
    """What one process sees."""

    def __init__(self, root: str, lag_s: float, seed: int) -> None:
        self.root, self.lag_s, self.dice = os.path.realpath(root), lag_s, random.Random(seed)
        self.shown: dict[str, set[str]] = {}
        self.due: dict[tuple[str, str], float] = {}  # when a change shows
        self.late = 0  # changes that showed late
        self.scandir = os.scandir

    def split(self, path: Any) -> tuple[str, str] | None:
        """Folder and name of a path below the root."""
        if not isinstance(path, (str, os.PathLike)):
            return None
        full = os.path.abspath(os.fspath(path))
        return os.path.split(full) if full.startswith(self.root + os.sep) else None

    def names(self, folder: str) -> dict[str, Any]:
        """As they show at this moment."""
        there = {one.name: one for one in self.scandir(folder)}
        shown = self.shown.setdefault(folder, set(there))  # the first look asks the server
        now = time.monotonic()
        for name in set(there) ^ shown:
            due = self.due.setdefault((folder, name), now + self.dice.uniform(0, self.lag_s))
            if now >= due:
                self.late += 1
                del self.due[folder, name]
                shown ^= {name}
        return {name: there.get(name) or Gone(folder, name) for name in shown}

    def mine(self, path: Any, there: bool) -> None:
        """This process made a name, or took it away."""
        if found := self.split(path):
            folder, name = found
            self.due.pop((folder, name), None)
            if folder in self.shown:
                (self.shown[folder].add if there else self.shown[folder].discard)(name)

    @contextmanager
    def answered(self, path: Any) -> Iterator[None]:
        """The server makes a name, or says that it is there."""
        try:
            yield
        except FileExistsError:
            self.mine(path, True)
            raise
        self.mine(path, True)

    def check(self, path: Any) -> None:
        """FileNotFoundError for a name that does not show yet."""
        if (found := self.split(path)) and os.path.isdir(found[0]) and found[1] not in self.names(found[0]):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


def install(root: str, lag_s: float, seed: int) -> View:
    """In this process, from now on."""
    view = View(root, lag_s, seed)
    real = {name: getattr(os, name) for name in ("scandir", "stat", "link", "replace", "rename", "unlink", "mkdir")}
    real_open, real_isdir = io.open, os.path.isdir
    os.path.isdir = lambda path: real_isdir(path) if view.split(path) is None else _is_dir(real["stat"], path)

    def scandir(path: Any = ".") -> Any:
        if isinstance(path, int) or view.split(os.path.join(os.fspath(path), "x")) is None:
            return real["scandir"](path)
        return Listing(view.names(os.path.abspath(os.fspath(path))).values())

    def stat(path: Any, *given: Any, **told: Any) -> os.stat_result:
        if told.get("dir_fd") is None:
            view.check(path)
        return real["stat"](path, *given, **told)  # type: ignore[no-any-return]

    def two(name: str, keeps: bool) -> Any:
        def call(source: Any, target: Any, *given: Any, **told: Any) -> None:
            with view.answered(target):
                real[name](source, target, *given, **told)
            view.mine(source, keeps)

        return call

    def mkdir(path: Any, *given: Any, **told: Any) -> None:
        with view.answered(path):
            real["mkdir"](path, *given, **told)

    def unlink(path: Any, *given: Any, **told: Any) -> None:
        real["unlink"](path, *given, **told)
        view.mine(path, False)

    def opened(file: Any, mode: str = "r", *given: Any, **told: Any) -> Any:
        if set(mode) & set("wxa"):
            with view.answered(file):
                return real_open(file, mode, *given, **told)
        view.check(file)
        return real_open(file, mode, *given, **told)

    os.scandir, os.stat, os.unlink, os.remove, os.mkdir = scandir, stat, unlink, unlink, mkdir  # type: ignore
    os.link, os.replace, os.rename = two("link", True), two("replace", False), two("rename", False)
    builtins.open = io.open = opened  # type: ignore[assignment]
    return view


def _is_dir(stat: Any, path: Any) -> bool:
    try:
        return bool(stat(path).st_mode & 0o040000)
    except OSError:
        return False


class Listing:
    """As os.scandir gives it."""

    def __init__(self, names: Any) -> None:
        self._names = iter(list(names))

    def __iter__(self) -> Iterator[Any]:
        return self._names

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass
