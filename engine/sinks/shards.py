"""A sink that keeps a shard's pairs in one file, whole before the shard's record is written: a tar or a Parquet file.

A shard's images are spooled as files and become one file when it is committed, so memory holds little however long the
run, and a shard that was stopped has none.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from ..artefact import make_folder
from ..errors import DegradeError
from .contract import Row, compare, json_line, one_scale, stems_of, write_rows
from .names import packed
from .roles import ROLES, Role
from .sink import Sink


class ShardSink(Sink):
    """pairs-00000.ENDING of each shard, in the only one of `folders`."""

    ending: str

    @abstractmethod
    def _write_shard(self, file: IO[bytes], by_stem: Mapping[str, Row]) -> None:
        """Write the file of these rows, whose images are spooled. Raises OSError."""

    @abstractmethod
    def _shard_is_whole(self, path: Path, size: int | None, empty: bool) -> bool:
        """Whether such a file is there with so many bytes (None: nobody knows), and begins and ends as one does; empty:
        without a pair. What cannot be read is not whole."""

    @abstractmethod
    def _looked_at(self, path: Path, scales: set[int]) -> Iterator[str]:
        """The stems of a file, each with whole images; adds their scales. Raises DegradeError, OSError."""

    def commit(self, shard: int, rows: Sequence[Row]) -> dict[str, list[int]]:
        make_folder(self._partial, self.out)
        temporary = self._partial / f"{shard:05d}.{self.ending}"
        by_stem = dict(sorted(zip(stems_of(rows), rows, strict=True)))
        try:
            with open(temporary, "wb") as file:
                self._write_shard(file, by_stem)
            os.replace(temporary, self.file_of(shard))
        finally:
            temporary.unlink(missing_ok=True)
        for stem in by_stem:
            for role in ROLES:
                self._spooled(stem, role).unlink()
        return super().commit(shard, rows)

    def file_of(self, shard: int) -> Path:
        """Where the file of a shard lies."""
        return self.out / self.folders[0] / f"pairs-{shard:05d}.{self.ending}"

    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        folder = self.out / self.folders[0]
        with self.books() as books:
            wanted = write_rows(rows, books["manifest.jsonl"])
            books["rejects.jsonl"].writelines(map(json_line, rejects))
            paths = sorted(folder.glob(f"pairs-*.{self.ending}"))
            with os.scandir(folder) as listing:
                compare(packed(one.name for one in listing), packed(path.name for path in paths), folder)
            scales: set[int] = set()
            found = packed(stem for path in paths for stem in self._looked_at(path, scales))
            compare(found, wanted, folder)
            if len(found) > len(wanted):
                raise DegradeError(f"{folder} holds a pair twice", mend="delete its files and run again")
            one_scale(scales, folder)

    def files(self, where: str, shard: int, stems: Sequence[str]) -> list[Path]:
        return [self.file_of(shard)] if where in self.folders else super().files(where, shard, stems)

    def _holds(self, where: str, shard: int, stems: Sequence[str], sizes: Sequence[int] | None) -> bool:
        if where not in self.folders:
            return super()._holds(where, shard, stems, sizes)
        path, size = self.file_of(shard), sizes[0] if sizes else None
        if not self._shard_is_whole(path, size, empty=not stems):
            return False
        try:
            return size is not None or sorted(self._looked_at(path, set())) == sorted(stems)
        except (OSError, DegradeError):
            return False

    def _store(self, stem: str, gt: bytes | Path | None, lq: bytes | Path) -> None:
        make_folder(self._partial, self.out)
        for role, data in zip(ROLES, (gt or b"", lq), strict=True):
            if isinstance(data, Path):  # its bytes go into a file that holds no links
                data = data.read_bytes()
            self._spooled(stem, role).write_bytes(data)

    def _spooled(self, stem: str, role: Role) -> Path:
        return self._partial / f"{stem}.{role}.{self._format}"
