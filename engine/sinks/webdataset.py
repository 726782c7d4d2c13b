"""Pairs as WebDataset shards, and the tar of a shard that the LMDB sink builds on.

    OUT/webdataset/pairs-00000.tar    a shard: STEM.gt.png, STEM.lq.png and STEM.json (manifest row) of each pair;
                                      or .gt.webp and .lq.webp

A tar holds the pairs of one shard of the plan (`--shard-pairs`), in which pairs are sorted by number of steps: let the
loader shuffle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from ..errors import DegradeError
from . import tars
from .contract import HEAD, Row, check_stem, json_line, scale_of, size_of
from .roles import ROLES
from .shards import ShardSink


class TarSink(ShardSink):
    """A tar a shard. Memory holds one pair."""

    ending = "tar"
    with_rows: bool  # STEM.json of each pair

    def _write_shard(self, file: IO[bytes], by_stem: Mapping[str, Row]) -> None:
        tars.write(file, self._members(by_stem))

    def _members(self, by_stem: Mapping[str, Row]) -> Iterator[tuple[str, bytes]]:
        for stem, row in by_stem.items():
            for role in ROLES:
                yield f"{stem}.{role}.{self._format}", self._spooled(stem, role).read_bytes()
            if self.with_rows:
                yield f"{stem}.json", json_line(row).encode()

    def _shard_is_whole(self, path: Path, size: int | None, empty: bool) -> bool:
        return tars.is_whole(path, size, empty)

    def _looked_at(self, path: Path, scales: set[int]) -> Iterator[str]:
        images = [f"{role}.{self._format}" for role in ROLES]
        wanted = [*images, "json"] if self.with_rows else images
        for stem, parts in tars.samples(path, most=HEAD):
            if set(parts) != set(wanted):
                raise DegradeError(f"{path} holds of {stem} {', '.join(parts)}", wanted=", ".join(wanted),
                                   mend="delete it and run again")  # fmt: skip
            gt, lq = (size_of(parts[name], f"{path}: {stem}.{name}", self._format) for name in images)
            scales.add(scale_of(stem, gt, lq))
            yield check_stem(stem)


class WebDatasetSink(TarSink):
    """webdataset/: see the module's docstring."""

    folders = ("webdataset",)
    with_rows = True
