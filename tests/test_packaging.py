"""The wheel: one name in site-packages, the compiled kernels and the files that are not Python inside."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a wheel that is built from the tree as it is."""
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-build-isolation",
        "--no-deps",
        "-q",
        "-w",
        str(out),
        str(root),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        return archive.namelist()


def test_only_one_name_reaches_site_packages(wheel: list[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"degrade_engine"}
    top = {name.split("/")[1] for name in wheel if name.startswith("degrade_engine/")}
    assert {"engine", "kernels", "calib", "export", "originals", "bench", "commands", "cli.py"} <= top
    assert not top & {"tests", "samples", "docs"}


def test_the_wheel_carries_what_is_not_python(wheel: list[str]) -> None:
    kernels = [name for name in wheel if name.startswith("degrade_engine/kernels/")]
    assert any("degrade_host" in name and not name.endswith((".cpp", ".h")) for name in kernels), kernels
    for name in ("hr-0", "hr-1", "reference-0", "reference-1"):
        assert f"degrade_engine/engine/probe/{name}.png" in wheel
    assert "degrade_engine/py.typed" in wheel
