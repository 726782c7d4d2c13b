"""Pairs that go to an object store: the files of a shard are made on this machine and put there when it is committed.

    URL/webdataset/pairs-00000.tar     as the sink makes it in a folder, to the byte
    URL/extra/KIND/STEM.png            where it was asked for

Nothing unfinished is ever seen there. This machine holds the shards in hand, in its temporary folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from ..images import Pixels
from ..objects import ObjectPath, each
from .contract import Row, compare, json_line, stems_of, write_rows
from .names import packed
from .shards import ShardSink
from .sink import Alive, Sizes


class ObjectSink:
    """What a run asks of a `Sink`, with `made`, which writes into a folder of this machine, and `out`."""

    def __init__(self, made: ShardSink, out: ObjectPath) -> None:
        self._made, self._out = made, out

    @property
    def scratch(self) -> Path:
        """See `Sink.scratch`."""
        return self._made.scratch

    @property
    def bytes_per_pair(self) -> float | None:
        """See `Sink.bytes_per_pair`."""
        return self._made.bytes_per_pair

    def clean(self, alive: Alive = tuple) -> None:
        """Nothing: a store holds whole objects alone, and each process has a folder of its own."""

    def write(self, stem: str, gt: Pixels, lq: Pixels, gt_file: Path | None = None) -> None:
        """See `Sink.write`."""
        self._made.write(stem, gt, lq, gt_file)

    def write_extra(self, name: str, pixels: Pixels) -> None:
        """See `Sink.write_extra`."""
        self._made.write_extra(name, pixels)

    def commit(self, shard: int, rows: Sequence[Row]) -> dict[str, list[int]]:
        """See `Sink.commit`; raises MachineFault where the store takes nothing."""
        sizes, stems = self._made.commit(shard, rows), stems_of(rows)
        files = [file for where in sizes for file in self._made.files(where, shard, stems)]
        for file, _ in zip(files, each(self._out, self._put, files), strict=True):
            file.unlink()
        return sizes

    def _put(self, file: Path) -> None:
        (self._out / file.relative_to(self._made.out).as_posix()).put(file)

    def holds(self, shard: int, stems: Sequence[str], sizes: Sizes) -> bool:
        """Whether the file of a shard is there with the size that `commit` returned: it was put whole. Extra images may
        be gone. Raises MachineFault."""
        found = (self._out / self._made.folders[0] / self._made.file_of(shard).name).found()
        return found is not None and [found.size] == list(sizes.get(self._made.folders[0], ()))

    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        """See `Sink.finish`. `holds` has looked at each shard, so files are not read again: there has to be one for
        each record, and no other."""
        where = self._out / self._made.folders[0]
        with self._made.books() as books:
            write_rows(rows, books["manifest.jsonl"])
            books["rejects.jsonl"].writelines(map(json_line, rejects))
            records: Collection[str] = (self._out / "shards").listed()
            wanted = packed(self._made.file_of(int(name.removesuffix(".json"))).name for name in records)
            compare(packed(where.listed()), wanted, where)
        for name in self._made.texts:
            (self._out / name).put(self._made.out / name)
