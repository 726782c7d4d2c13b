"""The pairs that a report looks at: their images at LR size, and what each is like by the report's measures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DegradeError
from ..images import BadImage, read_rgb, resize_bicubic
from ..sinks import pairs
from .finished import MOST_SIDE, Finished, Row
from .measures import Measured, measure

Pixels = NDArray[np.uint8]
LOOKED = 96  # pairs, at least, where there are so many: enough for narrow intervals, in seconds
BEST = 99.0  # dB, of an LR that is the bicubic


@dataclass(frozen=True)
class Pair:
    """One pair. gt: its file; bicubic (the HR at LR size), lq, reference: uint8 [h, h, 3]; extra: of the images of
    extra/ those that are there. reference: None where it was not saved."""

    row: Row
    gt: bytes
    bicubic: Pixels
    lq: Pixels
    reference: Pixels | None
    extra: Mapping[str, Pixels]

    @cached_property
    def of_bicubic(self) -> Measured | None:
        return measure(self.bicubic)

    @cached_property
    def of_lq(self) -> Measured | None:
        return measure(self.lq)

    @cached_property
    def of_reference(self) -> Measured | None:
        return None if self.reference is None else measure(self.reference)

    @property
    def score(self) -> float | None:
        """Of the candidate kept."""
        return self.row.candidates[self.row.kept].score

    @cached_property
    def near(self) -> float:
        """PSNR of the LR to the bicubic, dB: how little was changed."""
        error = np.square(self.lq.astype(np.float64) - self.bicubic).mean()
        return float(min(BEST, 10 * np.log10(255.0**2 / max(error, 1e-9))))


def look(run: Finished, most: int) -> list[Pair]:
    """At most so many of a run's rows, evenly. Raises DegradeError for pairs that are gone, or no pairs of images."""
    rows = run.sample[:: -(-len(run.sample) // max(1, most))] if run.sample else []
    found = pairs.pick(run.folder, pairs.kind_of(run.folder), [row.name for row in rows])
    if gone := [row.name for row in rows if row.name not in found]:
        fact = f"The pair {gone[0]} of the manifest is not in {run.folder}"
        raise DegradeError(fact, mend="repeat the generate command")
    return [_pair(run.folder, row, found[row.name]) for row in rows]


def spread(things: Sequence[Pair], most: int) -> list[Pair]:
    """Of pairs in their order the first third, the last third, and some evenly from between."""
    if len(things) <= most:
        return list(things)
    ends = max(1, most // 3)
    between, left = things[ends : len(things) - ends], most - 2 * ends
    middle = [between[round((at + 0.5) * len(between) / left - 0.5)] for at in range(left)] if left > 0 else []
    return [*things[:ends], *middle, *things[len(things) - ends :]][:most]


def decoded(name: str, image_file: bytes) -> Pixels:
    """An image of the pair `name`. Raises DegradeError for one that is none, or far too large."""
    try:
        with Image.open(io.BytesIO(image_file), formats=("PNG", "WEBP")) as image:
            if max(image.size) > MOST_SIDE:
                raise ValueError(f"{image.width} x {image.height} pixels")
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        fact = f"An image of pair {name} cannot be read ({str(error)[:80]})"
        raise DegradeError(fact, mend="repeat the generate command, which makes it anew") from error


def _pair(folder: Path, row: Row, sample: pairs.Sample) -> Pair:
    name, scale = row.name, row.scale
    gt, lq = decoded(name, sample.gt), decoded(name, sample.lq)
    size = lq.shape[0]
    if lq.shape[:2] != (size, size) or gt.shape[:2] != (size * scale, size * scale):
        fact = f"The GT of pair {name} has {gt.shape[1]} x {gt.shape[0]} pixels, its LQ {lq.shape[1]} x {size}"
        raise DegradeError(fact, wanted=f"squares, {scale} to 1", mend="repeat the generate command")
    kinds = ("start", "reference", *(f"candidate{k}" for k in range(len(row.candidates))))
    there = {kind: _read(folder / "extra" / kind / f"{name}.png", size) for kind in kinds}
    extra = {kind: pixels for kind, pixels in there.items() if pixels is not None}
    return Pair(row, sample.gt, resize_bicubic(gt, (size, size)), lq, extra.pop("reference", None), extra)


def _read(path: Path, size: int) -> Pixels | None:
    """An image of extra/, where it is there and one of a pair's LRs."""
    try:
        pixels = read_rgb(path) if path.is_file() else None
    except BadImage:
        return None
    return pixels if pixels is not None and pixels.shape == (size, size, 3) else None
