"""The place that a list of paths names."""

from __future__ import annotations

import codecs
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artefact import parse_json
from ..errors import DegradeError
from ..faults import Patience, read_file
from ..weights import Cluster
from .folders import Folder, Probe
from .walk import Complain

_STRANGE = re.compile("[\0\ud800-\udfff]")  # what stands for a byte that is no UTF-8; and what UTF-16 is full of


MOST_WEIGHT = 1e6


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
    shares: Mapping[str, tuple[float, Cluster]] | None = None  # weight and cluster by path, of a list that has them

    @property
    def patience(self) -> Patience:
        return self.folder.patience

    @staticmethod
    def open(path: Path, patience: Patience = Patience()) -> Listed:  # noqa: B008 - frozen
        """A text file with a path a line, relative to its own folder; or all absolute: then relative to the deepest
        folder that holds them all. Of a .jsonl file a line is an object with the path, and a weight and a cluster if
        you like. Empty lines are passed over. Raises DegradeError.
        """
        data = patience.ask(str(path), lambda: read_file(path, path.name)[0])
        lines = [line for line in text_of(data, path, "a path a line").splitlines() if line.strip()]
        pages = [_page(path, number, line) for number, line in enumerate(lines, 1)] if is_pages(str(path)) else None
        lines = lines if pages is None else [one["path"] for one in pages]
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
            seen[_normal(line)] = seen.get(_normal(line), 0) + 1
        paths = sorted(seen, key=os.fsencode)
        repeated = tuple(one for one in paths if seen[one] > 1)
        shares = None if pages is None else {
            _normal(line): (float(one.get("weight", 1)), one.get("cluster"))
            for line, one in reversed(list(zip(lines, pages, strict=True)))  # of a path that comes again, the first
        }  # fmt: skip
        return Listed(Folder(root, patience=patience), tuple(paths), repeated, str(path), shares=shares)

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


def is_pages(path: str) -> bool:
    """Whether a list's lines are objects."""
    return path.lower().endswith(".jsonl")


def _normal(line: str) -> str:
    return posixpath.normpath(line.replace(os.sep, "/"))


def _page(path: Path, number: int, line: str) -> dict[str, Any]:
    """Raises DegradeError for a line that is no object with these three."""
    where = f"{path}, line {number}"
    page = parse_json(line.encode("utf-8", "surrogateescape"), where)
    if not isinstance(page, dict) or not isinstance(page.get("path"), str) or not page["path"].strip():
        raise DegradeError(f"{where}: {line[:60]!r}", wanted='an object such as {"path": "a.jpg", "weight": 2}')
    weight, cluster = page.get("weight", 1), page.get("cluster")
    if type(weight) not in (int, float) or not 0 <= weight <= MOST_WEIGHT:
        raise DegradeError(f"{where}: the weight is {weight!r}"[:200], wanted=f"a number, 0 to {MOST_WEIGHT:g}")
    if type(cluster) not in (int, str, type(None)):
        raise DegradeError(f"{where}: the cluster is {cluster!r}"[:200], wanted="a whole number or a word")
    return page
