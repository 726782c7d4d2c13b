"""Where images lie: a folder or a glob (`folders.py`), a list of paths (`lists.py`), or a URL (`remote.py`)."""

from __future__ import annotations

from pathlib import Path

from ..faults import Patience
from .folders import Folder, Place, is_folder
from .globs import MAGIC, split_glob
from .lists import Listed
from .remote import Remote

Where = str | Path | Place


def at(where: Where, patience: Patience = Patience()) -> Place:  # noqa: B008 - frozen
    """The place that is meant: a URL ("://" or "::" in it), a list (a .txt file), a glob ("*", "?" or "[" in it, and no
    such folder), else a folder; a Path is always a folder, and a Place is itself. Raises DegradeError.
    """
    if isinstance(where, Path):
        return Folder(where, patience=patience)
    if not isinstance(where, str):
        return where
    if "::" in where or ("://" in where and not where.startswith("file://")):
        return Remote.open(where, patience)
    path = where.removeprefix("file://")
    a_list, a_glob = path.lower().endswith(".txt"), MAGIC.search(path)
    if not (a_list or a_glob) or patience.ask(path, lambda: is_folder(path)):
        return Folder(Path(path), patience=patience)
    if a_glob:
        root, pattern = split_glob(path)
        return Folder(Path(root or "."), pattern, patience)
    return Listed.open(Path(path), patience)
