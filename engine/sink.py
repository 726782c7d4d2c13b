"""Pairs on disk, as BasicSR, Real-ESRGAN, KAIR, neosr and traiNNer-redux read them without a change.

    OUT/gt/STEM.png  lq/STEM.png      flat, same stems, nothing else inside; 8-bit RGB without profile or EXIF
    OUT/meta_info_GT.txt              STEM.png (h,w,c)
    OUT/meta_info_pair.txt            gt/STEM.png, lq/STEM.png
    OUT/manifest.jsonl                how each pair came about, a JSON object a line
    OUT/rejects.jsonl                 every input left out and why
    OUT/extra/KIND/STEM.png           what a report shows (start image, candidates), where it was asked for

Every file is written under OUT/.partial and renamed, so that a kill leaves whole files or none where trainers
look. The pixels fix the bytes: PNGs are those of `images.encode_png` (libvips, level 2; its docstring has the
measurement against OpenCV and Pillow).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .artefact import write_bytes_atomic
from .errors import DegradeError
from .images import encode_png

Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB

TEXTS = ("meta_info_GT.txt", "meta_info_pair.txt", "rejects.jsonl", "manifest.jsonl")  # written in this order

_STEM = re.compile(r"[a-z0-9_-]+")
_SCALE_MARK = re.compile(r"x[2348]")  # trainers cut these from a name, or look for a file with them
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


class FolderSink:
    """Writes pairs into `out`, which is made if it is missing. Several threads may write at once.

    clean: remove what a killed run left unfinished. Give False in all but the first of several processes that
    write into one folder, since they would remove each other's unfinished files. sync: have each image on the
    disk before it gets its name (against power cuts, not kills; several times slower).
    """

    def __init__(self, out: Path, *, clean: bool = True, sync: bool = False, png_level: int = 2) -> None:
        self.out = Path(out)
        self._partial = self.out / ".partial"
        self._sync, self._png_level = sync, png_level
        self._scale: int | None = None
        self._count = itertools.count()
        if clean:
            shutil.rmtree(self._partial, ignore_errors=True)
            for name in TEXTS:
                for torn in self.out.glob(f".{name}.*.tmp"):
                    torn.unlink(missing_ok=True)
        for folder in (self._partial, self.out / "gt", self.out / "lq"):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, stem: str, gt: Pixels, lq: Pixels) -> None:
        """A pair, uint8 [H, W, 3] RGB each: GT a whole number of times as large as LQ, the same for all.

        A pair that is there is replaced. Raises DegradeError for what a trainer would refuse, before a file is
        touched; OSError if the disk does.
        """
        check_stem(stem)
        for role, image in (("GT", gt), ("LQ", lq)):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                fact = f"The {role} of pair {stem} is {image.dtype} {list(image.shape)}"
                raise DegradeError(fact, wanted="uint8 [H, W, 3]")
        scale = _scale_of(stem, gt.shape[:2], lq.shape[:2])
        if self._scale is None:
            self._scale = scale
        if scale != self._scale:
            raise DegradeError(f"Pair {stem} is of scale {scale}, the pairs before it of {self._scale}")
        self._put(self.out / "lq" / f"{stem}.png", lq)
        self._put(self.out / "gt" / f"{stem}.png", gt)

    def write_extra(self, name: str, pixels: Pixels) -> None:
        """Another image of a pair, uint8 [H, W, 3], as extra/NAME.png; name is "KIND/STEM"."""
        kind, _, stem = name.partition("/")
        if not _STEM.fullmatch(kind):
            raise DegradeError(f"{name!r} cannot name an extra image", wanted="KIND/STEM of a-z, 0-9, _ and -")
        path = self.out / "extra" / kind / f"{check_stem(stem)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._put(path, pixels)

    def finish(self, rows: Iterable[Mapping[str, Any]], rejects: Iterable[Mapping[str, Any]]) -> None:
        """Write the meta files, manifest and rejects, in the order given; a second call replaces them.

        rows: one JSON object a pair, its stem under "name". Raises DegradeError if an image of a row is
        missing or is no pair with the other, if a stem comes twice, or if gt/ or lq/ hold anything else.
        """
        rows = list(rows)
        stems = [check_stem(str(row.get("name"))) for row in rows]
        for role in ("gt", "lq"):
            self._compare(role, stems)
        gt_lines, pair_lines = [], []
        scales: set[int] = set()
        for stem in stems:
            (height, width), lq_size = (_png_size(self.out / role / f"{stem}.png") for role in ("gt", "lq"))
            scales.add(_scale_of(stem, (height, width), lq_size))
            gt_lines.append(f"{stem}.png ({height},{width},3)\n")
            pair_lines.append(f"gt/{stem}.png, lq/{stem}.png\n")
        if len(scales) > 1:
            raise DegradeError(f"{self.out} holds pairs of the scales {sorted(scales)}", wanted="one scale")
        texts = ("".join(gt_lines), "".join(pair_lines), _lines(rejects), _lines(rows))
        for name, text in zip(TEXTS, texts, strict=True):
            write_bytes_atomic(self.out / name, text.encode())
        shutil.rmtree(self._partial, ignore_errors=True)

    def _compare(self, role: str, stems: list[str]) -> None:
        wanted = {f"{stem}.png" for stem in stems}
        if len(wanted) < len(stems):
            twice = next(stem for stem in stems if stems.count(stem) > 1)
            raise DegradeError(f"Two rows of the manifest have the name {twice}")
        there = {one.name for one in os.scandir(self.out / role)}
        if missing := sorted(wanted - there):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise DegradeError(f"{role}/{missing[0]}{more} of the manifest is not in {self.out}", mend="run again")
        if strange := sorted(there - wanted):
            more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
            raise DegradeError(
                f"{self.out / role} holds {strange[0]}{more}, which is no pair of this run",
                wanted="nothing but the run's pairs, since trainers read all that is there",
                mend="move it elsewhere",
            )

    def _put(self, path: Path, image: Pixels) -> None:
        data = encode_png(image, self._png_level)
        self._partial.mkdir(exist_ok=True)
        temporary = self._partial / f"{os.getpid()}-{next(self._count)}.png"
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                if self._sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _scale_of(stem: str, gt: tuple[int, ...], lq: tuple[int, ...]) -> int:
    scale = gt[0] // lq[0]
    if scale < 1 or gt != (lq[0] * scale, lq[1] * scale):
        raise DegradeError(
            f"The GT of pair {stem} is {gt[1]} x {gt[0]} and its LQ {lq[1]} x {lq[0]}",
            wanted="a GT that is the same whole number of times as high and as wide",
        )
    return scale


def _png_size(path: Path) -> tuple[int, int]:
    """(height, width) from the first 26 bytes; DegradeError if they are not those of an 8-bit RGB PNG."""
    with open(path, "rb") as file:
        head = file.read(26)
    if len(head) < 26 or not head.startswith(_PNG_HEAD) or head[24:26] != b"\x08\x02":
        raise DegradeError(f"{path} is not an 8-bit RGB PNG", mend="delete it and run again")
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    """JSON lines in ASCII: a path may hold U+2028, which some readers take for the end of a line."""
    try:
        return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
    except (TypeError, ValueError) as error:
        raise DegradeError(f"A row cannot be written as JSON ({error})", wanted="null for NaN") from error
