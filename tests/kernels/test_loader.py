"""The loader: the library is found, a stale one is refused, and the twins take over in one process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from degrade_engine.kernels import loader


def test_status_names_the_library() -> None:
    status = loader.status()
    assert status.path is not None and status.path.is_file()
    assert str(status.path) in status.reason


def test_the_variable_selects_the_twins() -> None:
    code = "from degrade_engine.kernels import loader; print(loader.available(), loader.status().reason)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {loader.TWINS_VARIABLE: "numpy"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("False numpy twins, because")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch):
    """The loader without what it has loaded, given back afterwards."""
    loader._load.cache_clear()
    yield monkeypatch
    loader._load.cache_clear()


def test_no_library_says_how_to_get_one(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setattr(loader, "folders", lambda: [tmp_path])
    assert not loader.available()
    assert "no compiled library" in loader.status().reason


def test_a_damaged_library_is_refused(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / loader.LIBRARY_NAMES[0]).write_bytes(b"not a library")
    fresh.setattr(loader, "folders", lambda: [tmp_path])
    assert not loader.available()
    assert "does not load" in loader.status().reason and "reinstall" in loader.status().reason


def test_an_older_library_that_lacks_a_kernel_is_refused(fresh: pytest.MonkeyPatch) -> None:
    fresh.setitem(loader._SIGNATURES, "degrade_of_tomorrow", [])
    assert not loader.available()
    assert "degrade_of_tomorrow" in loader.status().reason and "reinstall" in loader.status().reason


def test_another_interface_is_refused(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = loader.status().path
    assert path is not None
    shutil.copy(path, tmp_path / path.name)
    loader._load.cache_clear()
    fresh.setattr(loader, "folders", lambda: [tmp_path])
    fresh.setattr(loader, "ABI", loader.ABI + 1)
    assert not loader.available()
    assert f"wants {loader.ABI}" in loader.status().reason


SIDECAR = {"abi": loader.CUDA_ABI, "nvcc": "13.0.88", "sass": [75, 90, 120], "ptx": 120}


@pytest.fixture
def fatbin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of kernels with a fatbin and its sidecar."""
    (tmp_path / loader.FATBIN_NAME).write_bytes(b"fatbin")
    (tmp_path / loader.FATBIN_SIDECAR).write_text(json.dumps(SIDECAR))
    monkeypatch.setattr(loader, "folders", lambda: [tmp_path])
    return tmp_path / loader.FATBIN_NAME


def test_the_fatbin_is_found_and_says_for_what(fatbin: Path) -> None:
    assert loader.cuda_binary() == fatbin
    assert "SM 7.5, 9.0, 12.0" in loader.cuda_status().reason and "nvcc 13.0.88" in loader.cuda_status().reason


def test_no_fatbin_says_how_to_get_one(fatbin: Path) -> None:
    fatbin.unlink()
    assert loader.cuda_binary() is None and "nvcc" in loader.cuda_status().reason


@pytest.mark.parametrize("sidecar", ["", "{}", "[1]", json.dumps(SIDECAR | {"sass": 7})])
def test_a_damaged_sidecar_is_refused(fatbin: Path, sidecar: str) -> None:
    fatbin.with_name(loader.FATBIN_SIDECAR).write_text(sidecar)
    assert loader.cuda_binary() is None and "is unusable" in loader.cuda_status().reason


def test_a_fatbin_of_another_interface_is_refused(fatbin: Path) -> None:
    fatbin.with_name(loader.FATBIN_SIDECAR).write_text(json.dumps(SIDECAR | {"abi": loader.CUDA_ABI + 1}))
    assert loader.cuda_binary() is None and f"wants {loader.CUDA_ABI}" in loader.cuda_status().reason


def test_this_installation_has_a_fatbin_or_says_why_not() -> None:
    assert (loader.cuda_binary() is None) == loader.cuda_status().reason.startswith("no fatbin: ")
