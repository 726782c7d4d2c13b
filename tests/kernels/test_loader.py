"""The loader: the library is found, a stale one is refused, and the twins take over in one process."""

from __future__ import annotations

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


def test_another_interface_is_refused(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = loader.status().path
    assert path is not None
    shutil.copy(path, tmp_path / path.name)
    loader._load.cache_clear()
    fresh.setattr(loader, "folders", lambda: [tmp_path])
    fresh.setattr(loader, "ABI", loader.ABI + 1)
    assert not loader.available()
    assert f"wants {loader.ABI}" in loader.status().reason
