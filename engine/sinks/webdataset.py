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
from . import tars
from .contract import HEAD, Row, check_stem, compare, json_line, one_scale, scale_of, size_of, stems_of, write_rows
from .names import packed
from .roles import ROLES
from .sink import Sink


class TarSink(Sink):
    """Collects a shard's images in files and makes one tar of them when it is committed, so memory holds one pair."""

    with_rows: bool  # STEM.json of each pair

    def commit(self, shard: int, rows: Sequence[Row]) -> dict[str, list[int]]:
        make_folder(self._partial, self.out)
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
        return super().commit(shard, rows)

    def _files(self, where: str, shard: int, stems: Sequence[str]) -> list[Path]:
        return [self.tar(shard)] if where in self.folders else super()._files(where, shard, stems)

    def _holds(self, where: str, shard: int, stems: Sequence[str], sizes: Sequence[int] | None) -> bool:
        if where not in self.folders:
            return super()._holds(where, shard, stems, sizes)
        path, size = self.tar(shard), sizes[0] if sizes else None
        if not tars.is_whole(path, size, empty=not stems):
            return False
        try:
            return size is not None or sorted(self._looked_at(path, set())) == sorted(stems)
        except (OSError, DegradeError):
            return False

    def tar(self, shard: int) -> Path:
        """Where the tar of a shard lies."""
        return self.out / self.folders[0] / f"pairs-{shard:05d}.tar"

    def _members(self, by_stem: dict[str, Row]) -> Iterator[tuple[str, bytes]]:
        for stem, row in by_stem.items():
            for role in ROLES:
                yield f"{stem}.{role}.{self._format}", self._spooled(stem, role).read_bytes()
            if self.with_rows:
                yield f"{stem}.json", json_line(row).encode()

    def _store(self, stem: str, gt: bytes | Path | None, lq: bytes) -> None:
        make_folder(self._partial, self.out)
        if isinstance(gt, Path):  # its bytes go into a tar, which holds no links
            gt = gt.read_bytes()
        for role, data in zip(ROLES, (gt or b"", lq), strict=True):
            self._spooled(stem, role).write_bytes(data)

    def _looked_at(self, path: Path, scales: set[int]) -> Iterator[str]:
        """The stems of a tar, each with whole images; adds their scales."""
        images = [f"{role}.{self._format}" for role in ROLES]
        wanted = [*images, "json"] if self.with_rows else images
        for stem, parts in tars.samples(path, most=HEAD):
            if set(parts) != set(wanted):
                raise DegradeError(f"{path} holds of {stem} {', '.join(parts)}", wanted=", ".join(wanted),
                                   mend="delete it and run again")  # fmt: skip
            gt, lq = (size_of(parts[name], f"{path}: {stem}.{name}", self._format) for name in images)
            scales.add(scale_of(stem, gt, lq))
            yield check_stem(stem)

    def _spooled(self, stem: str, role: str) -> Path:
        return self._partial / f"{stem}.{role}.{self._format}"


class WebDatasetSink(TarSink):
    """webdataset/: see the module's docstring."""

    folders = ("webdataset",)
    with_rows = True

    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        folder = self.out / self.folders[0]
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
