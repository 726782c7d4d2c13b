"""What a set says of its pairs to those who load it: a few facts of each pair's row, flat, since loaders want one type
a column. The manifest has everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

from .contract import Row, json_line
from .roles import Role

FLAT = {
    "name": "string", "pair": "int64", "hr_path": "string", "hr_crop": "int64s", "reference_path": "string",
    "reference_crop": "int64s", "tau": "int64", "steps": "int64", "score": "float64",
}  # fmt: skip
"""Name and type. Crops are top, left, height, width in pixels; score: of the candidate that was kept."""


def flat(row: Row) -> dict[str, Any]:
    """These facts of a row of the manifest; null where it does not say one."""
    sources: dict[str, Any] = {role: row.get(role) or {} for role in ("hr", "reference")}
    candidates = row.get("candidates") or [{}]
    facts = {f"{role}_{what}": one.get(what) for role, one in sources.items() for what in ("path", "crop")}
    facts |= {name: row.get(name) for name in ("name", "pair", "tau", "steps")}
    facts["score"] = candidates[row.get("kept", 0)].get("score")
    return {name: facts[name] for name in FLAT}


def with_lines(rows: Iterable[Row], roles: Iterable[Role], ending: str, book: IO[str]) -> Iterator[Row]:
    """The rows, each written down as `datasets` reads it beside image files: {"gt_file_name": "gt/STEM.png", …}."""
    for row in rows:
        files = {f"{role}_file_name": f"{role}/{row.get('name')}.{ending}" for role in roles}
        book.write(json_line(files | flat(row)))
        yield row
