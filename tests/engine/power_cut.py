"""A disk that lies, as disks do: it keeps what was brought to it, and of the rest what it likes.

`Disk` runs a command under a small library (LD_PRELOAD) that asks this process before every call that brings something
to the disk, and after every rename. So it knows at each rename what a power cut would leave behind:

    Disk.bytes_lost    every name is there, as on ext4; a file holds what it held when it was last synced, or nothing
    Disk.names_lost    a folder holds the names that it held when it was last synced; records alone are there in any
                       case, since a folder may well come to the disk unasked
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

State = dict[str, bytes]  # path under OUT -> what the disk holds of it

SHIM = r"""
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool ask(const char *what, const char *path) {  // false: the call is refused
  const char *at = getenv("DISK_SOCKET");
  if (!at) return true;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  strncpy(name.sun_path, at, sizeof name.sun_path - 1);
  int line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char said[PATH_MAX + 32], answer = 'y';
  snprintf(said, sizeof said, "%s %s", what, path);
  if (connect(line, (sockaddr *)&name, sizeof name) || write(line, said, strlen(said)) < 0 ||
      shutdown(line, SHUT_WR) || read(line, &answer, 1) != 1) abort();
  close(line);
  return answer == 'y';
}
static int synced(const char *what, int file) {
  char link[64], path[PATH_MAX]{};
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  if (readlink(link, path, sizeof path - 1) < 0) return -1;
  if (ask(what, path)) return 0;
  errno = EINVAL;
  return -1;
}
extern "C" {
int fsync(int file) { return synced("fsync", file); }
int fdatasync(int file) { return synced("fsync", file); }
int syncfs(int file) { return synced("syncfs", file); }
void sync() { ask("syncfs", "/"); }
int rename(const char *from, const char *to) {
  static auto real = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
  int failed = real(from, to), before = errno;
  if (!failed) ask("rename", to);
  errno = before;
  return failed;
}
}
"""


def shim(folder: Path) -> Path:
    """The library, compiled."""
    if sys.platform != "linux" or not shutil.which("g++"):
        pytest.skip("needs Linux and g++")
    (folder / "shim.cpp").write_text(SHIM)
    line = ["g++", "-shared", "-fPIC", "-O1", "-o", str(folder / "shim.so"), str(folder / "shim.cpp"), "-ldl"]
    subprocess.run(line, check=True)
    return folder / "shim.so"


class Disk:
    """What of `out` is on the disk while a command works on it. refuses: calls that this disk does not know."""

    def __init__(
        self, library: Path, out: Path, refuses: Callable[[str, Path], bool] = lambda what, path: False
    ) -> None:
        self._library, self._out, self._refuses = library, out, refuses
        self._bytes: dict[int, bytes] = {}  # of a file by its inode, when it was last synced
        self._names: dict[int, dict[str, int]] = {}  # of a folder by its inode, when it was last synced
        self._held: list[int] = []  # keeps every inode in use, so that none is another file later
        self.asked = 0
        self.bytes_lost: list[tuple[str, State]] = []  # what was renamed, and what a cut right after it leaves
        self.names_lost: list[tuple[str, State]] = []

    def run(self, line: list[str]) -> None:
        """The command, to its end."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ear:
            at = self._library.with_name(f"s{os.getpid()}")
            at.unlink(missing_ok=True)
            ear.bind(str(at))
            ear.listen(64)
            threading.Thread(target=self._serve, args=(ear,), daemon=True).start()
            told = {"LD_PRELOAD": str(self._library), "DISK_SOCKET": str(at)}
            done = subprocess.run(
                [sys.executable, "-m", "degrade_engine", *line], env=os.environ | told, capture_output=True, text=True,
                timeout=120, check=False,
            )  # fmt: skip
            ear.shutdown(socket.SHUT_RDWR)
        assert done.returncode == 0, done.stderr

    def _serve(self, ear: socket.socket) -> None:
        while True:
            try:
                line, _ = ear.accept()
            except OSError:
                return
            with line:
                said = b""
                while some := line.recv(4096):
                    said += some
                what, _, path = said.decode().partition(" ")
                line.sendall(b"y" if self._heard(what, Path(path)) else b"n")

    def _heard(self, what: str, path: Path) -> bool:
        if what != "rename" and self._refuses(what, path):
            return False
        if what == "syncfs":
            for one in (self._out, *self._out.rglob("*")):
                self._keep(one)
        elif what == "fsync":
            self._keep(path)
        elif path.is_relative_to(self._out):
            name = path.relative_to(self._out).as_posix()
            if not name.startswith(("gt/", "lq/", "extra/")):
                self.bytes_lost.append((name, self._left(listing)))
                self.names_lost.append((name, self._left(self._durable)))
        self.asked += what != "rename"
        return True

    def _keep(self, path: Path) -> None:
        """A sync of a file or a folder."""
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return
        self._held.append(handle)
        inode = os.fstat(handle).st_ino
        if path.is_dir():
            self._names[inode] = listing(inode, path)
        else:
            self._bytes[inode] = path.read_bytes()

    def _durable(self, inode: int, now: Path | None) -> dict[str, int]:
        there = self._names.get(inode, {})
        return there | (listing(inode, now) if now is not None and now.name == "shards" else {})

    def _left(self, names: Callable[[int, Path | None], dict[str, int]]) -> State:
        """All that is left under OUT."""
        left: State = {}
        paths = {one.stat().st_ino: one for one in (self._out, *self._out.rglob("*")) if one.is_dir()}

        def walk(inode: int, folder: str) -> None:
            for name, one in names(inode, paths.get(inode)).items():
                if one < 0:
                    walk(-one, f"{folder}{name}/")
                else:
                    left[f"{folder}{name}"] = self._bytes.get(one, b"")

        walk(self._out.stat().st_ino, "")
        return left

    def close(self) -> None:
        """Let go of what it holds."""
        for handle in self._held:
            os.close(handle)


def listing(inode: int, folder: Path | None) -> dict[str, int]:
    """Names in a folder and the inodes behind them, those of folders negative."""
    try:
        found = os.scandir(folder) if folder else ()
        return {one.name: -one.inode() if one.is_dir() else one.inode() for one in found}
    except FileNotFoundError:
        return {}


def lay(state: State, out: Path) -> None:
    """Put what is left into a new folder, as old as it is once a machine has started again."""
    out.mkdir()
    for name, data in state.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
        os.utime(out / name, (86400, 86400))
