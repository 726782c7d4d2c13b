"""The figure of coverage that `make test` prints, and the lines of a GPU's code that no test has run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

slipcover = pytest.importorskip("slipcover.slipcover", reason="needs the extra test")


def test_the_figure_and_the_lines_of_a_gpu_are_said(root: Path, tmp_path: Path) -> None:
    files = {
        "engine/api.py": {"executed_lines": [1, 2, 3], "missing_lines": [4]},
        "engine/devices/cuda.py": {"executed_lines": [1, 9], "missing_lines": [5, 6, 12]},
        "bench/gpu/parts.py": {"executed_lines": [1], "missing_lines": []},
    }
    found = {"files": files}
    slipcover.add_summaries(found)
    (tmp_path / "coverage.json").write_text(json.dumps(found))
    done = subprocess.run(
        [sys.executable, str(root / ".ci" / "coverage.py"), str(tmp_path / "coverage.json")], capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    _, of_gpu, last = done.stdout.splitlines()
    assert of_gpu == "  engine/devices/cuda.py (40 % run): 5-6, 12"
    assert last.startswith("The tests ran 60.0 % of 10 lines")


def test_every_pattern_of_a_gpus_code_names_a_file(root: Path) -> None:
    patterns = re.findall(r'"((?:engine|bench)/[^"]*)"', (root / ".ci" / "coverage.py").read_text())
    assert len(patterns) == 5
    assert [pattern for pattern in patterns if not list(root.glob(pattern))] == []
