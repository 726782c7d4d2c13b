"""Rows in a JSONL file: read, written whole, found by what they measure, and shown as a table."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from degrade_engine.engine.artefact import parse_json, read_bytes, write_bytes_atomic
from degrade_engine.engine.errors import DegradeError

Row = dict[str, Any]
RESULTS = Path(__file__).resolve().parent / "results"  # what is committed
IDENTITY = ("generator", "setting", "split", "pairs", "scale", "seed", "candidates", "lr_size")
"""What a row of quality measures; the rest says how it came out, and where."""


def read_rows(path: Path) -> list[Row]:
    """The rows of a file. Raises DegradeError that names a line which is no JSON object."""
    if not path.is_file():
        raise DegradeError(f"{path} is not there", wanted="a file of rows, JSON lines")
    rows = []
    for number, line in enumerate(read_bytes(path).splitlines(), 1):
        row = parse_json(line, f"{path}, line {number}")
        if not isinstance(row, dict):
            raise DegradeError(f"{path}, line {number} is {line[:40]!r}", wanted="a JSON object a line")
        rows.append(row)
    return rows


def rows_of(folder: Path, name: str) -> list[Row]:
    """The rows of FOLDER/NAME.jsonl."""
    return read_rows(folder / f"{name}.jsonl")


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """The whole file, at once."""
    write_bytes_atomic(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def add_row(path: Path, row: Row) -> None:
    """One more, on the disk before anything else is measured."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def same(a: Row, b: Row, only: Sequence[str] = IDENTITY) -> bool:
    """Whether two rows measure the same thing. A baseline has no candidates that matter."""
    keys = [key for key in only if key != "candidates" or a.get("setting")]
    return all(_plain(a.get(key)) == _plain(b.get(key)) for key in keys)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def replaced(rows: Sequence[Row], row: Row) -> list[Row]:
    """The rows with `row` in the place of the one that it measures again, or at the end."""
    at = next((i for i, old in enumerate(rows) if same(row, old)), None)
    return [*rows, row] if at is None else [*rows[:at], row, *rows[at + 1 :]]


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are right-aligned."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(line) + " |" for line in body])
