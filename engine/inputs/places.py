"""Where images lie: a folder or a glob (`folders.py`), a list of paths (`lists.py`), archives (`packed.py`), or a URL
(`remote.py`)."""

from __future__ import annotations

import glob
from functools import partial
from pathlib import Path

from ..errors import DegradeError
from ..faults import Patience
from .folders import Folder, Place, is_folder
from .globs import MAGIC, braces, split_glob
from .lists import Listed
from .packed import PICK, Packed, files_of_dataset, kind_of
from .remote import Remote

Where = str | Path | Place


def at(where: Where, patience: Patience = Patience()) -> Place:  # noqa: B008 - frozen
    """The place that is meant: a URL ("://" or "::" in it), a list (a .txt or .jsonl file), archives (.tar, .zip,
    .lmdb, .parquet or .arrow: one, a glob, or {000..099}), what `save_to_disk` of datasets wrote, a glob of images
    ("*", "?" or "[" in it, and no such folder), else a folder. A Path is a folder or one archive, as it stands; a Place
    is itself. Raises DegradeError.
    """
    if isinstance(where, Path):
        return _packed(str(where), "", [str(where)], patience) or Folder(where, patience=patience)
    if not isinstance(where, str):
        return where
    if "::" in where or ("://" in where and not where.startswith("file://")):
        return Remote.open(where, patience)
    path = where.removeprefix("file://")
    before, mark, pick = path.rpartition(PICK)
    asked = before if mark and (kind_of(before) or Path(before, "state.json").is_file()) else path
    pick = pick if asked == before else ""
    several = braces(asked)
    if kind_of(asked) and len(several) == 1 and MAGIC.search(asked) and not Path(asked).exists():
        several = sorted(glob.glob(asked, recursive=True))
        if not several:
            raise DegradeError(f"no file fits {asked}", wanted="archives of images")
    if packed := _packed(path, pick, several, patience):
        return packed
    a_list, a_glob = path.lower().endswith((".txt", ".jsonl")), MAGIC.search(path)
    if not (a_list or a_glob) or patience.ask(path, lambda: is_folder(path)):
        return Folder(Path(path), patience=patience)
    if a_glob:
        root, pattern = split_glob(path)
        return Folder(Path(root or "."), pattern, patience)
    return Listed.open(Path(path), patience)


def _packed(name: str, pick: str, paths: list[str], patience: Patience) -> Packed | None:
    """None where the paths are no archives: a folder may have any name."""
    saved = patience.ask(name, partial(files_of_dataset, Path(paths[0]))) if len(paths) == 1 else None
    if saved is not None:
        return Packed(name, tuple(map(Path, saved)), pick, patience)
    kinds = {kind_of(path) for path in paths}
    if not any(kinds):
        return None
    if len(kinds) > 1:
        raise DegradeError(f"{name} names files of several kinds", wanted="only .tar, .zip, .lmdb, .parquet or .arrow")
    for path in paths:
        folder = patience.ask(path, partial(is_folder, path))
        if kinds == {".lmdb"}:
            if not Path(path, "data.mdb").is_file() and len(paths) > 1:
                raise DegradeError(f"{path} is no LMDB", wanted="a folder with data.mdb")
            folder = not Path(path, "data.mdb").is_file()
        if folder:
            return None
        if folder is None and not Path(path).exists():
            raise DegradeError(f"{path} is not there", wanted="a file of images, or a folder")
    return Packed(name, tuple(map(Path, paths)), pick, patience)
