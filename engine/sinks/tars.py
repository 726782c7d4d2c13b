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

_END = 1024  # bytes, all zero


def write(file: IO[bytes], members: Iterable[tuple[str, bytes]]) -> None:
    """A whole tar of (name, content). Raises OSError."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            head = tarfile.TarInfo(name)  # mtime, uid and gid are 0, owner and group empty, mode 0644
            head.size = len(content)
            tar.addfile(head, io.BytesIO(content))


def is_whole(path: Path, size: int | None, empty: bool) -> bool:
    """Whether a tar is there with so many bytes (None: nobody knows), and begins and ends as one does; empty: without a
    member. What cannot be read is not whole.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            head, end = os.pread(file.fileno(), 512, 0), os.pread(file.fileno(), _END, max(0, length - _END))
    except OSError:
        return False
    begins = not any(head) if empty else head[257:262] == b"ustar"
    return size in (None, length) and begins and length % tarfile.RECORDSIZE == 0 and len(end) == _END and not any(end)


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
