"""Tar files of pairs: the same members give the same bytes, and reading goes from the front to the back.

Written with the standard library as POSIX ustar: no times, no owners, one order. The members of a pair lie side by
side as STEM.gt.png, STEM.lq.png and perhaps STEM.json, which is how WebDataset tells samples apart: the key is the name
up to the first dot.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ..errors import DegradeError


def write(file: IO[bytes], members: Iterable[tuple[str, bytes]]) -> None:
    """A whole tar of (name, content), flushed to the disk. Raises OSError."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            head = tarfile.TarInfo(name)  # mtime, uid and gid are 0, owner and group empty, mode 0644
            head.size = len(content)
            tar.addfile(head, io.BytesIO(content))
    file.flush()
    os.fsync(file.fileno())


def read(path: Path, most: int | None = None) -> Iterator[tuple[str, bytes]]:
    """(name, content or its first `most` bytes) of each member. Raises DegradeError for what is no tar."""
    try:
        with tarfile.open(path, "r:") as tar:
            for head in tar:
                content = tar.extractfile(head)
                if content is None:
                    raise DegradeError(f"{path} holds {head.name}, which is no file", mend="delete it and run again")
                data = content.read(head.size if most is None else most)
                if most is None and len(data) < head.size:
                    raise tarfile.ReadError("unexpected end of data")
                yield head.name, data
    except tarfile.TarError as error:
        raise DegradeError(f"{path} is not a whole tar ({error})", mend="delete it and run again") from error


def samples(path: Path, most: int | None = None) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, ending -> content) of samples as WebDataset groups them: neighbours of one key, up to the first dot."""
    key, parts = "", dict[str, bytes]()
    for name, content in read(path, most):
        stem, _, ending = name.partition(".")
        if stem != key and parts:
            yield key, parts
            parts = {}
        if ending in parts:
            raise DegradeError(f"{path} holds {name} twice", mend="delete it and run again")
        key = stem
        parts[ending] = content
    if parts:
        yield key, parts
