"""Pairs in folders that no run of ours made, found by what the names say (`roles`): DIV2K's, BasicSR's, RealSR's, or
one's own.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..artefact import read_bytes
from ..errors import DegradeError
from ..images import readable_endings
from . import pairs
from .pairs import Problem, Sample, Say
from .roles import Place, Role, place_of

WANTED = ("gt/ and lq/, gt.lmdb and lq.lmdb, webdataset/ or parquet/; or image folders whose names say HR or GT and "
          "LR or LQ, with the same file names but for marks such as x4")  # fmt: skip
_OTHER: dict[Role, Role] = {"gt": "lq", "lq": "gt"}


@dataclass(frozen=True)
class Match:
    """Two image files. name: the GT's stem, or the LQ's path where stems do not tell the pairs apart."""

    name: str
    gt: Path
    lq: Path


def foreign(folder: Path) -> bool:
    """Whether pairs are to be looked for by name: no run made the folder, nor do databases, tars or Parquet files
    hold its pairs."""
    kept_whole = pairs.databases(folder) or any((folder / name).is_dir() for name in ("webdataset", "parquet"))
    return not kept_whole and not pairs.made_here(folder)


def find(folder: Path, say: Say) -> list[Match]:
    """The pairs below a folder, in the order of their LQ; says each image that lacks its partner. Raises DegradeError
    where there are none."""
    runs = sorted(one.name for one in folder.iterdir() if one.is_dir() and pairs.made_here(one))
    if runs:
        raise DegradeError(f"{folder} holds runs in folders of their own, such as {runs[0]}", wanted="one of them")
    placed, others = _placed(folder)
    by_key: dict[tuple[str, ...], list[tuple[Path, Place]]] = defaultdict(list)
    for path, place in placed["gt"]:
        by_key[place.key].append((path, place))
    matched = []
    for path, place in placed["lq"]:
        if there := by_key.get(place.key):  # train_HR/1.png and test_HR/1.png share a key: the most words in common
            matched.append((max(there, key=lambda gt: len(gt[1].words & place.words))[0], path))
    if not matched:
        raise DegradeError(_why_none(folder, placed, others), wanted=WANTED)
    used = {path for both in matched for path in both}
    for role, there in placed.items():
        _say_alone(folder, role, [path for path, _ in there], used, say)
    often = Counter(gt.stem for gt, _ in matched)
    return [Match(gt.stem if often[gt.stem] == 1 else lq.relative_to(folder).as_posix(), gt, lq) for gt, lq in matched]


def stream(found: list[Match]) -> Iterator[Sample]:
    """The pairs as bytes."""
    for one in found:
        yield Sample(one.name, read_bytes(one.gt), read_bytes(one.lq))


def _placed(folder: Path) -> tuple[dict[Role, list[tuple[Path, Place]]], int]:
    """The images by role, and how many have none."""
    placed: dict[Role, list[tuple[Path, Place]]] = {"gt": [], "lq": []}
    others = 0
    for path in _images(folder):
        place = place_of(path.relative_to(folder))
        if place is None:
            others += 1
        else:
            placed[place.role].append((path, place))
    return placed, others


def _images(folder: Path) -> Iterator[Path]:
    """By path. Linked folders are gone into, each once."""
    seen, endings = set[str](), readable_endings()
    for at, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        folders[:] = [] if real in seen else sorted(one for one in folders if not one.startswith("."))
        if real not in seen:
            seen.add(real)
            for name in sorted(files):
                if not name.startswith(".") and name.lower().endswith(endings):
                    yield Path(at, name)


def _say_alone(folder: Path, role: Role, there: list[Path], used: set[Path], say: Say) -> None:
    """One line an image without a partner; one for all where a folder has no pair at all."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in there:
        by_folder[path.parent].append(path)
    for at, paths in by_folder.items():
        alone = [path for path in paths if path not in used]
        if len(alone) == len(paths) and len(paths) > 1:
            came = f"none for any of its {len(paths)} images"
            say(Problem(at.relative_to(folder).as_posix(), "pair", f"{_OTHER[role].upper()} of the same names", came))
        else:
            for path in alone:
                name = path.relative_to(folder).as_posix()
                say(Problem(name, "pair", f"{_OTHER[role].upper()} of the same name", "none"))


def _why_none(folder: Path, placed: dict[Role, list[tuple[Path, Place]]], others: int) -> str:
    counts = [f"{len(there)} {role.upper()}" for role, there in placed.items()]
    if all(placed.values()):
        return f"{folder} holds {' and '.join(counts)} images, of which no two share a name"
    return f"{folder} holds no pairs: {' and '.join(counts)} images by their names, and {others} that name no role"
