"""The tiny bundle of the runtime's tests, for the extractors that read an engine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_bundle(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder, made by tests/engine/tiny_bundle.py: the tests are no package."""
    found = importlib.util.spec_from_file_location("tiny_bundle", root / "tests" / "engine" / "tiny_bundle.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    folder: Path = module.make(tmp_path_factory.mktemp("tiny") / "bundle")
    return folder
