"""One build at a time in one folder.

The lock is the operating system's (through filelock, pure Python, which torch's users have anyway): it ends with
the process that holds it, however that ends. A lock file made with O_EXCL outlives a killed build, and whether
its owner still lives cannot be told across containers and hosts that share a disk. The price is an empty hidden
file that stays beside the folder: removing it would let two builds hold two locks of one name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import DegradeError


@contextmanager
def only_one(out: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Holds `out` until the block ends; waits for another holder, and says so."""
    path = out.absolute().with_name(f".{out.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another process is at work on {out}; waiting for it")
            lock.acquire()
    except OSError as error:
        raise DegradeError(
            f"{path} cannot be locked ({error.strerror or error})", mend="choose another output folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
