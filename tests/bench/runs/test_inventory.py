"""`bench inventory` on few files: each row is there, and what it measures came about."""

import json

from degrade_engine import cli


def test_each_measurement_is_a_row(tmp_path):
    assert cli.main(["bench", "inventory", "--files", "200", "-o", str(tmp_path / "rows.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["what"].split()[0] for row in rows] == ["scan", "scan,", "headers", "write", "read", "plan"]
    assert all(row["seconds"] > 0 and row["files"] == 200 and row["commit"] for row in rows)
