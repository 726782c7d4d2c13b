"""The images below a folder of this machine, without their bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from ..errors import BadImage
from ..faults import Patience
from ..images import ENDINGS

Complain = Callable[[str, str, str], None]  # path, reason and detail of what cannot be listed


class Walk:
    """Iterates over their paths, relative to the folder: real folders depth first in the order of whole paths, then
    each link to another folder. there: raises unless the folder itself is there.
    """

    def __init__(self, prefix: str, patience: Patience, there: Callable[[], object], complain: Complain) -> None:
        self._prefix, self._patience, self._there, self._complain = prefix, patience, there, complain
        self._seen: set[tuple[int, int]] = set()
        self._links: list[str] = []

    def __iter__(self) -> Iterator[str]:
        waiting = [""]  # a stack: files as they are, folders with a "/" at their end
        while waiting or self._links:
            if not waiting:
                self._links.sort(reverse=True)
                waiting.append(self._links.pop())
            path = waiting.pop()
            if path and not path.endswith("/"):
                yield path
                continue
            below = self._below(path)
            below.sort(reverse=True)  # code points, which is the order of UTF-8's bytes
            waiting += below

    def _below(self, path: str) -> list[str]:
        """The images and real folders in a folder that was not seen before; linked folders go to `_links`."""
        folder = (self._prefix + path).rstrip("/") or "/"
        below: list[str] = []
        try:
            found = self._patience.ask(folder, lambda: os.stat(folder), self._there)
            if (found.st_dev, found.st_ino) in self._seen:
                return []
            listing = self._patience.ask(folder, lambda: _listing(folder), self._there)
        except BadImage as bad:
            self._complain(path[:-1], bad.reason, str(bad))
            return []
        self._seen.add((found.st_dev, found.st_ino))
        for name, is_folder, is_link in listing:
            if is_link:
                try:
                    is_folder = self._leads_to_a_folder(folder, name)
                except BadImage as bad:
                    self._complain(path + name, bad.reason, str(bad))
                    continue
            if is_folder:
                (self._links if is_link else below).append(f"{path}{name}/")
            elif name.lower().endswith(ENDINGS):
                below.append(path + name)
        return below

    def _leads_to_a_folder(self, folder: str, name: str) -> bool:
        full = os.path.join(folder, name)
        return stat.S_ISDIR(self._patience.ask(full, lambda: os.stat(full), self._there).st_mode)


def _listing(folder: str) -> list[tuple[str, bool, bool]]:
    """Name, whether it is a real folder, whether it is a link, of all that is not hidden."""
    with os.scandir(folder) as listing:
        return [
            (one.name, one.is_dir(follow_symlinks=False), one.is_symlink())
            for one in listing
            if not one.name.startswith(".")
        ]
