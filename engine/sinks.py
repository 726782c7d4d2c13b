"""The kinds of sink by name, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from .errors import DegradeError
from .sink import FolderSink, Sink

Kind = Literal["folder", "lmdb", "webdataset"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def require(kind: Kind) -> None:
    """DegradeError where a library that the kind needs is not installed."""
    if kind == "lmdb" and find_spec("lmdb") is None:
        raise DegradeError("LMDB needs the package lmdb, which is not installed",
                           mend="pip install 'degrade-engine[sinks]'")  # fmt: skip


def open_sink(kind: Kind, out: Path, alive: Collection[str] = ()) -> Sink:
    """A sink that writes into `out`; what a process that is not among the `alive` left unfinished is removed. Raises
    DegradeError, OSError.
    """
    require(kind)
    if kind == "folder":
        return FolderSink(out, alive=alive)
    if kind == "lmdb":
        from .sink_lmdb import LmdbSink

        return LmdbSink(out, alive=alive)
    from .sink_webdataset import WebDatasetSink

    return WebDatasetSink(out, alive=alive)
