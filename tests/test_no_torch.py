"""The runtime works where torch, onnx and the rest of the train extra do not exist."""

from __future__ import annotations

import subprocess
import sys

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
        if inside[1] in {"engine", "kernels", "commands", "cli", "helptext"} and inside[-1] != "__main__":
            importlib.import_module(found.name)
            count += 1
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", ABSENT + code], capture_output=True, text=True)


def test_every_runtime_module_imports_without_torch() -> None:
    done = run(
        EVERY_RUNTIME_MODULE
        + "print(count, 'torch' in sys.modules, 'degrade_engine.engine.schedule' in sys.modules)"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, torch_loaded, schedule_loaded = done.stdout.split()
    assert int(count) > 15 and torch_loaded == "False" and schedule_loaded == "True"


def test_the_block_is_real() -> None:
    done = run("import degrade_engine.originals.realdgen.model")
    assert done.returncode != 0 and "No module named 'torch'" in done.stderr
