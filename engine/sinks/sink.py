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
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import numpy as np

from ..artefact import make_folder, process_name
from ..errors import DegradeError
from ..images import PNG_LEVEL, Format, Pixels, encode, encode_png
from .contract import STEM, Row, check_stem, scale_of
from .linking import is_plain_png, link_or_copy

Alive = Callable[[], Collection[str]]  # which other processes write into a folder now, by artefact.process_name
Gt = Literal["crop", "link", "none"]

_TORN = re.compile(r"\..+\.(?:json|jsonl|txt)\.([\w-]+)\.tmp")  # what `write_bytes_atomic` leaves when it is killed


class Sink(ABC):
    """Writes pairs into `out`, which is made if it is missing. Several threads may write at once.

    The order of a run: `write` and `write_extra` for the images of a shard, `commit` before its record is written, and
    `finish` when every shard is there. alive: says which other processes write into the same folder; what any
    other left unfinished is removed. sync: have each image on the disk before it gets its
    name (against power cuts, not kills; several times slower). gt: "crop" encodes each; "link" keeps the bytes of an HR
    file that is a pair's whole GT and a PNG as the contract has it, in a folder as a hard link where the file system
    can; "none" writes none (a folder only). file_format: of GT and LQ, and their names'
    ending.
    """

    texts: tuple[str, ...] = ("rejects.jsonl", "manifest.jsonl")  # written in this order

    def __init__(
        self, out: Path, *, alive: Alive = tuple, sync: bool = False, png_level: int = PNG_LEVEL,
        gt: Gt = "crop", file_format: Format = "png",
    ) -> None:  # fmt: skip
        self.out = Path(out)
        self._partial = self.out / ".partial" / process_name()
        self._sync, self._png_level, self._gt = sync, png_level, gt
        self._format: Format = file_format
        self._scale: int | None = None
        self._count = itertools.count()
        self.clean(alive)
        make_folder(self._partial)

    @property
    def scratch(self) -> Path:
        """A folder for what is unfinished; it is removed when a run is finished, and after a kill."""
        return self._partial

    def clean(self, alive: Alive = tuple) -> None:
        """Remove what processes left unfinished, this one's included, but for those that are alive: asked after the
        look, since whoever comes in between has come before its files.
        """
        partial = list(self._partial.parent.glob("*"))
        torn = [one for where in (".", "shards") for one in (self.out / where).glob(".*.tmp")]
        living = alive()
        for left in partial:
            if left.name not in living:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
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
        self._store(stem, sharp, encode(lq, self._format, self._png_level))

    def write_extra(self, name: str, pixels: Pixels) -> None:
        """Another image of a pair, uint8 [H, W, 3], as extra/NAME.png; name is "KIND/STEM"."""
        kind, _, stem = name.partition("/")
        if not STEM.fullmatch(kind):
            raise DegradeError(f"{name!r} cannot name an extra image", wanted="KIND/STEM of a-z, 0-9, _ and -")
        path = self.out / "extra" / kind / f"{check_stem(stem)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._put(path, encode_png(pixels, self._png_level))

    @abstractmethod
    def commit(self, shard: int, rows: Sequence[Row]) -> None:
        """The images of a shard are all written; rows: those of its record. Raises OSError if the disk does."""

    @abstractmethod
    def holds(self, shard: int, stems: Sequence[str]) -> bool:
        """Whether every pair of a shard that was committed is still there."""

    @abstractmethod
    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        """Write the meta files, manifest and rejects, in the order given; a second call replaces them.

        rows: one JSON object a pair, its stem under "name"; rejects are asked for when the rows have come. Raises
        DegradeError if an image of a row is missing or is no pair with the other, if a stem comes twice, or if there is
        anything else where trainers look.
        """

    @abstractmethod
    def _store(self, stem: str, gt: bytes | Path | None, lq: bytes) -> None:
        """Put the images of a pair, or the file of one, where `finish` or `commit` finds them. None: no GT is kept."""

    def _put(self, path: Path, data: bytes | Path) -> None:
        make_folder(self._partial)
        temporary = self._partial / f"{next(self._count)}.tmp"
        try:
            if isinstance(data, Path):
                link_or_copy(data, temporary)
            else:
                self._write_file(temporary, data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _write_file(self, path: Path, data: bytes) -> None:
        with open(path, "wb") as file:
            file.write(data)
            if self._sync:
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def _books(self) -> Iterator[dict[str, IO[str]]]:
        """New texts by the names of `self.texts`; at the end of the block they replace those that are there, in this
        order, and what is only needed on the way is removed.
        """
        make_folder(self._partial)
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
        shutil.rmtree(self._partial, ignore_errors=True)
        with suppress(OSError):  # others are at work
            self._partial.parent.rmdir()

    def _new_text(self, name: str) -> IO[str]:
        return open(self._partial / name, "w", encoding="utf-8", newline="\n")
