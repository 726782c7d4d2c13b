"""What outlives a power cut.

A rename survives a kill, not a power cut: a file system may keep the new name and lose the bytes behind it. So the
files of a shard, and the folders that hold their names, are brought to the disk before the record that counts on them.
Each file by itself: `syncfs` costs the same (`bench durability`), but it also waits for what other programs have
written, and file systems outside the kernel do not hear of it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..objects import Out

THREADS = 8  # a file system writes what is asked for at one time in one go
NO_SUCH_CALL = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # said by file systems that have nothing to bring


def settle(files: Iterable[Path], top: Path) -> None:
    """Bring files under `top` to the disk, then the folders that hold their names, up to `top`. Raises OSError."""
    files = list(files)
    folders = {above for parent in {file.parent for file in files} for above in (parent, *parent.parents)}
    with ThreadPoolExecutor(THREADS) as pool:
        for some in (files, [one for one in folders if one.is_relative_to(top)]):
            list(pool.map(sync, some))


def sync(path: Out) -> None:
    """Bring a file's bytes, or a folder's names, to the disk; what a store has taken is there. Raises OSError."""
    if not isinstance(path, Path):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:
            raise
    finally:
        os.close(handle)
