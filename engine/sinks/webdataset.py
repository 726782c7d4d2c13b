"""Pairs as WebDataset shards, and the tar of a shard that the LMDB sink builds on.

    OUT/webdataset/pairs-00000.tar    a shard: STEM.gt.png, STEM.lq.png and STEM.json (manifest row) of each pair;
                                      or .gt.webp and .lq.webp

A shard's tar is written whole before its record, so a shard that was stopped has none. It holds the pairs of one shard
of the plan (`--shard-pairs`), in which pairs are sorted by number of steps: let the loader shuffle.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..artefact import make_folder
from ..errors import DegradeError
from ..images import PNG_LEVEL, Format
from . import tars
from .contract import (
    HEAD,
    Row,
    check_stem,
    compare,
    json_line,
    one_scale,
    scale_of,
    size_of,
    stems_of,
    write_rows,
)
from .names import packed
from .sink import Alive, Gt, Sink

ROLES = ("gt", "lq")


class TarSink(Sink):
    """Collects a shard's images in files and makes one tar of them when it is committed, so memory holds one pair."""

    folder: str  # under OUT, where the tars lie
    with_rows: bool  # STEM.json of each pair

    def __init__(
        self, out: Path, *, alive: Alive = tuple, sync: bool = False, png_level: int = PNG_LEVEL,
        gt: Gt = "crop", file_format: Format = "png",
    ) -> None:  # fmt: skip
        super().__init__(out, alive=alive, sync=sync, png_level=png_level, gt=gt, file_format=file_format)
        (self.out / self.folder).mkdir(exist_ok=True)

    def commit(self, shard: int, rows: Sequence[Row]) -> None:
        make_folder(self._partial)
        temporary = self._partial / f"{shard:05d}.tar"
        by_stem = dict(sorted(zip(stems_of(rows), rows, strict=True)))
        try:
            with open(temporary, "wb") as file:
                tars.write(file, self._members(by_stem))
            os.replace(temporary, self.tar(shard))
        finally:
            temporary.unlink(missing_ok=True)
        for stem in by_stem:
            for role in ROLES:
                self._spooled(stem, role).unlink()

    def tar(self, shard: int) -> Path:
        """Where the tar of a shard lies."""
        return self.out / self.folder / f"pairs-{shard:05d}.tar"

    def _members(self, by_stem: dict[str, Row]) -> Iterator[tuple[str, bytes]]:
        for stem, row in by_stem.items():
            for role in ROLES:
                yield f"{stem}.{role}.{self._format}", self._spooled(stem, role).read_bytes()
            if self.with_rows:
                yield f"{stem}.json", json_line(row).encode()

    def _store(self, stem: str, gt: bytes | Path | None, lq: bytes) -> None:
        make_folder(self._partial)
        if isinstance(gt, Path):  # its bytes go into a tar, which holds no links
            gt = gt.read_bytes()
        for role, data in zip(ROLES, (gt or b"", lq), strict=True):
            self._spooled(stem, role).write_bytes(data)

    def _spooled(self, stem: str, role: str) -> Path:
        return self._partial / f"{stem}.{role}.{self._format}"


class WebDatasetSink(TarSink):
    """webdataset/: see the module's docstring."""

    folder = "webdataset"
    with_rows = True

    def holds(self, shard: int, stems: Sequence[str]) -> bool:
        return self.tar(shard).is_file()

    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        folder = self.out / self.folder
        with self._books() as books:
            wanted = write_rows(rows, books["manifest.jsonl"])
            books["rejects.jsonl"].writelines(map(json_line, rejects))
            paths = sorted(folder.glob("pairs-*.tar"))
            with os.scandir(folder) as listing:
                compare(packed(one.name for one in listing), packed(path.name for path in paths), folder)
            scales: set[int] = set()
            found = packed(stem for path in paths for stem in self._looked_at(path, scales))
            compare(found, wanted, folder)
            if len(found) > len(wanted):
                raise DegradeError(f"{folder} holds a pair twice", mend="delete its tars and run again")
            one_scale(scales, folder)

    def _looked_at(self, path: Path, scales: set[int]) -> Iterator[str]:
        """The stems of a tar, each with whole images; adds their scales."""
        images = [f"{role}.{self._format}" for role in ROLES]
        for stem, parts in tars.samples(path, most=HEAD):
            if set(parts) != {*images, "json"}:
                raise DegradeError(f"{path} holds of {stem} {', '.join(parts)}", wanted=", ".join([*images, "json"]),
                                   mend="delete it and run again")  # fmt: skip
            gt, lq = (size_of(parts[name], f"{path}: {stem}.{name}", self._format) for name in images)
            scales.add(scale_of(stem, gt, lq))
            yield check_stem(stem)
