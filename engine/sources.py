"""The photographs of a run: two places (`places.py`), or a list of exactly these pairs.

Only headers are read here. What is unusable at that level (too small, no image) is named among the rejects;
what turns out to be broken when its pixels are decoded is dealt with later, where it is met (`inputs.py`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import inventory, places
from .artefact import read_bytes
from .errors import DegradeError
from .inputs import Folders, Reject
from .places import Place
from .plan import Photograph

COLUMNS = ["hr", "reference"]
Where = str | Path | Place  # see `places.at`


@dataclass(frozen=True)
class Sources:
    """Usable photographs, where they lie, and what was left out. listed: see `Plan.listed`."""

    folders: Folders
    hr: Sequence[Photograph]
    reference: Sequence[Photograph]
    rejects: tuple[Reject, ...]
    listed: tuple[tuple[int, int], ...] | None = None


def from_folders(hr: Where, reference: Where | None, *, hr_size: int, reference_size: int) -> Sources:
    """Everything usable in two places, or in one. hr_size, reference_size: the least height and width, in pixels."""
    hr = places.at(hr)
    sharp, sharp_rejects = _scan(hr, "hr", hr_size)
    if reference is None:
        return Sources(Folders(hr, hr), sharp, (), sharp_rejects)
    reference = places.at(reference)
    real, real_rejects = _scan(reference, "reference", reference_size)
    return Sources(Folders(hr, reference), sharp, real, sharp_rejects + real_rejects)


def from_list(
    path: Path, hr: Where | None, reference: Where | None, *, hr_size: int, reference_size: int | None
) -> Sources:
    """The pairs of a CSV with the columns hr and reference, or hr alone where reference_size is None, in its order.
    Paths are relative to the places given, or else to the CSV's folder. Raises DegradeError for a file that is not
    such a list.
    """
    pairs = read_list(path, ["hr"] if reference_size is None else COLUMNS)
    folders = Folders(places.at(hr or path.parent), places.at(reference or path.parent))
    sharp, sharp_index, sharp_rejects = _look(folders.hr, "hr", [pair[0] for pair in pairs], hr_size)
    if reference_size is None:
        return Sources(folders, sharp, (), sharp_rejects, tuple((sharp_index[pair[0]], 0) for pair in pairs))
    real, real_index, real_rejects = _look(
        folders.reference, "reference", [pair[1] for pair in pairs], reference_size
    )
    listed = tuple((sharp_index[pair[0]], real_index[pair[1]]) for pair in pairs)
    return Sources(folders, sharp, real, sharp_rejects + real_rejects, listed)


def read_list(path: Path, columns: list[str]) -> list[list[str]]:
    """The paths of each line, in the order of `columns`, which the first line has to name."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DegradeError(f"{path} is not UTF-8 text", wanted="a CSV file") from None
    lines = csv.reader(io.StringIO(text), strict=True)
    try:
        head = [name.strip() for name in next(lines, [])]
        if sorted(head) != columns:
            raise DegradeError(
                f"{path} has the columns {', '.join(head) or 'none'}", wanted=f"{','.join(columns)} in its first line"
            )
        pairs = []
        for line in lines:
            if not line:
                continue
            if len(line) != len(columns) or not all(cell.strip() for cell in line):
                wanted = "two paths" if len(columns) == 2 else "one path"
                raise DegradeError(f"{path}, line {lines.line_num}: {','.join(line)!r}", wanted=wanted)
            pairs.append([line[head.index(name)].strip() for name in columns])
    except csv.Error as error:
        raise DegradeError(f"{path}, line {lines.line_num}: {error}", wanted="a CSV file") from None
    if not pairs:
        raise DegradeError(f"{path} lists no pair")
    return pairs


def _scan(place: Place, role: str, least: int) -> tuple[Sequence[Photograph], tuple[Reject, ...]]:
    found = inventory.scan(place, (least, least))
    return found.entries, tuple(Reject(role, one.path, one.reason, one.detail) for one in found.rejects)


def _look(
    place: Place, role: str, paths: Sequence[str], least: int
) -> tuple[Sequence[Photograph], dict[str, int], tuple[Reject, ...]]:
    """The usable ones of these paths, each once; the index of every path among them (-1 = unusable); the
    rejects.
    """
    usable: list[Photograph] = []
    index: dict[str, int] = {}
    rejects: list[Reject] = []
    for path in dict.fromkeys(paths):
        found = inventory.examine(place, path, (least, least))
        index[path] = len(usable) if isinstance(found, inventory.Entry) else -1
        if isinstance(found, inventory.Entry):
            usable.append(found)
        else:
            rejects.append(Reject(role, found.path, found.reason, found.detail))
    return tuple(usable), index, tuple(rejects)
