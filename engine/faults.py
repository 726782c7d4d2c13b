"""Failures of the machine while it reads, and how often a read is tried again.

Only bytes that were read completely say something about a photograph. Any other failure (a disk error, a server that
does not answer, no memory, too many open files, a folder that is not mounted) is the machine's. The read is tried again
after a pause, for some seconds. After that it is a `MachineFault`.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .errors import BadImage, DegradeError, MachineFault
from .secrecy import hidden

T = TypeVar("T")
MISSING = ("missing", "no_access")
AGAIN = "then run the same command to continue"
PATIENCE_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0

_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_MEMORY = (
    "out of memory", "bad_alloc", "bad allocation", "failed to alloc", "cannot allocate", "can't allocate",
    "could not allocate", "unable to alloc", "insufficient memory", "memory allocation", "can't start new thread",
)  # fmt: skip
_MENDS = {
    errno.EMFILE: "allow more open files (`ulimit -n`), or use fewer --threads",
    errno.ENFILE: "close other programs that hold files open",
    errno.ENOMEM: "close other programs, raise the limit (`ulimit -v`), or use fewer --threads",
    errno.EACCES: "make it readable for this user",
    errno.EPERM: "make it readable for this user",
    errno.ESTALE: "mount its folder again",
}


@dataclass(frozen=True)
class Failing:
    """What cannot be read just now and is tried again. since: time.monotonic() of the first failure."""

    since: float
    said: str


_failing: dict[object, Failing] = {}  # by question; of all threads


def failing() -> Failing | None:
    """What has failed for the longest in this process and is being tried again; None where nothing is."""
    return min(tuple(_failing.values()), key=lambda one: one.since, default=None)


@dataclass(frozen=True)
class Patience:
    """How failures of the machine are met. seconds: how long a read is tried again.

    allow_missing: a file that does not exist or may not be read, in a folder that is there, is a BadImage with one of
    the reasons MISSING; it is not tried again.
    """

    seconds: float = PATIENCE_S
    allow_missing: bool = False

    def ask(
        self, name: str, question: Callable[[], T], place: Callable[[], object] | None = None, short: str = "",
        doing: str = "read",
    ) -> T:  # fmt: skip
        """What `question` returns. A DegradeError that it raises is final; anything else is tried again until time is
        up, and is then a MachineFault. name: of what is read, for messages; short: its last part. place: raises unless
        the folder of the file is there; doing: the word for what is asked. Meanwhile `failing` tells of it.
        """
        began, pause, looked, asked = time.monotonic(), FIRST_PAUSE_S, False, object()
        try:
            while True:
                try:
                    return question()
                except DegradeError:
                    raise
                except Exception as error:
                    reason = gone(error)
                    if reason and self.allow_missing and place is not None:
                        if looked:
                            raise BadImage(reason, f"{short or os.path.basename(name)} {_said(error, doing)}") from None
                        place()
                        looked = True
                        continue
                    if time.monotonic() + pause > began + self.seconds:
                        raise fault(name, error, place is not None, doing) from error
                    _failing[asked] = Failing(began, hidden(f"{name} {_said(error, doing)}"))
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
        finally:
            _failing.pop(asked, None)


def fault(name: str, error: BaseException, may_go_on: bool = False, doing: str = "read") -> MachineFault:
    """The sentence for what `error` kept from being read, or whatever was done. may_go_on: a run can do without."""
    number = errno.ENOMEM if out_of_memory(error) else getattr(error, "errno", None)
    mend = _MENDS.get(number or 0, "check the disk, the network or the server")
    if gone(error) == "missing":
        mend = "put it back" + (", or write its path with / instead of \\" if "\\" in name and os.sep == "/" else "")
    mend += f"; {AGAIN}"
    if gone(error) and may_go_on:
        mend += ". Or skip missing photographs with --allow-missing"
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")
    return MachineFault(f"{shown} {_said(error, doing)}", mend=mend)


def no_memory(error: BaseException) -> MachineFault:
    """The sentence for memory that ran out anywhere."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return MachineFault(f"there is not enough memory ({said[0][:200]})", mend=f"{_MENDS[errno.ENOMEM]}; {AGAIN}")


def sentence_of(error: BaseException) -> str | None:
    """The message for what may end a command: a mistake, a failure of the system, no memory. None: it is a bug."""
    if isinstance(error, DegradeError):
        return str(error)
    if out_of_memory(error):
        return str(no_memory(error))
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return hidden(f"{where}{error.strerror or error}. Fix: check that file or disk, and try again.")
    return None


def gone(error: BaseException) -> str:
    """The reason in MISSING for a file that is not there, or that this user may not read; else ""."""
    number = getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError | NotADirectoryError) or number == errno.ELOOP:
        return "missing"
    return "no_access" if isinstance(error, PermissionError) else ""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, whoever says so: Python, libvips, OpenCV, a network's runtime. Of threads that could not
    be started, too."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    text = str(error).lower()
    return any(word in text for word in _NO_MEMORY)


def read_file(path: str | Path, name: str, most: int | None = None) -> tuple[bytes, os.stat_result]:
    """All bytes of a file, or the first `most`, and its facts. Raises OSError, for an end before the file's too;
    BadImage for what is no regular file (a pipe would wait for its writer for ever), and for a name that none can have.
    """
    try:
        handle = os.open(path, _OPEN)
    except ValueError:
        raise BadImage("bad_name", f"{name!r} cannot name a file") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise BadImage("bad_name", f"{name[:40]}… is too long for a name") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise BadImage("unreadable", f"{name} is not a regular file")
        wanted = left = found.st_size if most is None else min(most, found.st_size)
        pieces = []
        while left and (piece := os.read(handle, left)):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(handle)
    if left:
        raise OSError(errno.EIO, f"its end came after {wanted - left} of {found.st_size} bytes")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), found


def _said(error: BaseException, doing: str = "read") -> str:
    """The rest of a sentence that begins with the file's name."""
    number = getattr(error, "errno", None)
    sign = errno.errorcode.get(number, "") if isinstance(number, int) else ""
    if gone(error) == "missing" and sign in ("", "ENOENT", "ENOTDIR"):
        return f"is not there ({sign or 'ENOENT'})"
    if out_of_memory(error) and sign in ("", "ENOMEM"):
        return f"cannot be {doing}: there is not enough memory (ENOMEM)"
    said = getattr(error, "strerror", None) or str(error).strip().rstrip(".") or type(error).__name__
    return f"cannot be {doing} ({said}{', ' if sign else ''}{sign})"
