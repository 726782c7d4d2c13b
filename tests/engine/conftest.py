"""The tiny bundle for every test of the runtime, and the devices that it runs on."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from .rigs import Host, RealGpu, StandIn


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


@pytest.fixture(params=["host", "stand-in", "gpu"])
def rig(request: pytest.FixtureRequest) -> Iterator[Host]:
    """A device with what the tests need to run networks on it; the real GPU where there is one."""
    rig: Host
    if request.param == "stand-in":
        rig = StandIn(request.getfixturevalue("grids_library"))
    else:
        rig = RealGpu() if request.param == "gpu" else Host()
    yield rig
    rig.close()


@pytest.fixture(params=["stand-in", "gpu"])
def cuda_rig(request: pytest.FixtureRequest) -> Iterator[Host]:
    """`rig`, without the host."""
    rig = StandIn(request.getfixturevalue("grids_library")) if request.param == "stand-in" else RealGpu()
    yield rig
    rig.close()
