"""Pairs as the two databases that BasicSR and its relatives read.

    OUT/gt.lmdb, lq.lmdb    each with data.mdb, an empty lock.mdb, and meta_info.txt: STEM.png (h,w,c) LEVEL
    OUT/.shards             the tar of each shard until the databases are there

Key = stem, value = the PNG, or the WebP (then STEM.webp, and its effort as LEVEL). Shards are committed as tars, and
`finish` makes both databases of them in one pass, shard by shard: what LMDB writes depends on the order of all
transactions before, so a database that had grown with the run would differ after a kill, and between one process and
three. The price is the disk for both, until the tars are removed. Memory holds one shard. lock.mdb is left empty, since
its bytes are those of a process that lives; LMDB fills it when somebody opens the database with locks, and trainers
open it without.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ..artefact import make_folder
from ..errors import DegradeError
from ..images import FAST, WEBP_EFFORT
from . import durable, tars
from .contract import HEAD, Row, compare, json_line, looks_whole, one_scale, scale_of, size_of, write_rows
from .names import Names, packed, shown
from .roles import ROLES
from .webdataset import TarSink

META = "meta_info.txt"


class LmdbSink(TarSink):
    """gt.lmdb and lq.lmdb: see the module's docstring."""

    folders = (".shards",)
    with_rows = False

    def _holds(self, where: str, shard: int, stems: Sequence[str], sizes: Sequence[int] | None) -> bool:
        there = super()._holds(where, shard, stems, sizes)
        return there or (where in self.folders and self._whole and self._databases_hold(stems))

    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        with self.books() as books:
            stems = write_rows(rows, books["manifest.jsonl"])
            books["rejects.jsonl"].writelines(map(json_line, rejects))
            if not self._databases_hold(map(shown, stems), nothing_else=len(stems)):
                with _errors_of_lmdb(self.out):
                    self._build(stems)
            # Moved first: a process that was thought dead and commits now finds no folder, instead of leaving a tar.
            folder = self.folders[0]
            with suppress(FileNotFoundError):  # another process has closed this run, too
                os.replace(self.out / folder, self._partial / folder)

    def _build(self, stems: Names) -> None:
        """Both databases from the tars, under .partial; they get their names when they are whole."""
        paths = sorted((self.out / self.folders[0]).glob("pairs-*.tar"))
        scales: set[int] = set()
        # A value takes its bytes in whole pages and a page's head; 64 MiB are more than the tree and its spares.
        size = sum(path.stat().st_size for path in paths) + 3 * mmap.PAGESIZE * len(stems) + 2**26
        make_folder(self._partial, self.out)
        new = [self._partial / f"{role}.lmdb" for role in ROLES]
        for path in new:
            shutil.rmtree(path, ignore_errors=True)
        level = 1 if self._png_level == FAST else self._png_level  # BasicSR wants a number of zlib's
        like = self._format, WEBP_EFFORT if self._format == "webp" else level
        with Writer(new[0], size, *like) as gt_writer, Writer(new[1], size, *like) as lq_writer:

            def put() -> Iterator[str]:
                for path in paths:
                    with gt_writer.transaction() as put_gt, lq_writer.transaction() as put_lq:
                        for stem, parts in tars.samples(path):
                            gt, lq = (parts.get(f"{role}.{self._format}", b"") for role in ROLES)
                            gt_size, lq_size = (
                                size_of(image, f"{path}: an image of {stem}", self._format) for image in (gt, lq)
                            )
                            scales.add(scale_of(stem, gt_size, lq_size))
                            put_gt(stem, gt, gt_size)
                            put_lq(stem, lq, lq_size)
                            yield stem

            found = packed(put())
        compare(found, stems, self.out)
        one_scale(scales, self.out)
        durable.settle((file for path in new for file in path.iterdir()), self.out)
        for path in new:
            final = self.out / path.name
            if final.exists():
                os.replace(final, path.with_suffix(".old"))
            os.replace(path, final)
        durable.sync(self.out)  # before the tars go

    @cached_property
    def _whole(self) -> bool:
        """Whether the databases that were there at the beginning are as they were made. They are one thing: where one
        pair is gone, every shard is made again.
        """
        for role in ROLES:
            try:
                with open(self.out / f"{role}.lmdb" / META, "rb") as lines:
                    stems = packed(line.partition(b".")[0].decode("ascii") for line in lines)
            except (OSError, UnicodeDecodeError):
                return False
            if not self._databases_hold(map(shown, stems), nothing_else=len(stems)):
                return False
        return True

    def _databases_hold(self, stems: Iterable[str], nothing_else: int | None = None) -> bool:
        """Whether both databases are there and hold these pairs; nothing_else: and no more than so many."""
        import lmdb

        wanted = packed(stems)
        for role in ROLES:
            path = self.out / f"{role}.lmdb"
            try:
                with closing(open_to_read(path)) as database, database.begin(buffers=True) as transaction:
                    last = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
                    if os.path.getsize(path / "data.mdb") < last:  # reading behind the end would kill the process
                        return False
                    if nothing_else is not None and database.stat()["entries"] != nothing_else:
                        return False
                    if not all(self._is_whole(transaction.get(bytes(stem))) for stem in wanted):
                        return False
            except lmdb.Error:
                return False  # none there, or none that was finished: its shards are made, or put into one, again
        return True

    def _is_whole(self, image: memoryview | None) -> bool:
        if image is None:
            return False
        return looks_whole(bytes(image[:HEAD]), bytes(image[-HEAD:]), len(image), self._format, known=True)


class Writer:
    """One new database at `path`. size: the most bytes that it may get; ending, level: of the images,
    for the meta file.
    """

    def __init__(self, path: Path, size: int, ending: str, level: int) -> None:
        import lmdb

        path.mkdir()
        self._path, self._ending, self._level = path, ending, level
        self._meta = open(path / META, "w", encoding="ascii", newline="\n")
        # Without locks, since nobody else knows of it; who has built both brings them to the disk.
        self._database = lmdb.open(str(path), map_size=size, lock=False, sync=False)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        with closing(self._database), self._meta:
            pass
        (self._path / "lock.mdb").touch()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A function that puts (stem, image, (height, width)); all of it is committed at the end of the block."""
        with self._database.begin(write=True) as transaction:

            def put(stem: str, image: bytes, size: tuple[int, int]) -> None:
                if not transaction.put(stem.encode("ascii"), image, overwrite=False):
                    raise DegradeError(f"The pair {stem} comes twice", mend="delete the shards with it and run again")
                self._meta.write(f"{stem}.{self._ending} ({size[0]},{size[1]},3) {self._level}\n")

            yield put


def open_to_read(path: Path) -> Any:
    """A database as trainers open it, to be closed. Raises lmdb.Error where there is none."""
    import lmdb

    return lmdb.open(str(path), readonly=True, lock=False, readahead=False, create=False)


@contextmanager
def _errors_of_lmdb(out: Path) -> Iterator[None]:
    """What the disk refuses as the OSError that it would be without LMDB."""
    import lmdb

    try:
        yield
    except lmdb.Error as error:
        raise OSError(errno.EIO, str(error), str(out)) from error
