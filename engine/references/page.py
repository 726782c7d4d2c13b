"""What was found out about a folder of references: one HTML page, a list for `generate`, features and a table of crops.

The page is a single file and runs no script.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..artefact import write_bytes_atomic
from ..errors import DegradeError
from ..inputs.folders import Place
from ..report.cards import counted, data_uri
from ..report.report import PAGES
from .findings import WORDS, Judged

SHOWN = 48  # photographs of a cluster, and of those with findings
VIEW = 9_000  # bytes of a crop on the page


@dataclass(frozen=True)
class Group:
    """Photographs that are shown together. said: a sentence about them."""

    title: str
    said: str
    views: list[tuple[str, str, list[str]]]  # a crop as a data URI, its photograph, what was found
    more: int  # that are not shown


def summary(judged: Sequence[Judged]) -> list[str]:
    """Sentences: how many photographs and crops, of which how many are flat, the clusters, what was found."""
    crops = sum(len(one.shot.crops) for one in judged)
    flat = sum(sum(one.shot.flat) for one in judged)
    said = [f"{counted(len(judged), 'photograph')}, {counted(crops, 'crop')} looked at"
            + (f", {flat} of them flat, which a run passes over" if flat else "")]  # fmt: skip
    named = Counter(one.cluster for one in judged if one.cluster is not None)
    for cluster, count in sorted(named.items(), key=lambda one: str(one[0])):
        some = [one for one in judged if one.cluster == cluster]
        said.append(f"cluster {cluster}: {counted(count, 'photograph')}, {_like(some)}")
    kinds = Counter(found.kind for one in judged for found in one.found)
    said += [f"{WORDS[kind]}: {count}" for kind, count in kinds.most_common()]
    return said


def _like(some: Sequence[Judged]) -> str:
    """Such as "edge slope 41 %, noise 1.2 grey levels"."""
    slopes = [one.shot.sharpness for one in some if not np.isnan(one.shot.sharpness)]
    noises = [one.shot.noise for one in some if not np.isnan(one.shot.noise)]
    parts = [f"edge slope {np.median(slopes):.0f} %"] if slopes else []
    parts += [f"noise {np.median(noises):.1f} grey levels"] if noises else []
    return ", ".join(parts) or "without edges or noise that could be measured"


def write_page(judged: Sequence[Judged], left_out: Sequence[str], name: str, list_name: str, out: Path) -> None:
    """The page. name: of the folder; list_name: of the list beside it."""
    groups = [_group(f"Cluster {cluster}", some, _like(some)) for cluster, some in _clusters(judged)]
    found = [one for one in judged if one.found]
    bad = _group("Not for use", found, "weight 0 in the list") if found else None
    page = PAGES.get_template("references.html.jinja").render(
        name=name, list_name=list_name, said=summary(judged), groups=groups, bad=bad, left_out=left_out,
        table=[(one.shot.path, [each.said for each in one.found]) for one in found],
    )  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(out, page.encode("utf-8", "xmlcharrefreplace"))


def _clusters(judged: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    names = sorted({one.cluster for one in judged if one.cluster is not None}, key=str)
    return [(str(name), [one for one in judged if one.cluster == name]) for name in names]


def _group(title: str, some: Sequence[Judged], said: str) -> Group:
    views = [(data_uri(one.shot.shown, VIEW), one.shot.path, [WORDS[each.kind] for each in one.found])
             for one in some[:SHOWN]]  # fmt: skip
    return Group(title, f"{counted(len(some), 'photograph')}; {said}", views, max(0, len(some) - SHOWN))


def write_list(judged: Sequence[Judged], place: Place, out: Path) -> None:
    """A line a photograph, for `generate --reference`: path, weight, cluster, what was found. Paths are relative where
    all photographs lie below the list's folder, else absolute. Raises DegradeError for photographs that are no files of
    this machine."""
    paths = [place.local(one.shot.path) for one in judged]
    files = [os.path.abspath(path) for path in paths if path is not None]
    if len(files) < len(judged):
        fact = f"{place.name} holds no files of this machine that a list could name"
        raise DegradeError(fact, mend="leave --list out, or unpack it")
    here = os.path.abspath(out.parent)
    if all(os.path.commonpath([here, file]) == here for file in files):
        files = [os.path.relpath(file, here) for file in files]
    lines = []
    for one, file in zip(judged, files, strict=True):
        page: dict[str, Any] = {"path": file, "weight": one.weight}
        page |= {} if one.cluster is None else {"cluster": one.cluster}
        page |= {"found": [each.said for each in one.found]} if one.found else {}
        lines.append(json.dumps(page, ensure_ascii=False) + "\n")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(out, "".join(lines).encode("utf-8", "surrogateescape"))


def write_features(judged: Sequence[Judged], out: Path) -> None:
    """F_deg of every crop, float32 [crops, c], as .npy; rows as in the table."""
    file = io.BytesIO()
    np.save(file, np.concatenate([one.shot.features for one in judged]))
    write_bytes_atomic(out, file.getvalue())


def write_table(judged: Sequence[Judged], out: Path) -> None:
    """A row a crop: CSV, or JSON lines where the file's name ends in .jsonl."""
    rows = [
        {"path": one.shot.path, "top": crop[0], "left": crop[1], "side": crop[2], "flat": flat, "weight": one.weight,
         "cluster": one.cluster, "found": " ".join(each.kind for each in one.found), "camera": one.shot.camera,
         "sharpness": _figure(one.shot.sharpness), "noise": _figure(one.shot.noise),
         "clipped": round(one.shot.clipped, 4)}
        for one in judged for crop, flat in zip(one.shot.crops, one.shot.flat, strict=True)
    ]  # fmt: skip
    text = io.StringIO(newline="")
    if out.suffix == ".jsonl":
        text.writelines(json.dumps(row) + "\n" for row in rows)
    else:
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    write_bytes_atomic(out, text.getvalue().encode("utf-8", "surrogateescape"))


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 2)
