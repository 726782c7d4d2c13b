"""Pairs read back from any kind of sink, one at a time, as the bytes that trainers get.

What is wrong with the set as a whole (a file too many, half a pair, a name that loaders stumble over) is said as a
`Problem` while it is read. Nothing is decoded here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..artefact import parse_json, read_bytes
from ..errors import DegradeError
from ..images import FORMATS, Format
from . import SinkKind, require, tars
from .contract import check_stem
from .roles import ROLES, Role, role_of

Size = tuple[int, int]  # height, width
_META = r"([^ ]+)\.{} \((\d+),(\d+),3\)(?: \d+)?"  # {}: the images' ending
_META_PAIR = r"gt/([^ ]+)\.{0}, lq/\1\.{0}"


@dataclass(frozen=True)
class Problem:
    """One thing that breaks the contract. name: a stem, or a file; check: one machine word."""

    name: str
    check: str
    wanted: str
    came: str

    def __str__(self) -> str:
        return f"{self.name}: {self.check}: wanted {self.wanted}, came {self.came}"


Say = Callable[[Problem], None]


@dataclass(frozen=True)
class Sample:
    """One pair as stored. row: its own JSON, where the kind keeps one beside the images."""

    stem: str
    gt: bytes
    lq: bytes
    row: bytes | None = None


@dataclass(frozen=True)
class Meta:
    """A meta file: the stems that it names, and their sizes where it says them. role: whose sizes, gt or lq."""

    name: str
    role: str
    sizes: dict[str, Size | None] = field(default_factory=dict)


def made_here(folder: Path) -> bool:
    """Whether a run of ours wrote into a folder."""
    return any((folder / name).is_file() for name in ("plan.json", "run.json", "manifest.jsonl"))


def databases(folder: Path) -> dict[Role, Path] | None:
    """gt.lmdb and lq.lmdb, or the only databases of a folder whose names say these roles; None where there are none."""
    found = {role: folder / f"{role}.lmdb" for role in ROLES}
    if not all(path.is_dir() for path in found.values()):
        there = sorted(path for path in folder.glob("*.lmdb") if path.is_dir())
        by_role = {role: [path for path in there if role_of(path.stem) == role] for role in ROLES}
        if any(len(paths) != 1 for paths in by_role.values()):
            return None
        found = {role: paths[0] for role, paths in by_role.items()}
    return found


def kind_of(folder: Path) -> SinkKind:
    """Which kind of pairs lies in a folder. Raises DegradeError where there is none that is finished."""
    there: list[SinkKind] = []
    if databases(folder):
        there.append("lmdb")
    if (folder / "webdataset").is_dir():
        there.append("webdataset")
    if (folder / "parquet").is_dir():
        there.append("parquet")
    if all((folder / role).is_dir() for role in ROLES):
        there.append("folder")
    if not there and (folder / "lq").is_dir():
        raise DegradeError(f"{folder} holds LR images without GT", wanted="pairs: `generate` without --gt none")
    if len(there) != 1:
        said = "holds pairs of the kinds " + " and ".join(there) if there else "holds no pairs that can be read"
        raise DegradeError(
            f"{folder} {said}",
            wanted="gt/ and lq/, or gt.lmdb and lq.lmdb, webdataset/ or parquet/",
            mend="" if there else "finish the run that made it, with the same generate command",
        )
    require(there[0])
    return there[0]


def format_of(folder: Path) -> Format:
    """Which format plan.json gives the images of a set; PNG where it says nothing."""
    try:
        page = parse_json(read_bytes(folder / "plan.json"), "plan.json")
        said = page.get("file_format") if isinstance(page, dict) else None
    except DegradeError:
        said = None
    return next((one for one in FORMATS if one == said), "png")


def stream(folder: Path, kind: SinkKind, say: Say) -> Iterator[Sample]:
    """Every whole pair, by stem (of tars: as they come)."""
    if kind == "lmdb":
        yield from _databases(folder, say)
    elif kind == "parquet":
        yield from _tables(folder, say)
    else:
        yield from (_files if kind == "folder" else _tars)(folder, format_of(folder), say)


def pick(folder: Path, kind: SinkKind, stems: Sequence[str]) -> dict[str, Sample]:
    """Some pairs by their stems, as many of them as are there."""
    if kind == "folder":
        ending = format_of(folder)
        there = [stem for stem in stems if all((folder / role / f"{stem}.{ending}").is_file() for role in ROLES)]
        return {stem: _of_files(folder, stem, ending) for stem in there}
    wanted, found = set(stems), dict[str, Sample]()

    def nobody(problem: Problem) -> None:
        pass

    samples = _tables(folder, nobody, wanted) if kind == "parquet" else stream(folder, kind, nobody)
    for sample in samples:
        if sample.stem in wanted:
            found[sample.stem] = sample
        if len(found) == len(wanted):
            break
    return found


def metas(folder: Path, kind: SinkKind, say: Say) -> list[Meta]:
    """The meta files of a kind; a missing one and each line that no loader can read is a problem."""
    if kind == "folder":
        listed = [("meta_info_GT.txt", "gt", _META), ("meta_info_pair.txt", "gt", _META_PAIR)]
    elif kind == "lmdb":
        listed = [(f"{path.name}/meta_info.txt", role, _META) for role, path in (databases(folder) or {}).items()]
    else:
        listed = []
    found, ending = [], format_of(folder)
    for name, role, form in listed:
        meta = Meta(name, role)
        if not (folder / name).is_file():
            say(Problem(name, "meta", "a meta file", "none"))
            continue
        with open(folder / name, encoding="utf-8", errors="backslashreplace") as lines:
            for number, line in enumerate(lines, 1):
                fits = re.fullmatch(form.format(ending), line.rstrip("\n"))
                if not fits:
                    name_of = f"STEM.{ending}"
                    wanted = f"gt/{name_of}, lq/{name_of}" if form is _META_PAIR else f"{name_of} (h,w,3)"
                    say(Problem(f"{name} line {number}", "meta", wanted, repr(line.rstrip("\n")[:80])))
                elif fits[1] in meta.sizes:
                    say(Problem(fits[1], "meta", f"one line in {name}", "two"))
                else:
                    meta.sizes[fits[1]] = (int(fits[2]), int(fits[3])) if form is _META else None
        found.append(meta)
    return found


def rows(folder: Path, say: Say) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The rows of manifest.jsonl, one after another, each with its line."""
    path = folder / "manifest.jsonl"
    if not path.is_file():
        say(Problem("manifest.jsonl", "manifest", "a row a pair, of a finished run", "none"))
        return
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = parse_json(line, "a row")
            except DegradeError as error:
                say(Problem(f"manifest.jsonl line {number}", "manifest", "a JSON object", error.fact))
                continue
            if isinstance(row, dict) and isinstance(row.get("name"), str):
                yield row, line
            else:
                say(Problem(f"manifest.jsonl line {number}", "manifest", 'an object with "name"', repr(row)[:80]))


# ---- the kinds ----


def _files(folder: Path, wanted: Format, say: Say) -> Iterator[Sample]:
    names = {role: {one.name for one in os.scandir(folder / role)} for role in ROLES}
    for name in sorted(names["gt"] | names["lq"]):
        stem, _, ending = name.partition(".")
        lacks = [role for role in ROLES if name not in names[role]]
        if ending != wanted or not all((folder / role / name).is_file() for role in ROLES if role not in lacks):
            where = "gt" if name in names["gt"] else "lq"
            only = f"nothing but STEM.{wanted}, since loaders read all that is there"
            say(Problem(f"{where}/{name}", "file", only, name))
        elif _named(stem, say):
            if lacks:
                say(Problem(stem, "pair", f"{lacks[0]}/{name} beside the other", "none"))
            else:
                yield _of_files(folder, stem, wanted)


def _of_files(folder: Path, stem: str, ending: Format) -> Sample:
    return Sample(stem, *(read_bytes(folder / role / f"{stem}.{ending}") for role in ROLES))


def _databases(folder: Path, say: Say) -> Iterator[Sample]:
    import lmdb

    from .lmdb import open_to_read

    paths = databases(folder)
    assert paths is not None  # as kind_of found
    try:
        with closing(open_to_read(paths["gt"])) as gt, closing(open_to_read(paths["lq"])) as lq:
            with gt.begin() as sharp, lq.begin() as low:
                yield from _merge(sharp.cursor(), low.cursor(), say)
    except lmdb.Error as error:
        raise DegradeError(f"The databases in {folder} cannot be read ({error})", mend="make them again") from error


def _merge(gt: Any, lq: Any, say: Say) -> Iterator[Sample]:
    """Two cursors over sorted keys, side by side."""
    left, right = gt.first(), lq.first()
    while left or right:
        a, b = gt.key() if left else None, lq.key() if right else None
        key = min(one for one in (a, b) if one is not None)
        stem = key.decode("ascii", "backslashreplace")
        if _named(stem, say):
            if a != b:
                lacking = "lq" if b != key else "gt"
                say(Problem(stem, "pair", f"the key in {lacking}.lmdb as in the other", "none"))
            else:
                yield Sample(stem, gt.value(), lq.value())
        left, right = gt.next() if a == key else left, lq.next() if b == key else right


def _tars(folder: Path, ending: Format, say: Say) -> Iterator[Sample]:
    paths, images = sorted((folder / "webdataset").iterdir()), [f"{role}.{ending}" for role in ROLES]
    for path in paths:
        if path.suffix != ".tar":
            say(Problem(f"webdataset/{path.name}", "file", "nothing but tars", path.name))
            continue
        try:
            for stem, parts in tars.samples(path):
                if set(parts) != {*images, "json"}:
                    say(Problem(stem, "pair", f"{images[0]}, {images[1]} and json in {path.name}", ", ".join(parts)))
                elif _named(stem, say):
                    yield Sample(stem, parts[images[0]], parts[images[1]], parts["json"])
        except DegradeError as error:
            say(Problem(f"webdataset/{path.name}", "file", "a whole tar", error.fact))


def _tables(folder: Path, say: Say, names: set[str] | None = None) -> Iterator[Sample]:
    from .parquet import read

    for path in sorted((folder / "parquet").iterdir()):
        if path.suffix != ".parquet":
            say(Problem(f"parquet/{path.name}", "file", "nothing but Parquet files", path.name))
            continue
        try:
            for row in read(path, ("name", *ROLES, "manifest"), names):
                stem = row["name"]
                gt, lq = ((row[role] or {}).get("bytes") for role in ROLES)
                if gt is None or lq is None:
                    say(Problem(stem, "pair", f"the bytes of both images in {path.name}", "null"))
                elif _named(stem, say):
                    yield Sample(stem, gt, lq, row["manifest"].encode() + b"\n")
        except DegradeError as error:
            say(Problem(f"parquet/{path.name}", "file", "a whole Parquet file", error.fact))


def _named(stem: str, say: Say) -> bool:
    try:
        check_stem(stem)
    except DegradeError as error:
        say(Problem(stem, "stem", error.wanted, repr(stem)))
        return False
    return True
