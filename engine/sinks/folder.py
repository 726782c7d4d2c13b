"""Pairs as image files, as BasicSR, Real-ESRGAN, KAIR, neosr and traiNNer-redux read them without a change.

    OUT/gt/STEM.png  lq/STEM.png      flat, same stems, nothing else inside; 8-bit RGB without profile or EXIF
    OUT/meta_info_GT.txt              STEM.png (h,w,c)
    OUT/meta_info_pair.txt            gt/STEM.png, lq/STEM.png
    OUT/metadata.jsonl                {"gt_file_name": "gt/STEM.png", "lq_file_name": "lq/STEM.png", …}, for `datasets`

Or STEM.webp throughout: lossless, smaller, and not read by KAIR, whose list of endings lacks it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..images import FAST, Format, PngLevel
from .contract import HEAD, Row, compare, json_line, one_scale, scale_of, size_of, write_rows
from .metadata import with_lines
from .names import packed, shown
from .roles import ROLES, Role
from .sink import Alive, Gt, Sink


class FolderSink(Sink):
    """gt/ and lq/, a file an image: see the module's docstring."""

    texts = ("meta_info_GT.txt", "meta_info_pair.txt", "metadata.jsonl", *Sink.texts)

    def __init__(
        self, out: Path, *, alive: Alive = tuple, png_level: PngLevel = FAST, gt: Gt = "crop",
        file_format: Format = "png",
    ) -> None:  # fmt: skip
        self._roles: tuple[Role, ...] = ("lq",) if gt == "none" else ROLES
        self.folders = self._roles
        if gt == "none":
            self.texts = ("metadata.jsonl", *Sink.texts)
        super().__init__(out, alive=alive, png_level=png_level, gt=gt, file_format=file_format)

    def finish(self, rows: Iterable[Row], rejects: Iterable[Row]) -> None:
        with self.books() as books:
            rows = with_lines(rows, self._roles, self._format, books["metadata.jsonl"])
            stems = write_rows(rows, books["manifest.jsonl"])
            books["rejects.jsonl"].writelines(map(json_line, rejects))
            names = np.char.add(stems, b"." + self._format.encode())
            for role in self.folders:
                with os.scandir(self.out / role) as listing:
                    compare(packed(one.name for one in listing), names, self.out / role)
            if self._gt == "none":
                return
            scales: set[int] = set()
            for name in map(shown, names):
                (height, width), lq_size = (self._size(f"{self.out}/{role}/{name}") for role in ("gt", "lq"))
                scales.add(scale_of(name.partition(".")[0], (height, width), lq_size))
                books["meta_info_GT.txt"].write(f"{name} ({height},{width},3)\n")
                books["meta_info_pair.txt"].write(f"gt/{name}, lq/{name}\n")
            one_scale(scales, self.out)

    def _store(self, stem: str, gt: bytes | Path | None, lq: bytes | Path) -> None:
        self._put(self.out / "lq" / f"{stem}.{self._format}", lq)
        if gt is not None:
            self._put(self.out / "gt" / f"{stem}.{self._format}", gt)

    def _size(self, path: str) -> tuple[int, int]:
        with open(path, "rb") as file:
            return size_of(file.read(HEAD), path, self._format)
