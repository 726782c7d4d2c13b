"""The tiny bundle for every test of the runtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def tiny_bundle_module() -> ModuleType:
    """tests/engine/tiny_bundle.py, loaded by its path: the tests are no package."""
    found = importlib.util.spec_from_file_location("tiny_bundle", Path(__file__).with_name("tiny_bundle.py"))
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_bundle(tiny_bundle_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder shared by all tests: read it, do not change it (copy it to damage it)."""
    folder: Path = tiny_bundle_module.make(tmp_path_factory.mktemp("tiny") / "bundle")
    return folder


@pytest.fixture(scope="session")
def tiny_engine(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine folder shared by all tests, to be read only: LR 16, 4 pairs a batch, 2 candidates."""
    from degrade_engine.engine.build import build

    out = tmp_path_factory.mktemp("tiny") / "engine"
    return build(tiny_bundle, out, lr_size=16, batch=4, candidates=2, threads=1).folder
