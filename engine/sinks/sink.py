"""Where pairs go. `Sink` is what every kind keeps; `FolderSink` is the usual one, PNG files as BasicSR, Real-ESRGAN,
KAIR, neosr and traiNNer-redux read them without a change.

    OUT/gt/STEM.png  lq/STEM.png      flat, same stems, nothing else inside; 8-bit RGB without profile or EXIF
    OUT/meta_info_GT.txt              STEM.png (h,w,c)
    OUT/meta_info_pair.txt            gt/STEM.png, lq/STEM.png
    OUT/manifest.jsonl                how each pair came about, a JSON object a line
    OUT/rejects.jsonl                 every input left out and why
    OUT/extra/KIND/STEM.png           what a report shows (start image, candidates), where it was asked for

The other kinds (`webdataset.py`, `lmdb.py`) have manifest, rejects and extra in the same place. Whatever is
written lies under OUT/.partial/PROCESS until it is whole and is then renamed, so that a kill leaves whole files or none
where trainers look. The pixels fix the bytes: PNGs are those of `images.encode_png` (libvips, level 2; its docstring
has the measurement against OpenCV and Pillow).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from ..artefact import make_folder, process_name
from ..errors import DegradeError
from ..images import PNG_LEVEL, encode_png
from .linking import is_plain_png, link_or_copy
from .names import Names, first_twice, missing, packed, shown

Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB
Row = Mapping[str, Any]  # a JSON object
Alive = Callable[[], Collection[str]]  # which other processes write into a folder now, by artefact.process_name

Gt = Literal["crop", "link", "none"]

_STEM = re.compile(r"[a-z0-9_-]+")
_SCALE_MARK = re.compile(r"x[2348]")  # trainers cut these from a name, or look for a file with them
_TORN = re.compile(r"\..+\.(?:json|jsonl|txt)\.([\w-]+)\.tmp")  # what `write_bytes_atomic` leaves when it is killed
_PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def stem_of(index: int) -> str:
    """The file name of pair `index` (0 or more) without its ending: seven digits or more."""
    if index < 0:
        raise DegradeError(f"The pair's number is {index}", wanted="0 or more")
    return f"{index:07d}"


def check_stem(stem: str) -> str:
    """The stem itself; DegradeError if a trainer would stumble over it."""
    if not _STEM.fullmatch(stem) or _SCALE_MARK.search(stem):
        raise DegradeError(f"{stem!r} cannot be the name of a pair", wanted="a-z, 0-9, _ and -, without x2, x3, x4, x8")
    return stem


class Sink(ABC):
    """Writes pairs into `out`, which is made if it is missing. Several threads may write at once.

    The order of a run: `write` and `write_extra` for the images of a shard, `commit` before its record is written, and
    `finish` when every shard is there. alive: says which other processes write into the same folder; what any
    other left unfinished is removed. sync: have each image on the disk before it gets its
    name (against power cuts, not kills; several times slower). gt: "crop" encodes each; "link" keeps the bytes of an HR
    file that is a pair's whole GT and a PNG as the contract has it, in a folder as a hard link where the file system
    can; "none" writes none (`FolderSink` only).
    """

    texts: tuple[str, ...] = ("rejects.jsonl", "manifest.jsonl")  # written in this order

    def __init__(
        self, out: Path, *, alive: Alive = tuple, sync: bool = False, png_level: int = PNG_LEVEL,
        gt: Gt = "crop",
    ) -> None:  # fmt: skip
        self.out = Path(out)
        self._partial = self.out / ".partial" / process_name()
        self._sync, self._png_level, self._gt = sync, png_level, gt
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
            sharp = encode_png(gt, self._png_level)
        self._store(stem, sharp, encode_png(lq, self._png_level))

    def write_extra(self, name: str, pixels: Pixels) -> None:
        """Another image of a pair, uint8 [H, W, 3], as extra/NAME.png; name is "KIND/STEM"."""
        kind, _, stem = name.partition("/")
        if not _STEM.fullmatch(kind):
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
        """Put the PNGs of a pair, or the file of one, where `finish` or `commit` finds them. None: no GT is kept."""

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


class FolderSink(Sink):
    """gt/ and lq/, a PNG an image: see the module's docstring."""

    texts = ("meta_info_GT.txt", "meta_info_pair.txt", *Sink.texts)

    def __init__(
        self, out: Path, *, alive: Alive = tuple, sync: bool = False, png_level: int = PNG_LEVEL,
        gt: Gt = "crop",
    ) -> None:  # fmt: skip
        super().__init__(out, alive=alive, sync=sync, png_level=png_level, gt=gt)
        self._roles = ("lq",) if gt == "none" else ("gt", "lq")
        if gt == "none":
            self.texts = Sink.texts
        for role in self._roles:
            (self.out / role).mkdir(exist_ok=True)

    def commit(self, shard: int, rows: Sequence[Row]) -> None:
        """Nothing is left to do: each image is whole by itself."""

    def holds(self, shard: int, stems: Sequence[str]) -> bool:
        folders = [os.path.join(self.out, role) for role in self._roles]
        return all(os.path.isfile(f"{folder}/{stem}.png") for stem in stems for folder in folders)

    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        with self._books() as books:
            stems = write_rows(rows, books["manifest.jsonl"])
            books["rejects.jsonl"].writelines(map(json_line, rejects))
            for role in self._roles:
                with os.scandir(self.out / role) as listing:
                    compare(packed(one.name for one in listing), np.char.add(stems, b".png"), self.out / role)
            if self._gt == "none":
                return
            scales: set[int] = set()
            for stem in map(shown, stems):
                (height, width), lq_size = (_file_size(f"{self.out}/{role}/{stem}.png") for role in ("gt", "lq"))
                scales.add(scale_of(stem, (height, width), lq_size))
                books["meta_info_GT.txt"].write(f"{stem}.png ({height},{width},3)\n")
                books["meta_info_pair.txt"].write(f"gt/{stem}.png, lq/{stem}.png\n")
            one_scale(scales, self.out)

    def _store(self, stem: str, gt: bytes | Path | None, lq: bytes) -> None:
        self._put(self.out / "lq" / f"{stem}.png", lq)
        if gt is not None:
            self._put(self.out / "gt" / f"{stem}.png", gt)


def stems_of(rows: Iterable[Row]) -> list[str]:
    """The stems of a shard's rows, in their order; DegradeError for one that is none or comes twice."""
    stems = [check_stem(str(row.get("name"))) for row in rows]
    _each_once(packed(stems))
    return stems


def write_rows(rows: Iterable[Row], manifest: IO[str]) -> Names:
    """Write a run's rows, a line each; returns their stems. DegradeError for one that is none or comes twice."""

    def stems() -> Iterator[str]:
        for row in rows:
            manifest.write(json_line(row))
            yield check_stem(str(row.get("name")))

    found = packed(stems())
    _each_once(found)
    return found


def _each_once(stems: Names) -> None:
    if twice := first_twice(stems):
        raise DegradeError(f"Two rows of the manifest have the name {twice}")


def compare(there: Names, wanted: Names, where: Path) -> None:
    """DegradeError unless `where` holds just what the manifest wants."""
    if gone := missing(wanted, there):
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise DegradeError(f"{gone[0]}{more} of the manifest is not in {where}", mend="run again")
    if strange := missing(there, wanted):
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise DegradeError(
            f"{where} holds {strange[0]}{more}, which is no pair of this run",
            wanted="nothing but the run's pairs, since trainers read all that is there",
            mend="move it elsewhere",
        )


def one_scale(scales: set[int], where: Path) -> None:
    """DegradeError for more than one scale."""
    if len(scales) > 1:
        raise DegradeError(f"{where} holds pairs of the scales {sorted(scales)}", wanted="one scale")


def scale_of(stem: str, gt: tuple[int, ...], lq: tuple[int, ...]) -> int:
    """How many times the GT (height, width) is the LQ; DegradeError unless that is one whole number."""
    scale = gt[0] // lq[0]
    if scale < 1 or gt != (lq[0] * scale, lq[1] * scale):
        raise DegradeError(
            f"The GT of pair {stem} is {gt[1]} x {gt[0]} and its LQ {lq[1]} x {lq[0]}",
            wanted="a GT that is the same whole number of times as high and as wide",
        )
    return scale


def png_size(head: bytes, name: str) -> tuple[int, int]:
    """(height, width) from the first 26 bytes of a file; DegradeError if they are not those of an 8-bit RGB PNG."""
    if len(head) < 26 or not head.startswith(_PNG_HEAD) or head[24:26] != b"\x08\x02":
        raise DegradeError(f"{name} is not an 8-bit RGB PNG", mend="delete it and run again")
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def _file_size(path: str) -> tuple[int, int]:
    with open(path, "rb") as file:
        return png_size(file.read(26), path)


def json_line(record: Row) -> str:
    """A JSON line in ASCII: a path may hold U+2028, which some readers take for the end of a line. DegradeError for NaN
    and what is no JSON."""
    try:
        return json.dumps(record, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise DegradeError(f"A row cannot be written as JSON ({error})", wanted="null for NaN") from error
