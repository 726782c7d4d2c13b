"""The kinds of sink by name, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from ..artefact import from_json
from ..errors import DegradeError
from ..images import FAST, ZLIB_LEVEL, Format, PngLevel, usual_level
from ..objects import ObjectPath, Out, scratch
from ..objects import require as require_store
from .folder import FolderSink
from .objects import ObjectSink
from .shards import ShardSink
from .sink import Alive, Gt, Sink

SinkKind = Literal["folder", "lmdb", "webdataset", "parquet"]
KINDS: tuple[SinkKind, ...] = get_args(SinkKind)
SINK = "sink"  # its key in plan.json


@dataclass(frozen=True)
class Output:
    """How a run's pairs are kept: not part of the plan, which says what they are, but it decides files and bytes.

    png_level: see `images.encode_png`; None: as the run began, see `settled`. gt, file_format: see `sink.Sink`.
    """

    kind: SinkKind = "folder"
    png_level: PngLevel | None = None
    gt: Gt = "crop"
    file_format: Format = "png"

    def __post_init__(self) -> None:
        if self.png_level not in (None, FAST, *range(10)) or isinstance(self.png_level, bool):
            raise DegradeError(f"png_level is {self.png_level!r}", wanted=f"{FAST}, or a whole number from 0 to 9")
        if self.gt == "none" and self.kind != "folder":
            fact = f"--gt none was given with --sink {self.kind}, whose readers need pairs"
            raise DegradeError(fact, wanted="--sink folder")
        if self.gt == "link" and self.file_format != "png":
            raise DegradeError("--gt link keeps HR files as the PNGs that they are, and --format is webp",
                               wanted="--gt crop, or --format png")  # fmt: skip

    def settled(self, page: Mapping[str, Any] | None = None) -> Output:
        """This output with a level for PNGs: what was asked for, or else the one of plan.json's page, if there is one,
        or else what this machine does fastest.
        """
        if self.png_level is not None:
            return self
        return replace(self, png_level=usual_level() if page is None else Output.split(page)[1].png_level)

    def to_json(self) -> dict[str, Any]:
        """Fields written to plan.json: the kind and every option that is not as in the first releases."""
        usual = Output.first().facts()
        return {name: value for name, value in self.facts().items() if name == SINK or value != usual[name]}

    def facts(self) -> dict[str, Any]:
        """All of it, by the names of plan.json."""
        return {SINK: self.kind} | {one.name: getattr(self, one.name) for one in fields(self) if one.name != "kind"}

    @classmethod
    def first(cls) -> Output:
        """Of the first releases: what a page means that says nothing."""
        return cls(png_level=ZLIB_LEVEL)

    @classmethod
    def split(cls, page: Mapping[str, Any]) -> tuple[dict[str, Any], Output]:
        """plan.json's page as (the plan's, how its pairs are kept). Raises DegradeError."""
        usual = cls.first().facts()
        rest = {name: value for name, value in page.items() if name not in usual}
        facts = usual | {name: value for name, value in page.items() if name not in rest}
        return rest, from_json(cls, {"kind": facts.pop(SINK)} | facts, "plan.json")


_NEEDS: dict[SinkKind, tuple[str, str]] = {"lmdb": ("lmdb", "sinks"), "parquet": ("pyarrow", "parquet")}
"""The package of a kind, and the extra that brings it."""


IN_STORES: tuple[SinkKind, ...] = ("webdataset", "parquet")


def require(kind: SinkKind, out: Out | None = None) -> None:
    """DegradeError where a library that the kind needs is not installed, or where `out` cannot hold the kind."""
    if isinstance(out, ObjectPath):
        require_store(out.url)
        if kind not in IN_STORES:
            fact = f"--sink {kind} writes many small or changing files, and {out.url} is an object store"
            raise DegradeError(fact, wanted="--sink webdataset or parquet, which write a file per shard",
                               mend="or give a folder as --out")  # fmt: skip
    package, extra = _NEEDS.get(kind, ("", ""))
    if package and find_spec(package) is None:
        raise DegradeError(f"--sink {kind} needs the package {package}, which is not installed",
                           mend=f"pip install 'degrade-engine[{extra}]'")  # fmt: skip


def open_sink_at(output: Output, out: Out, alive: Alive = tuple) -> Sink | ObjectSink:
    """`open_sink` for a run, which may lie in an object store. Raises DegradeError, OSError."""
    if isinstance(out, Path):
        return open_sink(output, out, alive)
    require(output.kind, out)
    made = open_sink(output, scratch() / "out", alive)
    assert isinstance(made, ShardSink)  # of IN_STORES
    return ObjectSink(made, out)


def open_sink(output: Output | SinkKind, out: Path, alive: Alive = tuple) -> Sink:
    """A sink that writes into `out`; what a process that is not among the `alive` left unfinished is removed. Raises
    DegradeError, OSError.
    """
    if isinstance(output, str):
        output = Output(output)
    kind, output = output.kind, output.settled()
    kept: dict[str, Any] = {"png_level": output.png_level, "gt": output.gt, "file_format": output.file_format}
    require(kind)
    if kind == "folder":
        return FolderSink(out, alive=alive, **kept)
    if kind == "lmdb":
        from .lmdb import LmdbSink

        return LmdbSink(out, alive=alive, **kept)
    if kind == "parquet":
        from .parquet import ParquetSink

        return ParquetSink(out, alive=alive, **kept)
    from .webdataset import WebDatasetSink

    return WebDatasetSink(out, alive=alive, **kept)
