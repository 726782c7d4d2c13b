"""What `match` looks at: crops of one size, of a set's LQ, of bicubic of the same GT, and of a camera's photographs.

Read once, with what cannot be used named. The same seed and files give the same crops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..cores import cores
from ..draws import Crop
from ..errors import BadImage, DegradeError, MachineFault
from ..images import Encoded, Pixels, read_rgb, read_size, resize_bicubic
from ..inputs.folders import Place, base
from ..inputs.inventory import Inventory
from ..inputs.photographs import Entry
from ..sinks import layouts, pairs
from ..sinks.contract import scale_of
from ..sinks.pairs import Sample

SIDES = (128, 96, 64, 48, 32)  # of the crops, LR pixels: the largest that fits
FITS = 0.9  # share of the pairs, and of the photographs, that have to be so large
_PART = re.compile(r"_s\d{3,4}$")  # BasicSR's mark of a part of a photograph
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Gathered:
    """Crops, uint8 [side, side, 3], and for each the photograph that it is of. lq and bicubic lie side by side;
    left_out: a sentence for each that could not be used."""

    side: int
    lq: list[Pixels]
    bicubic: list[Pixels]
    scenes: list[str]
    camera: list[Pixels]
    shots: list[str]
    left_out: list[str] = field(default_factory=list)


def gather(folder: Path, there: Inventory, most: int, seed: int) -> Gathered:
    """At most so many crops of the set in `folder`, and as many of the camera's photographs. Raises DegradeError where
    there are no pairs or no photographs, or where they are too small."""
    left_out: list[str] = []
    named = _sample(folder, most, seed, lambda problem: left_out.append(str(problem)))
    left_out += [f"{one.path}: {one.detail}" for one in there.rejects]
    sized = list(_sized(named, left_out))
    if not sized:
        raise DegradeError(f"{folder} holds no pair that can be read ({'; '.join(left_out[:3])})")
    if not there.entries:
        fact = f"{there.place.name} holds no photograph of {SIDES[-1]} x {SIDES[-1]} pixels or more"
        raise DegradeError(fact, wanted="photographs of the camera, as large as the LR at least")
    side = _side([(size, "LQ") for _, _, size in sized], [((e.height, e.width), "photographs") for e in there.entries])
    with ThreadPoolExecutor(cores(), thread_name_prefix="match") as pool:
        both = _usable(pool, partial(_pair, seed=seed, side=side, count=-(-most // len(sized))),
                       list(enumerate(sized)), lambda task: task[1][0].stem, left_out)  # fmt: skip
        entries = [there.entries[at] for at in _evenly(len(there.entries), most)]
        camera = _usable(pool, partial(_photograph, place=there.place, seed=seed, side=side,
                                       count=-(-most // len(entries))),
                         list(enumerate(entries)), lambda task: task[1].path, left_out)  # fmt: skip
    for found, what, where in ((both, "pair", folder), (camera, "photograph", there.place.name)):
        if not found:
            said = "; ".join(left_out[-3:])
            raise DegradeError(f"{where} holds no {what} of {side} x {side} LR pixels that can be used ({said})")
    return Gathered(side, [lq for _, lq, _ in both], [b for _, _, b in both], [name for name, _, _ in both],
                    [pixels for _, pixels in camera], [name for name, _ in camera], left_out)  # fmt: skip


def tiles(height: int, width: int, side: int, count: int, dice: np.random.Generator) -> list[Crop]:
    """At most so many squares that do not overlap, from a grid that lies anywhere."""
    rows, columns = height // side, width // side
    top, left = (int(dice.integers(0, whole - n * side + 1)) for whole, n in ((height, rows), (width, columns)))
    chosen = dice.choice(rows * columns, min(count, rows * columns), replace=False)
    return [(top + at // columns * side, left + at % columns * side, side, side) for at in sorted(chosen.tolist())]


def cut(image: Pixels, crop: Crop, times: int = 1) -> Pixels:
    """A crop, of an image that is so many times as large."""
    top, left, height, width = (times * edge for edge in crop)
    return np.ascontiguousarray(image[top : top + height, left : left + width])


Sized = tuple[Sample, str, tuple[int, int]]  # a pair, its photograph, the size of its LQ


def _pair(task: tuple[int, Sized], seed: int, side: int, count: int) -> list[tuple[str, Pixels, Pixels]]:
    """(photograph, crop of the LQ, bicubic of the same crop of the GT); none of an LQ that is too small."""
    at, (sample, name, size) = task
    if min(size) < side:
        return []
    gt, lq = (read_rgb(Encoded(sample.stem, data)) for data in (sample.gt, sample.lq))
    (height, width), scale = lq.shape[:2], scale_of(sample.stem, gt.shape[:2], lq.shape[:2])
    crops = tiles(height, width, side, count, np.random.default_rng((seed, 0, at)))
    return [(name, cut(lq, crop), resize_bicubic(cut(gt, crop, scale), (side, side))) for crop in crops]


def _photograph(task: tuple[int, Entry], place: Place, seed: int, side: int, count: int) -> list[tuple[str, Pixels]]:
    """(its path, a crop)."""
    at, entry = task
    if min(entry.height, entry.width) < side:
        return []
    whole = read_rgb(Encoded(base(entry.path), place.read(entry.path)))
    crops = tiles(whole.shape[0], whole.shape[1], side, count, np.random.default_rng((seed, 1, at)))
    return [(entry.path, cut(whole, crop)) for crop in crops]


def _sample(folder: Path, most: int, seed: int, say: pairs.Say) -> Iterable[tuple[Sample, str]]:
    """Some pairs, each with the name of its photograph."""
    if not folder.is_dir():
        raise DegradeError(f"The folder {folder} is not there", wanted="a folder of pairs")
    if layouts.foreign(folder):
        found = layouts.find(folder, say)
        some = layouts.stream([found[at] for at in _evenly(len(found), most)])
        return [(sample, _PART.sub("", sample.stem)) for sample in some]
    kind = pairs.kind_of(folder)
    scenes = _scenes(folder) if pairs.made_here(folder) else {}
    if kind == "folder" and scenes:
        stems = [stem for at, stem in enumerate(scenes) if at in set(_evenly(len(scenes), most))]
        picked = pairs.pick(folder, kind, stems)
        for stem in stems:
            if stem not in picked:
                say(pairs.Problem(stem, "pair", "a whole pair, since manifest.jsonl names it", "none"))
        kept = list(picked.values())
    else:
        kept = _some(pairs.stream(folder, kind, say), most, seed)
    return [(sample, scenes.get(sample.stem) or _PART.sub("", sample.stem)) for sample in kept]


def _scenes(folder: Path) -> dict[str, str]:
    """Stem -> the HR photograph, by the manifest."""
    rows = (row for row, _ in pairs.rows(folder, lambda problem: None))
    found = {row["name"]: row.get("hr") for row in rows}
    return {name: str(hr["path"]) for name, hr in found.items() if isinstance(hr, dict) and "path" in hr}


def _some(samples: Iterable[Sample], most: int, seed: int) -> list[Sample]:
    """At most so many, each as likely as the next, in one pass."""
    kept, dice = list[Sample](), np.random.default_rng(seed)
    for count, sample in enumerate(samples):
        if count < most:
            kept.append(sample)
        elif (at := int(dice.integers(0, count + 1))) < most:
            kept[at] = sample
    return kept


def _sized(named: Iterable[tuple[Sample, str]], left_out: list[str]) -> Iterator[Sized]:
    """With the size of each LQ, by its header."""
    for sample, name in named:
        try:
            yield sample, name, read_size(Encoded(sample.stem, sample.lq))
        except BadImage as bad:
            left_out.append(f"{sample.stem}: {bad}")


def _side(*kinds: Sequence[tuple[tuple[int, int], str]]) -> int:
    """The largest of SIDES that most of each kind have."""
    for side in SIDES:
        if all(np.mean([min(size) >= side for size, _ in kind]) >= FITS for kind in kinds):
            return side
    small = next(kind for kind in kinds if np.mean([min(size) >= SIDES[-1] for size, _ in kind]) < FITS)
    sizes = sorted(min(size) for size, _ in small)
    raise DegradeError(f"The {small[0][1]} have {sizes[len(sizes) // 2]} pixels on the shorter side",
                       wanted=f"{SIDES[-1]} or more, to be measured")  # fmt: skip


def _usable(
    pool: ThreadPoolExecutor, work: Callable[[T], list[U]], tasks: Sequence[T], name: Callable[[T], str],
    left_out: list[str],
) -> list[U]:  # fmt: skip
    """What comes of all tasks, in order. A bad image, or one that is too small for a crop, is left out and named."""

    def attempt(task: T) -> list[U] | str:
        try:
            return work(task) or f"{name(task)}: smaller than most"
        except MachineFault:
            raise
        except DegradeError as bad:
            return f"{name(task)}: {bad}"

    found: list[U] = []
    for came in pool.map(attempt, tasks):
        if isinstance(came, str):
            left_out.append(came)
        else:
            found += came
    return found


def _evenly(count: int, most: int) -> list[int]:
    """At most so many of 0..count-1, evenly."""
    return list(range(count)) if count <= most else [at * count // most for at in range(most)]
