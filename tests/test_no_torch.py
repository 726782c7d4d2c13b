"""The runtime works where torch, onnx and the rest of the train extra do not exist."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Runs in its own process: a finder placed first makes the modules as absent as in a plain installation.
ABSENT = """
import importlib, importlib.abc, pkgutil, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "onnx", "onnxscript", "torchvision"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""
EVERY_RUNTIME_MODULE = """
count = 0
for top in ("degrade_engine", "degrade_engine.engine", "degrade_engine.kernels"):
    package = importlib.import_module(top)
    for found in pkgutil.walk_packages(package.__path__, top + "."):
        inside = found.name.split(".")
        runtime = inside[1] in {"engine", "kernels", "commands", "generation", "models", "cli", "helptext"}
        if runtime and inside[-1] != "__main__" and not inside[-1].startswith("lib"):  # a lib… is the kernels' library
            importlib.import_module(found.name)
            count += 1
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", ABSENT + code], capture_output=True, text=True)


def test_every_runtime_module_imports_without_torch() -> None:
    done = run(
        EVERY_RUNTIME_MODULE + "print(count, 'torch' in sys.modules, 'degrade_engine.engine.schedule' in sys.modules)"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, torch_loaded, schedule_loaded = done.stdout.split()
    assert int(count) > 15 and torch_loaded == "False" and schedule_loaded == "True"


def test_bundle_to_pairs_without_torch(realdgen_bundle: Path, samples: Path, tmp_path: Path) -> None:
    """build, generate, report and doctor, each as a user would call it, where torch and onnx do not exist."""
    engine, pairs = tmp_path / "engine", tmp_path / "pairs"
    calls = [
        ["build", realdgen_bundle, "-o", engine, "--lr-size", "32", "--batch", "2"],
        ["generate", "--engine", engine, "--hr", samples / "hr", "--reference", samples / "reference", "--out", pairs,
         "--pairs", "3"],
        ["report", pairs, "-o", tmp_path / "report.html"],
        ["doctor"],
    ]  # fmt: skip
    code = "from degrade_engine.cli import main\n"
    for call in calls:
        code += f"assert not main({[str(word) for word in call]!r})\n"
    done = run(code + "assert 'torch' not in sys.modules and 'onnx' not in sys.modules")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((pairs / "lq").iterdir())) == 3 and (tmp_path / "report.html").stat().st_size > 10_000


def test_the_block_is_real() -> None:
    done = run("import degrade_engine.originals.realdgen.model")
    assert done.returncode != 0 and "No module named 'torch'" in done.stderr
