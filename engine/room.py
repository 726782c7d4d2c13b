"""The room on the disk that a run needs, and the room that there is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .images import PngLevel
from .objects import Out
from .plan import Plan
from .sinks import Output

SHARES = {"webp": 0.39, "png": 0.55}
"""Bytes of an image over its raw bytes (three per pixel), of HR crops of 512 pixels: bench/results/formats.jsonl."""
PNG_SHARES: dict[PngLevel | None, float] = {0: 1.0, 1: 0.73}  # of levels that differ


@dataclass(frozen=True)
class Room:
    """needed: bytes that are still to be written; share: bytes over raw bytes that this was reckoned with, None where
    it was measured. free: bytes that this user may still write there; None: a store. files: by folder under OUT, how
    many there will be. free_files: None where the file system has no such limit, or does not say.
    """

    needed: int
    free: int | None
    files: dict[str, int]
    free_files: int | None
    share: float | None = None

    @property
    def lacking(self) -> str | None:
        """What there is too little of: "bytes", "files", or None."""
        if self.free is not None and self.needed > self.free:
            return "bytes"
        if self.free_files is not None and sum(self.files.values()) > self.free_files:
            return "files"
        return None


def room(plan: Plan, output: Output, out: Out, *, settled: int = 0, bytes_per_pair: float | None = None) -> Room:
    """For the pairs of the plan that are not settled. bytes_per_pair: as measured; None: reckoned from the sizes of the
    images. Raises OSError where the disk does not answer."""
    share = None
    if bytes_per_pair is None:
        share = SHARES["webp"] if output.file_format == "webp" else PNG_SHARES.get(output.png_level, SHARES["png"])
        bytes_per_pair = share * 3 * plan.lr_size**2 * _lr_images(plan, output)
    twice = 2 if output.kind == "lmdb" else 1  # the databases are built beside the tars
    free = free_files = None
    if isinstance(out, Path):
        there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
        found = os.statvfs(there)
        free, free_files = found.f_bavail * found.f_frsize, found.f_favail or None
    return Room(
        needed=round((plan.options.pairs - settled) * bytes_per_pair * twice),
        free=free,
        files=_files(plan, output),
        free_files=free_files,
        share=share,
    )


def _lr_images(plan: Plan, output: Output) -> int:
    """Pixels of a pair's images over those of its LR."""
    extra = 1 + len(_extra(plan)) if plan.options.save_candidates else 1
    return extra + (0 if output.gt == "none" else plan.options.scale**2)


def _extra(plan: Plan) -> list[str]:
    reference = ["reference"] if len(plan.reference) else []
    return [*reference, "start", *(f"candidate{k}" for k in range(plan.options.recipe.candidates))]


def _files(plan: Plan, output: Output) -> dict[str, int]:
    pairs, shards = plan.options.pairs, plan.shard_count
    if output.kind == "folder":
        files = {"lq": pairs} if output.gt == "none" else {"gt": pairs, "lq": pairs}
    elif output.kind in ("webdataset", "parquet"):
        files = {output.kind: shards}
    else:
        files = {"gt.lmdb": 3, "lq.lmdb": 3}
    extra = {f"extra/{name}": pairs for name in _extra(plan)} if plan.options.save_candidates else {}
    return files | extra | {"shards": shards}
