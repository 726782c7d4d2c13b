"""The photographs of a run: two places (`places.py`), or a list of exactly these pairs.

Only headers are read here. What is unusable at that level (too small, no image) is named among the rejects;
what turns out to be broken when its pixels are decoded is dealt with later, where it is met (`loading.py`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from ..artefact import sha256_bytes
from ..errors import BadImage, DegradeError
from ..faults import Patience, read_file
from ..images import PIXEL_LIMIT, readable_endings
from ..objects import Out
from ..sinks.roles import place_of
from ..weights import Shares
from . import inventory, inventory_page, places
from .folders import Folder, Place
from .inventory import Identity
from .inventory_page import Asked, Found
from .lists import Listed, text_of
from .loading import Folders
from .photographs import Entry, Photographs, Reject
from .places import Where
from .reading import check

COLUMNS = ["hr", "reference"]
SAMPLE = 64  # photographs of a known inventory that are looked for before it is trusted
OnFiles = Callable[[str, int], None]
_SAYS_LR = re.compile(r"lr|lq|lowres|input", re.IGNORECASE)  # of what `place_of` may take for LR


@dataclass(frozen=True)
class Sources:
    """Usable photographs, where they lie, and what was left out. listed: see `Plan.listed`."""

    folders: Folders
    hr: Photographs
    reference: Photographs
    rejects: tuple[Reject, ...]
    listed: tuple[tuple[int, int], ...] | None
    asked: Asked
    scanned: bool  # False: taken from the page of an earlier call

    @property
    def shares(self) -> Shares | None:
        """Of the references, where a list gives them. Raises DegradeError where none is to be drawn."""
        place = self.folders.reference
        said = place.shares if isinstance(place, Listed) else None
        if said is None or not self.reference:
            return None
        both = [said.get(self.reference.path(at), (1.0, None)) for at in range(len(self.reference))]
        return Shares(tuple(weight for weight, _ in both), tuple(cluster for _, cluster in both))

    def write_page(self, out: Out) -> None:
        """Put inventory.jsonl into `out`."""
        photographs = {"hr": self.hr, "reference": self.reference}
        inventory_page.write(out, self.asked, Found(photographs, self.rejects))


@dataclass(frozen=True)
class How:
    """How photographs are looked at. known: a folder whose inventory.jsonl spares the look, where it answers the same
    question. on_files: told now and then how many files of a role were seen. patience: with what cannot be read.
    """

    identity: Identity = "size"
    pixel_limit: int = PIXEL_LIMIT
    known: Out | None = None
    on_files: OnFiles | None = None
    patience: Patience = Patience()


def from_folders(
    hr: Where, reference: Where | None, *, hr_size: int, reference_size: int | None, how: How | None = None
) -> Sources:
    """Everything usable in two places, or in one. hr_size, reference_size: the least height and width, in pixels."""
    how = how or How()
    where = {"hr": hr} | ({} if reference is None else {"reference": reference})
    at = {role: places.at(one, how.patience) for role, one in where.items()}
    asked = Asked(hr_size, None if reference is None else reference_size, how.identity, how.pixel_limit)
    return _gather(at, asked, how, lambda role, least: _scan(at[role], role, least, how))


def from_list(
    path: Path,
    hr: Where | None,
    reference: Where | None,
    *,
    hr_size: int,
    reference_size: int | None,
    how: How | None = None,
) -> Sources:
    """The pairs of a CSV with the columns hr and reference, or hr alone where reference_size is None, in its order.
    Paths are relative to the places given, or else to the CSV's folder. Raises DegradeError for a file that is not
    such a list.
    """
    how = how or How()
    columns = ["hr"] if reference_size is None else COLUMNS
    data = how.patience.ask(str(path), lambda: read_file(path, path.name)[0])
    pairs = read_list(data, path, columns)
    where = {"hr": hr or path.parent, "reference": reference or path.parent}
    at = {role: places.at(where[role], how.patience) for role in columns}
    asked = Asked(hr_size, reference_size, how.identity, how.pixel_limit, sha256_bytes(data))

    def look(role: str, least: int) -> tuple[Photographs, tuple[Reject, ...]]:
        return _look(at[role], role, dict.fromkeys(pair[columns.index(role)] for pair in pairs), least, how)

    found = _gather(at, asked, how, look)
    sharp, real = ({one.path: n for n, one in enumerate(photographs)} for photographs in (found.hr, found.reference))
    listed = tuple((sharp.get(pair[0], -1), real.get(pair[1], -1) if len(pair) > 1 else 0) for pair in pairs)
    return replace(found, listed=listed)


def read_list(data: bytes, path: Path, columns: list[str]) -> list[list[str]]:
    """The paths of each line, in the order of `columns`, which the first line has to name."""
    lines = csv.reader(io.StringIO(text_of(data, path, "a CSV file")), strict=True)
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


def _gather(
    at: dict[str, Place], asked: Asked, how: How, look: Callable[[str, int], tuple[Photographs, tuple[Reject, ...]]]
) -> Sources:
    """Each role's photographs, by the page of an earlier call or by looking."""
    found = inventory_page.read(how.known, asked) if how.known else None
    if found and not all(_there(place, found.photographs[role]) for role, place in at.items()):
        found = None
    scanned = found is None
    if found is None:
        looked = {role: look(role, (asked.hr_size if role == "hr" else asked.reference_size) or 1) for role in at}
        photographs = {role: looked[role][0] if role in looked else Photographs() for role in ("hr", "reference")}
        found = Found(photographs, tuple(reject for _, rejects in looked.values() for reject in rejects))
    folders = Folders(at["hr"], at.get("reference", at["hr"]))
    return Sources(folders, **found.photographs, rejects=found.rejects, listed=None, asked=asked, scanned=scanned)


def _there(place: Place, photographs: Photographs) -> bool:
    """Whether a sample of them is where it was and as it was. Raises MachineFault where one is gone, unless that is
    allowed; then some have to be there."""
    sample = range(0, len(photographs), max(1, len(photographs) // SAMPLE))
    reasons = []
    for n in sample:
        try:
            check(place, photographs[n])
        except BadImage as bad:
            reasons.append(bad.reason)
    return "changed" not in reasons and (len(reasons) < len(sample) or not sample)


def _scan(place: Place, role: str, least: int, how: How) -> tuple[Photographs, tuple[Reject, ...]]:
    on_files = how.on_files and partial(how.on_files, role)
    found = inventory.scan(
        place, (least, least), role=role, pixel_limit=how.pixel_limit, identity=how.identity, on_files=on_files
    )
    if not found.entries and not found.rejects:
        endings = ", ".join(readable_endings())
        raise DegradeError(f"there is no {role} image in {place.name}", wanted=f"files ending in {endings}",
                           mend=_archives_in(place))  # fmt: skip
    _refuse_both(place, role, found.entries)
    return found.entries, found.rejects


def _archives_in(place: Place) -> str:
    """What to write instead of a folder that holds archives; "" where it holds none."""
    root = place.root if isinstance(place, Folder) and place.pattern is None else None
    kinds = (kind for kind in (".tar", ".parquet", ".zip") if root is not None and next(root.glob(f"*{kind}"), None))
    kind = next(kinds, None)
    return f"read its archives as '{root}/*{kind}'" if kind else ""


def _refuse_both(place: Place, role: str, entries: Photographs) -> None:
    """DegradeError for a place that holds HR and LR images of one another, as the root of DIV2K does."""
    low = [path for path in map(entries.path, range(len(entries))) if _SAYS_LR.search(path)]
    partners = {found.key: path for path in low if (found := place_of(PurePosixPath(path))) and found.role == "lq"}
    for at in range(len(entries)) if partners else ():
        found = place_of(PurePosixPath(path := entries.path(at)))
        if found and found.role == "gt" and found.key in partners:
            both = f"{path} and {partners[found.key]}"
            raise DegradeError(
                f"{place.name} holds images that are HR and LR of one another, such as {both}",
                wanted=f"the {'HR' if role == 'hr' else 'reference'} images alone",
                mend="give their folder, or a quoted glob such as 'DIV2K/*_HR/*.png'",
            )


def _look(
    place: Place, role: str, paths: Iterable[str], least: int, how: How
) -> tuple[Photographs, tuple[Reject, ...]]:
    """The usable ones of these paths, in their order, and the rejects."""
    rejects: list[Reject] = []

    def usable() -> Iterator[Entry]:
        looked = inventory.examine(
            place, paths, (least, least), role=role, pixel_limit=how.pixel_limit, identity=how.identity
        )
        for found in looked:
            if isinstance(found, Entry):
                yield found
            else:
                rejects.append(found)

    return Photographs(usable()), tuple(rejects)
