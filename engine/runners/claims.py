"""Who does which shard, where several processes, perhaps on several machines, work on one output folder.

    OUT/claims/PROCESS          a process at work: holds its name, and the time of its last change is its heartbeat
    OUT/claims/PROCESS.lock     held through the operating system for as long as that process lives
    OUT/claims/WHAT.0           a claim: a hard link to PROCESS, which has WHAT; .1 after a takeover, and so on

Of several contenders one makes the link, whole and with its name. A claim is good for as long as its process is alive:
its heartbeat is younger than the lease, and on one machine its lock is held. So a killed process frees its claims at
once on its own machine, and after a lease elsewhere.

- *No clock is compared with another.* Age is the file system's: touch the own heartbeat, and compare the two times.
- *No claim of a living process is touched.* Whoever finds WHAT.0 orphaned makes WHAT.1, again exclusively. Whoever then
  sees another living claim on WHAT (its listing was old) steps back.
- *A process that was thought dead and was not* is harmless: it commits, by renames, the bytes that its successor
  commits. Claims save work; records (`records.py`) are the truth.
- *Names of no such form* are somebody else's files: they are passed over and stay.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from ..artefact import make_folder, process_name, this_machine
from ..errors import DegradeError

FOLDER = "claims"
LEASE_S = 60.0
PATIENCE_S = 1.0  # with a folder that others make and remove
BEATS = 5  # heartbeats a lease: four may be late
PROCESS = re.compile(r"\w+-[0-9]+-[0-9a-f]{8}-[0-9a-f]{8}", re.ASCII)  # artefact.process_name
CLAIM = re.compile(r"(\w+)\.([0-9]{1,9})", re.ASCII)
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class Claims:
    """This process's part in the run in `out`, from `with` to the end of the block, which gives all claims back.

    lease_s: after so many seconds without a heartbeat a process on another machine counts as dead. The same for all
    that share a folder, and longer than the file system caches attributes. Raises DegradeError where `out` takes no
    files.
    """

    def __init__(self, out: Path, lease_s: float = LEASE_S) -> None:
        self.name = process_name()
        self._folder, self._lease_s = out / FOLDER, lease_s
        self._heartbeat = self._folder / self.name
        self._held: dict[str, str] = {}  # what -> the name of the claim
        self._ended = threading.Event()
        self.warning = ""  # what the user should know of the place

    def __enter__(self) -> Claims:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                make_folder(self._folder)
                self._lock = FileLock(self._folder / f"{self.name}.lock", thread_local=False)
                # Before the heartbeat is there: who has one and no lock is dead. The time-out: no lock can be had here.
                self._lock.acquire(timeout=PATIENCE_S)
                self._touch()
                break
            except OSError as error:
                if isinstance(error, FileNotFoundError | FileExistsError) and time.monotonic() < until:
                    time.sleep(0.001)
                    continue  # the last of the others has just removed the folder
                raise DegradeError(
                    f"{self._folder} cannot be written ({error.strerror or error})", mend="choose another output folder"
                ) from error
        self._start()
        return self

    def _start(self) -> None:
        self._ended.clear()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        self._give_back()
        lock = Path(self._lock.lock_file)
        for last in (self._heartbeat.unlink, lock.unlink, self._lock.release, self._folder.rmdir):
            with suppress(OSError):  # gone with the output; or others are at work, and need the folder
                last()

    def _give_back(self) -> None:
        self._ended.set()
        self._thread.join(PATIENCE_S)  # not for ever: it may hang in a file system that is away
        for what in list(self._held):
            self.release(what)

    def take(self, what: str) -> bool:
        """Whether `what` is now this process's. What others have made of it meanwhile is for the caller to look at."""
        if what in self._held:
            return True
        there = self._claims(what)
        if any(self._holds(claim) for claim in there.values()):
            return False
        mine = f"{what}.{max(there, default=-1) + 1}"
        try:
            self._create(mine)
        except FileExistsError:
            return False
        if any(self._holds(other) for other in self._claims(what).values() if other != mine):
            self._remove(mine)
            return False
        self._held[what] = mine
        return True

    def release(self, what: str) -> None:
        """Give `what` back; whatever dead processes had claimed of it goes too. Where the folder does not answer, the
        lease frees it.
        """
        mine, there = self._held.pop(what), {}
        with suppress(OSError):
            there = self._claims(what)
        if not there or there[max(there)] != mine:  # it is another's by now
            there = {0: mine}
        for _, claim in sorted(there.items()):
            with suppress(OSError):
                self._remove(claim)

    def lost(self, what: str) -> bool:
        """Whether this process was taken for dead, and `what` may be another's. Not where the folder does not
        answer.
        """
        try:
            return self._lost(what, self._held[what]) or not self._beats()
        except OSError:
            return False

    @contextmanager
    def alone(self, what: str, poll_s: float = 0.1) -> Iterator[None]:
        """Holds `what` until the block ends; waits for another holder."""
        while not self.take(what):
            time.sleep(poll_s)
        try:
            yield
        finally:
            self.release(what)

    def others(self) -> frozenset[str]:
        """The names of the other processes that are alive."""
        names = {name for name in self._names() if PROCESS.fullmatch(name) and name != self.name}
        return frozenset(name for name in names if self._alive(name))

    def sweep(self) -> None:
        """Remove what dead processes left here. For the one that closes a run whose work is all done."""
        for name in self._names():
            stem, dot, ending = name.partition(".")
            if not dot:
                gone = name != self.name and not self._alive(name)
            elif ending == "lock":
                gone = not (self._folder / stem).exists() and is_free(self._folder / name)
            else:
                gone = name not in self._held.values() and not self._holds(name)
            if gone:
                with suppress(IsADirectoryError, PermissionError):  # none of ours, by whatever name
                    self._remove(name)

    def _beat(self) -> None:
        while not self._ended.wait(self._lease_s / BEATS):
            with suppress(OSError):  # such as a server that is away; the next beat may come through
                self._touch()

    def _touch(self) -> None:
        try:
            os.utime(self._heartbeat)
        except FileNotFoundError:  # the first time, or this process was taken for dead
            self._folder.mkdir(exist_ok=True)  # not its parent: an output that is gone stays so
            self._heartbeat.write_text(self.name, encoding="ascii")

    def _beats(self) -> bool:
        """Whether this process's heartbeat is there."""
        return self._heartbeat.exists()

    def _remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def _create(self, name: str) -> None:
        """A claim, all at once. Raises FileExistsError."""
        self._touch()  # it has to be there
        path = self._folder / name
        try:
            os.link(self._heartbeat, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: in two steps, and a kill between them costs a lease
            with open(path, "x", encoding="ascii") as file:
                file.write(self.name)

    def _names(self) -> list[str]:
        """Of what processes made in the folder: none where the last of them has removed it. Raises OSError where the
        output is gone.
        """
        try:
            names = sorted(one.name for one in os.scandir(self._folder))  # heartbeats before their locks
        except FileNotFoundError:
            self._folder.parent.stat()
            return []
        return [name for name in names if PROCESS.fullmatch(name.removesuffix(".lock")) or CLAIM.fullmatch(name)]

    def _claims(self, what: str) -> dict[int, str]:
        """The claims on `what` by their turn."""
        split = filter(None, map(CLAIM.fullmatch, self._names()))
        return {int(one[2]): one[0] for one in split if one[1] == what}

    def _lost(self, what: str, mine: str) -> bool:
        turns = self._claims(what)
        return not turns or turns[max(turns)] != mine

    def _holds(self, claim: str) -> bool:
        """Whether the process that made a claim is alive."""
        try:
            with open(self._folder / claim, "rb") as file:  # opening asks the server, where a stat may be cached
                owner, changed = file.read(200).decode("ascii", "replace"), os.fstat(file.fileno()).st_mtime
        except _NO_FILE:
            return False
        if not PROCESS.fullmatch(owner):  # being written at this moment, or never
            return self._is_young(changed)
        if owner == self.name:  # else it was given back, and could not be removed
            return claim in self._held.values()
        return self._alive(owner)

    def _alive(self, name: str) -> bool:
        try:
            with open(self._folder / name, "rb") as file:
                changed = os.fstat(file.fileno()).st_mtime
        except _NO_FILE:
            return False
        here = name.split("-")[-2] == this_machine()
        return self._is_young(changed) and not (here and is_free(self._folder / f"{name}.lock"))

    def _is_young(self, changed: float) -> bool:
        """Whether a time of change lies within a lease, by the clock of the file system that wrote it."""
        self._touch()
        return self._heartbeat.stat().st_mtime - changed < self._lease_s


@dataclass(frozen=True)
class Process:
    """A process that works on a run, or did so until it was killed. silent_s: seconds since its last heartbeat, by the
    clock of the machine that asks."""

    name: str  # artefact.process_name
    host: str
    pid: int
    silent_s: float
    shards: tuple[int, ...]  # that it claims


def at_work(out: Path) -> list[Process]:
    """The processes that have a heartbeat in a run's folder, by name. Only reads."""
    found, claims = [], dict[str, list[int]]()
    try:
        listing = sorted(os.scandir(out / FOLDER), key=lambda one: one.name)
    except OSError:  # nobody is at work
        return []
    for one in listing:
        if (claim := CLAIM.fullmatch(one.name)) and claim[1].isdecimal() and len(claim[1]) < 10:
            with suppress(OSError):
                owner = Path(one.path).read_bytes()[:200].decode("ascii", "replace")
                claims.setdefault(owner, []).append(int(claim[1]))
    for one in listing:
        if PROCESS.fullmatch(one.name):
            with suppress(OSError):
                host, pid, _, _ = one.name.rsplit("-", 3)
                silent = max(0.0, time.time() - one.stat().st_mtime)
                found.append(Process(one.name, host, int(pid), silent, tuple(sorted(claims.get(one.name, ())))))
    return found


def is_free(path: Path) -> bool:
    """Whether nobody on this machine holds a lock."""
    if not path.exists():
        return True
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):  # OSError: no locks here, so the lease decides
        return False
    lock.release()
    return True
