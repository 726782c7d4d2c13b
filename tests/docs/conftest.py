"""The pages, a folder to run their commands in, and the smallest engine there is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small_engine(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine of random weights, to be read only: LR 16, 4 pairs a batch, 3 candidates."""
    from degrade_engine.engine.build import build

    out = tmp_path_factory.mktemp("small") / "engine"
    return build(tiny_bundle, out, lr_size=16, batch=4, candidates=3, threads=1).folder


@pytest.fixture
def desk(samples: Path, small_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the pages speak of, as the working folder: my/sharp, my/camera, engine."""
    for name, given in (("sharp", "hr"), ("camera", "reference")):
        (tmp_path / "my" / name).mkdir(parents=True)
        for photograph in sorted((samples / given).iterdir())[:3]:
            shutil.copy(photograph, tmp_path / "my" / name)
    (tmp_path / "engine").symlink_to(small_engine)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEGRADE_ENGINE_CACHE", str(tmp_path / "cache"))
    return tmp_path
