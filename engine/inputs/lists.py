"""The place that a list of paths names."""

from __future__ import annotations

import codecs
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import DegradeError
from ..faults import Patience, read_file
from .folders import Folder, Probe
from .walk import Complain

_STRANGE = re.compile("[\0\ud800-\udfff]")  # what stands for a byte that is no UTF-8; and what UTF-16 is full of


def text_of(data: bytes, path: Path, wanted: str) -> str:
    """A list's text, out of its bytes. Those that are no UTF-8 are kept as the system keeps them in names (surrogates),
    so that the names they stand in are left out and the others used. Raises DegradeError for a file without a line of
    UTF-8.
    """
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    if text.strip() and not any(line.strip() and not _STRANGE.search(line) for line in text.splitlines()):
        raise DegradeError(f"{path} is not UTF-8 text", wanted=wanted)
    return text


@dataclass(frozen=True)
class Listed:
    """The files that a list names, under its own folder. They need no image's ending."""

    folder: Folder
    paths: tuple[str, ...]  # sorted
    repeated: tuple[str, ...]
    name: str
    workers: int = 4
    remote: bool = False

    @property
    def patience(self) -> Patience:
        return self.folder.patience

    @staticmethod
    def open(path: Path, patience: Patience = Patience()) -> Listed:  # noqa: B008 - frozen
        """A text file with a path a line, relative to its own folder; or all absolute: then relative to the deepest
        folder that holds them all. Empty lines are passed over. Raises DegradeError.
        """
        data = patience.ask(str(path), lambda: read_file(path, path.name)[0])
        lines = [line for line in text_of(data, path, "a path a line").splitlines() if line.strip()]
        if not lines:
            raise DegradeError(f"{path} lists no file", wanted="a path a line")
        odd = next((line for line in lines if "\0" in line or "://" in line), None)
        if odd is not None:
            raise DegradeError(f"{path} lists {odd!r}", wanted="paths of files on this machine, one a line")
        absolute = {os.path.isabs(line) for line in lines}
        if len(absolute) > 1:
            raise DegradeError(f"{path} lists relative and absolute paths", wanted="either of them throughout")
        root = path.parent
        if True in absolute:
            root = Path(os.path.commonpath([os.path.dirname(line) for line in lines]))
            lines = [os.path.relpath(line, root) for line in lines]
        seen: dict[str, int] = {}
        for line in lines:
            name = posixpath.normpath(line.replace(os.sep, "/"))
            seen[name] = seen.get(name, 0) + 1
        paths = sorted(seen, key=os.fsencode)
        repeated = tuple(one for one in paths if seen[one] > 1)
        return Listed(Folder(root, patience=patience), tuple(paths), repeated, str(path))

    def files(self, complain: Complain) -> Iterator[str]:
        for path in self.repeated:
            complain(path, "duplicate", "the list names it more than once")
        return iter(self.paths)

    def probe(self, path: str, count: int) -> Probe:
        return self.folder.probe(path, count)

    def read(self, path: str) -> bytes:
        return self.folder.read(path)

    def local(self, path: str) -> Path:
        return self.folder.local(path)
