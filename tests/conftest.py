"""What every test may use, and how the tests are dealt out to the processes of `make test` (pytest-xdist)."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent

# SlipCover must not take its probes out while tests run. To do so it walks the frames of all threads, which keeps their
# variables alive (a buffer goes back to the driver too late), and processes of tests died of it. Its own option for
# this does not reach the processes of xdist. Set before any of our modules is imported.
plugin = sys.modules.get("slipcover.pytest_plugin")
if plugin and plugin._slipcover_instance:
    plugin._slipcover_instance.d_miss_threshold = 10**9

# Two processes with two spinning OpenMP threads each take twenty times as long as with one; torch reads this when it is
# first imported, and so do the commands that tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it puts into the background with Ctrl-C ignored. The commands that tests start would inherit it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What takes a minute or more, and shares nothing with its neighbours: a process of its own each, and first.
LONG = (
    "test_paper_preset",
    "test_the_bundle_says_what_it_holds",
    "test_the_papers_unet_has_half_the_plan",
    "test_tiny",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests go to one process, since they share what the file has made; `LONG` ones to whichever is free."""

    def rank(item: pytest.Item) -> int:
        name = item.name.partition("[")[0]
        return LONG.index(name) if name in LONG else len(LONG)

    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.name if rank(item) < len(LONG) else item.location[0]))
    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of the tests and of the commands that they start: never the user's own."""
    os.environ["DEGRADE_ENGINE_CACHE"] = str(folder := tmp_path_factory.mktemp("cache"))
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def samples(root: Path) -> Path:
    """The folder of bundled photographs: hr/ and reference/, listed in LICENSES.md."""
    return root / "samples"


@pytest.fixture(scope="session")
def tiny_bundle_module(root: Path) -> ModuleType:
    """tests/engine/tiny_bundle.py, loaded by its path: the tests are no package."""
    found = importlib.util.spec_from_file_location("tiny_bundle", root / "tests" / "engine" / "tiny_bundle.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_bundle(tiny_bundle_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest bundle, of random weights and of the kind realdgen. Read it, do not change it: all tests share it
    (copy it to damage it)."""
    folder: Path = tiny_bundle_module.make(tmp_path_factory.mktemp("tiny") / "bundle")
    return folder


@pytest.fixture(scope="session")
def checkpoint(root: Path) -> Path:
    """The trained tiny RealDGen that the project carries."""
    return root / "originals" / "checkpoints" / "realdgen-tiny.safetensors"


@pytest.fixture(scope="session")
def realdgen_bundle(root: Path) -> Path:
    """The bundle of the trained tiny RealDGen that the project carries, to be read only. tests/export/test_carried.py
    holds it to an export of today."""
    return root / "originals" / "bundles" / "realdgen-tiny"


@pytest.fixture(scope="session")
def grids_library(root: Path, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The CUDA grids on this CPU: the .cu files compiled by g++ against a shim, tests/kernels/cuda_on_host.h.

    Undefined behaviour, a misaligned access included, ends the process: these are the machine's own traps.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if not compiler:
        pytest.skip("needs g++ to run the grids on the CPU")
    out, shim = tmp_path_factory.mktemp("grids") / "grids_on_host.so", root / "tests" / "kernels"
    command = [
        *compiler.split(), "-std=c++17", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing",
        "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-Wall", "-Wextra", "-Werror",
        "-Wno-unknown-pragmas", f"-I{root / 'kernels'}", f"-I{shim}", str(shim / "grids_on_host.cpp"), "-o", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(out))
    library.arguments_of.restype = ctypes.c_char_p
    return library
