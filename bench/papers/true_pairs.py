"""True pairs: a sharp photograph, the LR that a camera really made of it, and what a generator may read beside it.

A pair's reference is, by protocol,

    other    the real LR of another scene: what generation has
    paired   its own real LR: the best that there is
    clean    another scene's HR at LR size, the control: a generator that does not read its reference scores the same

Splits: RealSR Canon x4 by `corpus.py`, City100 Nikon at x2 (`scale2`), or DRealSR's cameras, on which nothing was
trained (`dsc`, `sony`: the half that is reported). Or a folder of one's own, HR/NAME and
LR/NAME.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import read_rgb, resize_bicubic

from .corpus import CHOSEN, REPORTED, canon, drealsr

Image = np.ndarray  # uint8 [h, w, 3], sRGB
Split = Literal["chosen", "reported", "scale2", "dsc", "sony"]
SPLITS: tuple[Split, ...] = get_args(Split)
PROTOCOLS = ("other", "paired", "clean")


@dataclass(frozen=True)
class Pairs:
    """hr, lr: aligned, one side in LR pixels for all; references by protocol, one a pair; left_out: a sentence for each
    pair that could not be used."""

    name: str
    scale: int
    hr: list[Image]
    lr: list[Image]
    references: dict[str, list[Image]]
    left_out: tuple[str, ...] = ()

    def first(self, n: int) -> Pairs:
        """The first n scenes, with the references that they have among all."""
        kept = {protocol: images[:n] for protocol, images in self.references.items()}
        return Pairs(self.name, self.scale, self.hr[:n], self.lr[:n], kept, self.left_out)


def read_pairs(data: Path, split: str, size: int) -> Pairs:
    """The pairs of a split of the development corpus with their references. size: the LR side, pixels."""
    if split == "scale2":
        return with_references(split, *nikon_at_2(data, size))
    if split in ("dsc", "sony"):
        files = {name.lower(): pairs for name, pairs in drealsr(data, "report").items()}[split]
    else:
        files = canon(data, {"chosen": CHOSEN, "reported": REPORTED}[split])
    return read_files(split, files)


def read_files(name: str, files: list[tuple[Path, Path]]) -> Pairs:
    """Of (HR, LR)."""
    return with_references(name, [read_rgb(hr) for hr, _ in files], [read_rgb(lr) for _, lr in files])


def read_folder(folder: Path, size: int) -> Pairs:
    """HR/NAME and LR/NAME of a folder, aligned from the top left; of larger pairs the middle is taken. What has no
    partner, no whole scale, another scale than the first pair or too few pixels is named and left out.

    Raises DegradeError where fewer than two pairs remain: the reference is another scene.
    """
    for role in ("HR", "LR"):
        if not (folder / role).is_dir():
            raise DegradeError(f"{folder} has no folder {role}", wanted="HR/NAME and LR/NAME, aligned pairs")
    hr: list[Image] = []
    lr: list[Image] = []
    left_out: list[str] = []
    scale = 0
    for path in sorted(p for p in (folder / "HR").iterdir() if p.is_file()):
        other = folder / "LR" / path.name
        if not other.is_file():
            left_out.append(f"{path.name} has no LR/{path.name}")
            continue
        try:
            sharp, soft = read_rgb(path), read_rgb(other)
        except DegradeError as unreadable:
            left_out.append(f"{path.name}: {unreadable}")
            continue
        (height, width), found = soft.shape[:2], sharp.shape[0] // soft.shape[0]
        if sharp.shape[:2] != (found * height, found * width) or found != (scale or found):
            sides = f"{sharp.shape[1]} x {sharp.shape[0]} over {width} x {height}"
            left_out.append(f"{path.name} is {sides}, wanted is a scale of {scale or 'any whole number'}")
        elif min(height, width) < size:
            left_out.append(f"{path.name}: its LR is {width} x {height}, smaller than {size}")
        else:
            scale, y, x = found, (height - size) // 2, (width - size) // 2
            lr.append(soft[y : y + size, x : x + size])
            hr.append(sharp[scale * y : scale * (y + size), scale * x : scale * (x + size)])
    if len(hr) < 2:
        raise DegradeError(f"{folder} holds {len(hr)} usable pairs ({'; '.join(left_out[:3])})", wanted="two or more")
    return with_references(folder.name, hr, lr, tuple(left_out))


def with_references(name: str, hr: list[Image], lr: list[Image], left_out: tuple[str, ...] = ()) -> Pairs:
    """The other scene is the one half of the list away."""
    n, away, size = len(hr), len(hr) // 2, lr[0].shape[:2]
    references = {
        "other": [lr[(i + away) % n] for i in range(n)],
        "paired": lr,
        "clean": [resize_bicubic(hr[(i + away) % n], size) for i in range(n)],
    }
    return Pairs(name, hr[0].shape[0] // lr[0].shape[0], hr, lr, references, left_out)


def nikon_at_2(data: Path, size: int) -> tuple[list[Image], list[Image]]:
    """City100's three Nikon pairs are on one grid; LR halved (antialiased) makes them x2. Cut into a grid of LR
    crops."""
    hr, lr = [], []
    for sharp in sorted((data / "pairs_city100_nikond5500" / "HR").glob("*.PNG")):
        h = read_rgb(sharp)
        soft = read_rgb(sharp.parent.parent / "LR" / sharp.name.replace("H.PNG", "L.PNG"))
        s = resize_bicubic(soft, (soft.shape[0] // 2, soft.shape[1] // 2))
        for y in range(0, s.shape[0] - size + 1, size):
            for x in range(0, s.shape[1] - size + 1, size):
                hr.append(h[2 * y : 2 * (y + size), 2 * x : 2 * (x + size)])
                lr.append(s[y : y + size, x : x + size])
    return hr, lr
