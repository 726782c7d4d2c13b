"""The programs in examples/ do what they say, on bundled photographs, with an engine of random weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from degrade_engine import cli


def example(name: str, *words: str | Path) -> str:
    """What examples/NAME prints; it has to end well."""
    program = Path(__file__).parents[2] / "examples" / name
    command = [sys.executable, program] if program.suffix == ".py" else ["bash", program]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where degrade-engine lies
    done = subprocess.run([*command, *words], capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_own_photographs(desk: Path) -> None:
    said = example("own_photographs.py", "engine", "my/sharp", "my/camera", "pairs", "6")
    assert said.startswith("6 pairs in pairs")
    assert len(list(Path("pairs/lq").iterdir())) == len(list(Path("pairs/gt").iterdir())) == 6


def test_arrays(desk: Path) -> None:
    sharp, camera = sorted(Path("my/sharp").iterdir())[0], sorted(Path("my/camera").iterdir())[0]
    said = example("arrays.py", "engine", sharp, camera)
    assert "uint8 (2, 16, 16, 3)" in said and " 0.00 grey" not in said


def test_pytorch_dataset(desk: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    made = ["generate", "--degrader", "bicubic", "--hr", "my/sharp", "--out", "pairs", "--pairs", "5"]
    assert cli.main(made) == 0
    assert example("pytorch_dataset.py", "pairs") == "5 pairs; a batch: LQ (4, 3, 64, 64), GT (4, 3, 256, 256)\n"


def test_fresh_pairs(desk: Path) -> None:
    """A loop that goes on takes the batches that the first one would have taken."""
    pytest.importorskip("torch", reason="needs the extra train")
    whole, rest = (example("fresh_pairs.py", "my/sharp", *done).splitlines() for done in ((), ("1",)))
    assert len(whole) == len(rest) == 3 and "LQ (4, 3, 32, 32), GT (4, 3, 128, 128)" in whole[0]
    assert rest[:2] == whole[1:] and len({line.split()[-1] for line in [*whole, *rest]}) == 4


def test_fit_camera(desk: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    example("fit_camera.sh", "my/sharp", "my/camera", "fitted", "4", "--crops", "4", "--crop", "32")
    assert Path("fitted/weights.json").is_file() and len(list(Path("fitted/pairs/lq").iterdir())) == 4


def test_stop_and_go_on(desk: Path) -> None:
    said = example("stop_and_go_on.sh", "my/sharp", "set", "60")
    assert said.endswith("both sets have the same bytes\n")


def test_all_examples_are_here(root: Path) -> None:
    page = (root / "docs" / "examples.md").read_text()
    tests = Path(__file__).read_text()
    for path in (root / "examples").iterdir():
        assert f"`{path.name}`" in page and f'"{path.name}"' in tests, path.name
