"""Where pairs go: what every kind of sink keeps (`folder.py`, `lmdb.py`, `webdataset.py` say where the pairs lie).

    OUT/manifest.jsonl                how each pair came about, a JSON object a line
    OUT/rejects.jsonl                 every input left out and why
    OUT/extra/KIND/STEM.png           what a report shows (start image, candidates), where it was asked for

Whatever is written lies under OUT/.partial/PROCESS until it is whole and is then renamed, so that a kill leaves whole
files or none where trainers look. The pixels fix the bytes: images are those of `images.encode`.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import numpy as np

from ..artefact import make_folder, process_name
from ..errors import DegradeError
from ..images import FAST, Format, Pixels, PngLevel, encode, encode_png
from . import durable
from .contract import STEM, Row, check_stem, is_whole, scale_of, stems_of
from .linking import is_plain_png, link_or_copy

Alive = Callable[[], Collection[str]]  # which other processes write into a folder now, by artefact.process_name
Gt = Literal["crop", "link", "none"]
Sizes = Mapping[str, Sequence[int]]  # a folder under OUT -> bytes of each file that it holds of a shard

_TORN = re.compile(r"\..+\.(?:json|jsonl|md|txt)\.([\w-]+)\.tmp")  # what `write_bytes_atomic` leaves when it is killed


class Sink(ABC):
    """Writes pairs into `out`, which is made if it is missing. Several threads may write at once.

    The order of a run: `write` and `write_extra` for the images of a shard, `commit` before its record is written, and
    `finish` when every shard is there. What `commit` and `finish` have returned from outlives a power cut. alive: says
    which other processes write into the same folder; what any other left unfinished is removed. gt: "crop" encodes
    each; "link" keeps the bytes of an HR file that is a pair's whole GT and a PNG as the contract has it, in a folder
    as a hard link where the file system can; "none" writes none (a folder only). file_format: of GT and LQ, and their
    names' ending.
    """

    texts: tuple[str, ...] = ("rejects.jsonl", "manifest.jsonl")  # written in this order
    folders: tuple[str, ...]  # under OUT, where the files of a shard lie

    def __init__(
        self, out: Path, *, alive: Alive = tuple, png_level: PngLevel = FAST, gt: Gt = "crop",
        file_format: Format = "png",
    ) -> None:  # fmt: skip
        self.out = Path(out)
        self._partial = self.out / ".partial" / process_name()
        self._png_level, self._gt = png_level, gt
        self._format: Format = file_format
        self._scale: int | None = None
        self._count = itertools.count()
        self._lock, self._pairs, self._bytes = threading.Lock(), 0, 0
        self.clean(alive)
        make_folder(self._partial)
        for folder in self.folders:
            (self.out / folder).mkdir(exist_ok=True)

    @property
    def scratch(self) -> Path:
        """A folder for what is unfinished; it is removed when a run is finished, and after a kill."""
        return self._partial

    @property
    def bytes_per_pair(self) -> float | None:
        """Mean size of what was written of a pair, extra images included, by this process; None before the first."""
        with self._lock:
            return self._bytes / self._pairs if self._pairs else None

    def clean(self, alive: Alive = tuple) -> None:
        """Remove what processes left unfinished, this one's included, but for those that are alive: asked after the
        look, since whoever comes in between has come before its files.
        """
        if self._partial.parent.is_symlink():  # what lies behind a link is not ours
            self._partial.parent.unlink()
        partial = list(self._partial.parent.glob("*"))
        torn = [one for where in (".", "shards") for one in (self.out / where).glob(".*.tmp")]
        living = alive()
        for left in partial:
            if left.name not in living:
                folder = left.is_dir() and not left.is_symlink()
                shutil.rmtree(left, ignore_errors=True) if folder else left.unlink(missing_ok=True)
        for one in torn:
            if (found := _TORN.fullmatch(one.name)) and found[1] not in living:
                one.unlink(missing_ok=True)
        with suppress(OSError):  # there is none, or others are at work
            self._partial.parent.rmdir()

    def write(self, stem: str, gt: Pixels, lq: Pixels, gt_file: Path | None = None) -> None:
        """A pair, uint8 [H, W, 3] RGB each: GT a whole number of times as large as LQ, the same for all.

        gt_file: the file whose whole image the GT is, if there is one. A pair that is there is replaced. Raises
        DegradeError for what a trainer would refuse, before a file is touched; OSError if the disk does.
        """
        check_stem(stem)
        for role, image in (("GT", gt), ("LQ", lq)):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                fact = f"The {role} of pair {stem} is {image.dtype} {list(image.shape)}"
                raise DegradeError(fact, wanted="uint8 [H, W, 3]")
        scale = scale_of(stem, gt.shape[:2], lq.shape[:2])
        if self._scale is None:
            self._scale = scale
        if scale != self._scale:
            raise DegradeError(f"Pair {stem} is of scale {scale}, the pairs before it of {self._scale}")
        sharp: bytes | Path | None = None
        if self._gt == "link" and gt_file is not None and is_plain_png(gt_file):
            sharp = gt_file
        elif self._gt != "none":
            sharp = encode(gt, self._format, self._png_level)
        degraded = encode(lq, self._format, self._png_level)
        self._store(stem, sharp, degraded)
        with self._lock:  # a GT that is linked takes no room
            self._pairs += 1
            self._bytes += len(degraded) + (len(sharp) if isinstance(sharp, bytes) else 0)

    def put(self, stem: str, gt: bytes | Path, lq: bytes | Path) -> None:
        """A pair of images that are those of another set, by their bytes or their files. Raises OSError."""
        self._store(check_stem(stem), gt, lq)

    def write_extra(self, name: str, pixels: Pixels) -> None:
        """Another image of a pair, uint8 [H, W, 3], as extra/NAME.png; name is "KIND/STEM"."""
        kind, _, stem = name.partition("/")
        if not STEM.fullmatch(kind):
            raise DegradeError(f"{name!r} cannot name an extra image", wanted="KIND/STEM of a-z, 0-9, _ and -")
        path = self.out / "extra" / kind / f"{check_stem(stem)}.png"
        make_folder(path.parent, self.out)
        data = encode_png(pixels, self._png_level)
        self._put(path, data)
        with self._lock:
            self._bytes += len(data)

    def commit(self, shard: int, rows: Sequence[Row]) -> dict[str, list[int]]:
        """The images of a shard are all written; rows: those of its record. Returns, once all is on the disk, the sizes
        that the record has to keep. Raises OSError if the disk does.
        """
        stems = stems_of(rows)
        extra = self.out / "extra"
        kinds = [f"extra/{kind}" for kind in sorted(os.listdir(extra))] if stems and extra.is_dir() else []
        there = {where: self.files(where, shard, stems) for where in self.folders}
        there |= {where: files for where in kinds if all(map(os.path.isfile, files := self.files(where, shard, stems)))}
        durable.settle((file for files in there.values() for file in files), self.out)
        return {where: [os.stat(file).st_size for file in files] for where, files in there.items()}

    def holds(self, shard: int, stems: Sequence[str], sizes: Sizes) -> bool:
        """Whether all that was committed of a shard is there and whole, as far as sizes, first and last bytes tell.
        sizes: what `commit` returned; nothing in records of older releases. Extra images of a kind may all be gone:
        somebody wanted the room.
        """
        there = [where for where in sizes if where in self.folders or (self.out / where).is_dir()]
        return all(self._holds(where, shard, stems, sizes.get(where)) for where in {*self.folders, *there})

    def _holds(self, where: str, shard: int, stems: Sequence[str], sizes: Sequence[int] | None) -> bool:
        files = self.files(where, shard, stems)
        if sizes is None:
            return all(is_whole(file, None) for file in files)
        return len(sizes) == len(files) and all(map(is_whole, files, sizes))

    def files(self, where: str, shard: int, stems: Sequence[str]) -> list[Path]:
        """The files of a shard in a folder under OUT."""
        ending = "png" if where.startswith("extra/") else self._format
        return [self.out / where / f"{stem}.{ending}" for stem in stems]

    @abstractmethod
    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        """Write the meta files, manifest and rejects, in the order given; a second call replaces them.

        rows: one JSON object a pair, its stem under "name"; rejects are asked for when the rows have come. Raises
        DegradeError if an image of a row is missing or is no pair with the other, if a stem comes twice, or if there is
        anything else where trainers look.
        """

    @abstractmethod
    def _store(self, stem: str, gt: bytes | Path | None, lq: bytes | Path) -> None:
        """Put the images of a pair, or their files, where `finish` or `commit` finds them. None: no GT is kept."""

    def _put(self, path: Path, data: bytes | Path) -> None:
        make_folder(self._partial, self.out)
        temporary = self._partial / f"{next(self._count)}.tmp"
        try:
            if isinstance(data, Path):
                link_or_copy(data, temporary)
            else:
                temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def books(self) -> Iterator[dict[str, IO[str]]]:
        """New texts by the names of `self.texts`; at the end of the block they replace those that are there, in this
        order, and what is only needed on the way is removed.
        """
        make_folder(self._partial, self.out)
        with ExitStack() as stack:
            books = {name: stack.enter_context(self._new_text(name)) for name in self.texts}
            try:
                yield books
            except BaseException:
                for name in self.texts:
                    (self._partial / name).unlink(missing_ok=True)
                raise
            for book in books.values():
                book.flush()
                os.fsync(book.fileno())
        for name in self.texts:
            os.replace(self._partial / name, self.out / name)
        durable.sync(self.out)
        shutil.rmtree(self._partial, ignore_errors=True)
        with suppress(OSError):  # others are at work
            self._partial.parent.rmdir()

    def _new_text(self, name: str) -> IO[str]:
        return open(self._partial / name, "w", encoding="utf-8", newline="\n")
