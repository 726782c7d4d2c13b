"""Claims where a run lies in an object store: the names and rules of claims.py, kept by conditional puts.

    claims/PROCESS        put again and again; the store's time of the last put is the heartbeat
    claims/WHAT.0         put only where nothing is, so one contender gets it; it holds the name of its process

- *No clock is compared with another.* A heartbeat's age is the difference between the store's times for it and for the
  own one. The own is up to a fifth of a lease old, so a process counts as dead up to so much later.
- *On one machine* a process also holds a lock in its scratch folder (objects.scratch). Where that folder is there and
  nobody holds the lock, the process is dead, and nobody waits for the lease.
- *Few requests.* What others hold is read from a listing that is a second old or more. Whether a claim was got is not:
  the store decides that, and a listing made after it shows who else might hold it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from ..artefact import this_machine
from ..errors import DegradeError
from ..objects import Listing, ObjectPath, Out, each, put_conditionally, scratch
from . import claims
from .claims import BEATS, CLAIM, FOLDER, LEASE_S, PATIENCE_S, PROCESS, Claims, Process, is_free

RELEASE_S = 5.0  # of trying to give a claim back
LOCK = "lock"
KEPT_S = 86400.0  # the folder of a process that was killed, whose lock says that it is dead
ALONE = (
    "the store at {} does not keep two processes from creating the same object (If-None-Match). Start one process at a "
    "time: several would make some pairs twice, and spend time on it"
)


class ObjectClaims(Claims):
    """See `Claims`. Raises DegradeError where the store or the temporary folder takes nothing."""

    def __init__(self, out: ObjectPath, lease_s: float = LEASE_S) -> None:
        super().__init__(Path(), lease_s)
        self._at, self._lease_s = out / FOLDER, lease_s
        self._mine = self._at / self.name
        self._listing, self._owners = Listing(self._at), dict[str, str]()
        self._litter: list[str] = []  # claims that were given back while the store did not answer

    def __enter__(self) -> ObjectClaims:
        folder = scratch(self.name)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = FileLock(folder / LOCK, thread_local=False)
            self._lock.acquire(timeout=PATIENCE_S)
            _sweep_scratch(folder)
        except OSError as error:
            raise DegradeError(f"{folder} cannot be written ({error.strerror or error})",
                               mend="set TMPDIR to a folder with room for a few shards") from error  # fmt: skip
        try:
            self._touch()
            if not put_conditionally(self._mine):
                self.warning = ALONE.format(self._at.url)
        except BaseException:
            self._leave(keep=LOCK)
            raise
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        self._give_back()
        try:
            self._collect()
            self._remove(self.name)
        except DegradeError:  # the lock stays, free: it tells that nobody holds what could not be given back
            self._leave(keep=LOCK)
        else:
            self._leave()

    def _leave(self, keep: str = "") -> None:
        with suppress(OSError):
            self._lock.release()
        _empty(scratch(self.name), keep)

    def release(self, what: str) -> None:
        mine = self._held.pop(what)
        turn = int(mine.rpartition(".")[2])
        for claim in (f"{what}.{n}" for n in range(turn + 1)):
            try:
                self._remove(claim)
            except DegradeError:
                self._litter.append(claim)

    def lost(self, what: str) -> bool:
        try:
            return super().lost(what)
        except DegradeError:
            return False

    def sweep(self) -> None:
        with suppress(DegradeError):
            self._listing.names(afresh=True)
            super().sweep()

    def _beat(self) -> None:
        while not self._ended.wait(self._lease_s / BEATS):
            with suppress(DegradeError):  # the next beat may come through
                self._mine.hasty().put(self.name.encode())
                self._collect()

    def _collect(self) -> None:
        """Removes what could not be given back. Raises MachineFault."""
        for claim in list(self._litter):
            (self._at / claim).hasty().unlink()
            self._litter.remove(claim)

    def _touch(self) -> None:
        self._mine.put(self.name.encode())

    def _beats(self) -> bool:
        return self.name in self._names()

    def _remove(self, name: str) -> None:
        (self._at / name).hasty(0.0 if self._litter else RELEASE_S).unlink()

    def _create(self, name: str) -> None:
        got = (self._at / name).create(self.name.encode())
        self._litter = [claim for claim in self._litter if claim != name]
        self._listing.names(afresh=True)
        if not got:
            raise FileExistsError(name)

    def _names(self) -> list[str]:
        return [name for name in self._listing.names() if PROCESS.fullmatch(name) or CLAIM.fullmatch(name)]

    def _holds(self, claim: str) -> bool:
        if (found := self._listing.names().get(claim)) is None:
            return False
        if (owner := self._owners.get(found.tag)) is None:
            try:
                owner = (self._at / claim).read_bytes().decode("ascii", "replace")
            except FileNotFoundError:
                return False
            self._owners |= {found.tag: owner} if found.tag else {}
        if owner == self.name:  # else it was given back, and could not be removed
            return claim in self._held.values()
        return bool(PROCESS.fullmatch(owner)) and self._alive(owner)

    def _alive(self, name: str) -> bool:
        there = self._listing.names()
        if (found := there.get(name)) is None:
            return False
        if self.name not in there:  # taken for dead
            self._touch()
            there = self._listing.names(afresh=True)
        here = name.split("-")[-2] == this_machine()
        return there[self.name].changed - found.changed < self._lease_s and not (here and _ended(name))


def _ended(name: str) -> bool:
    """Whether a process is known to have ended: its lock lies in our temporary folder, and nobody holds it."""
    lock = scratch(name) / LOCK
    try:
        return lock.exists() and is_free(lock)
    except OSError:  # another user's
        return False


def claiming(out: Out, lease_s: float = LEASE_S) -> Claims:
    """The claims of this process on a run, wherever it lies."""
    return Claims(out, lease_s) if isinstance(out, Path) else ObjectClaims(out, lease_s)


def at_work(out: Out) -> list[Process]:
    """See `claims.at_work`. Raises MachineFault."""
    if isinstance(out, Path):
        return claims.at_work(out)
    there = (out / FOLDER).listed()
    held = [name for name in there if CLAIM.fullmatch(name) and name.partition(".")[0].isdecimal()]
    shards: dict[str, list[int]] = {}
    for name, owner in zip(held, each(out, lambda name: _read(out / FOLDER / name), held), strict=True):
        shards.setdefault(owner, []).append(int(name.partition(".")[0]))
    found = []
    for name in sorted(filter(PROCESS.fullmatch, there)):
        host, pid, _, _ = name.rsplit("-", 3)
        silent = max(0.0, time.time() - there[name].changed)
        found.append(Process(name, host, int(pid), silent, tuple(sorted(shards.get(name, ())))))
    return found


def _read(path: ObjectPath) -> str:
    try:
        return path.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return ""


def _sweep_scratch(own: Path) -> None:
    """Removes what killed processes left on this machine. Their locks stay for a day: they say who is dead."""
    for folder in Path(tempfile.gettempdir()).glob("degrade-engine-*"):
        lock = FileLock(folder / LOCK)
        if folder == own or not PROCESS.fullmatch(folder.name.removeprefix("degrade-engine-")):
            continue
        with suppress(OSError, Timeout):
            if not (folder / LOCK).exists():
                continue
            old = time.time() - (folder / LOCK).stat().st_mtime > KEPT_S
            lock.acquire(timeout=0)
            _empty(folder, "" if old else LOCK)
            lock.release()


def _empty(folder: Path, keep: str = "") -> None:
    """Removes a folder, or all of it but one file."""
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    for one in folder.iterdir() if keep else ():
        if one.name != keep:
            shutil.rmtree(one, ignore_errors=True)
