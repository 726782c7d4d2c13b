"""The README's tables are in step with the committed rows."""

from __future__ import annotations

from pathlib import Path

from degrade_engine.bench import tables


def test_readme_is_in_step_with_the_rows(root: Path) -> None:
    text = (root / "README.md").read_text()
    for name in tables.TABLES:
        assert f"<!-- table {name} -->" in text, f"README.md lost its table {name}"
    assert tables.filled(text) == text, "run `python -m degrade_engine.bench.tables`"


def test_every_row_says_where_it_was_measured() -> None:
    for name in ("quality", "references", "speed"):
        for row in tables.rows(name):
            assert {"engine", "machine", "commit", "date", "batch", "lr_size", "candidates"} <= set(row), (name, row)
