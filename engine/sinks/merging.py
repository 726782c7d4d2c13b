"""Several finished sets as one, of the same kind: images as they are, manifests and rejects one after another.

In the merged manifest a row says under "set" which of plan.json's sets it comes from, and has the new name where pairs
are renamed. A folder's images are hard links where the file system has them: no second copy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..artefact import (
    check_replaceable,
    make_folder,
    new_folder,
    parse_json,
    read_bytes,
    sha256_json,
    write_json_atomic,
)
from ..errors import DegradeError
from ..images import Format
from . import Output, SinkKind, card, open_sink, pairs
from .contract import json_line, stem_of
from .durable import sync
from .linking import link_or_copy
from .names import first_twice, packed
from .pairs import Problem
from .roles import ROLES

FORMAT = "degrade-engine/merge/1"
CHUNK = 128  # pairs of a tar or a Parquet file
Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """A set that is merged: its folder, and what its pages say."""

    folder: Path
    kind: SinkKind
    file_format: Format
    scale: int
    pairs: int
    plan: str
    licence: str | None
    output: Output

    @classmethod
    def read(cls, folder: Path) -> Part:
        """Raises DegradeError for what is no finished set."""
        pages: list[dict[str, Any]] = []
        for name in ("plan.json", "run.json"):
            if not (folder / name).is_file():
                raise DegradeError(f"{folder} holds no finished set ({name} is missing)",
                                   wanted="the --out folder of a `generate` that has finished")  # fmt: skip
            page = parse_json(read_bytes(folder / name), name)
            pages.append(page if isinstance(page, dict) else {})
        scale, count, plan = pages[0].get("scale"), pages[1].get("pairs"), pages[1].get("plan")
        if type(scale) is not int or type(count) is not int or not isinstance(plan, str):
            raise DegradeError(f"{folder}: plan.json or run.json lacks scale, pairs or plan", wanted="a finished set")
        licence = pages[1].get("licence")
        return cls(folder, pairs.kind_of(folder), pairs.format_of(folder), scale, count, plan,
                   licence if isinstance(licence, str) else None, Output.split(pages[0])[1])  # fmt: skip

    def rows(self) -> Iterator[dict[str, Any]]:
        """Its manifest. Raises DegradeError."""
        return (row for row, _ in pairs.rows(self.folder, _refuse))


def merge(folders: Sequence[Path], out: Path, *, rename: bool = False, say: Say = lambda text: None) -> int:
    """Make the set `out` of finished sets; returns how many pairs it has. rename: pairs are called by their number in
    the new set. Raises DegradeError for sets that do not fit together, before anything is written.
    """
    parts = [Part.read(folder) for folder in folders]
    _check(parts, rename)
    check_replaceable(out, "plan.json")
    if out.is_dir() and any(out.iterdir()):
        raise DegradeError(f"{out} holds something", wanted="a new folder, or an empty one")
    output = Output(parts[0].kind, parts[0].output.png_level, file_format=parts[0].file_format)
    total = sum(part.pairs for part in parts)
    page = {
        "format": FORMAT, "scale": parts[0].scale, **output.facts(),
        "sets": [{"name": part.folder.name, "plan": part.plan, "pairs": part.pairs} for part in parts],
    }  # fmt: skip
    with new_folder(out, "plan.json") as folder:
        count = _fill(folder, output, parts, rename, say)
        if count != total:
            raise DegradeError(
                f"{count} pairs were found, and the sets have {total}", mend="`check` says which are gone"
            )
        licences = sorted({part.licence for part in parts if part.licence})
        made = f"scale {parts[0].scale}, 8-bit sRGB. Merged by degrade-engine from {len(parts)} sets."
        card.put(folder, output, count, made, licences)
        write_json_atomic(folder / "plan.json", page)
        write_json_atomic(folder / "run.json", {"format": FORMAT, "plan": sha256_json(page["sets"]), "pairs": count})
        sync(folder)
    return count


def _check(parts: Sequence[Part], rename: bool) -> None:
    if len(parts) < 2:
        raise DegradeError(f"{len(parts)} set was given", wanted="two or more")
    first = parts[0]
    for part in parts[1:]:
        for name in ("kind", "file_format", "scale"):
            one, other = getattr(first, name), getattr(part, name)
            if one != other:
                raise DegradeError(f"{first.folder} and {part.folder} differ: {name} {one} and {other}",
                                   wanted="sets of one --sink, --format and --scale")  # fmt: skip
    if twice := first_twice(packed(part.plan for part in parts)):
        same = [str(part.folder) for part in parts if part.plan.startswith(twice)]
        raise DegradeError(f"{' and '.join(same)} hold the same pairs", wanted="sets of different seeds or photographs")
    names = () if rename else (str(row["name"]) for part in parts for row in part.rows())
    if twice := first_twice(packed(names)):
        raise DegradeError(f"two pairs are called {twice}",
                           mend="--rename, or make the sets with a --name-prefix each")  # fmt: skip


def _fill(out: Path, output: Output, parts: Sequence[Part], rename: bool, say: Say) -> int:
    """Images, manifest and rejects of the sets in `out`."""
    sink, count, shard = open_sink(output, out), 0, 0
    manifest = sink.scratch / "rows"
    make_folder(sink.scratch)
    with open(manifest, "w", encoding="ascii", newline="\n") as rows:
        for number, part in enumerate(parts):
            say(f"{part.folder}: {part.pairs} pairs")
            found = _pairs(part)
            while chunk := list(islice(found, CHUNK)):
                names = []
                for row, gt, lq in chunk:
                    name = stem_of(count) if rename else row["name"]
                    _extra(part.folder, row["name"], out, name)
                    sink.put(name, gt, lq)
                    names.append(row | {"name": name, "set": number})
                    count += 1
                sink.commit(shard, names)
                rows.writelines(map(json_line, names))
                shard += 1
    with open(manifest, encoding="ascii") as rows:
        sink.finish(map(json.loads, rows), (one for part in parts for one in _lines(part.folder / "rejects.jsonl")))
    return count


def _pairs(part: Part) -> Iterator[tuple[dict[str, Any], bytes | Path, bytes | Path]]:
    """(row, GT, LQ) of a set, images as files where they are files."""
    if part.kind == "folder":
        for row in part.rows():
            gt, lq = (part.folder / role / f"{row['name']}.{part.file_format}" for role in ROLES)
            yield row, gt, lq
        return
    by_name = None if part.kind != "lmdb" else {row["name"]: row for row in part.rows()}
    for sample in pairs.stream(part.folder, part.kind, _refuse):
        own = parse_json(sample.row, "a row") if sample.row is not None else (by_name or {}).get(sample.stem)
        if not isinstance(own, dict):
            raise DegradeError(f"{part.folder} holds {sample.stem}, which its manifest does not name")
        yield own, sample.gt, sample.lq


def _extra(source: Path, stem: str, out: Path, name: str) -> None:
    """The images of a pair that a report shows, where there are some."""
    for kind in (source / "extra").iterdir() if (source / "extra").is_dir() else ():
        if (image := kind / f"{stem}.png").is_file():
            make_folder(out / "extra" / kind.name)
            link_or_copy(image, out / "extra" / kind.name / f"{name}.png")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        with open(path, "rb") as lines:
            for line in lines:
                yield parse_json(line, path.name)


def _refuse(problem: Problem) -> None:
    raise DegradeError(f"A set is not whole: {problem}", mend="`degrade-engine check` lists what is wrong")
