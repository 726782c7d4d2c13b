"""The engine of the tiny bundle for every test of the runtime, and the devices that it runs on."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from .rigs import Faked, FakeDriver, Host, RealGpu, StandIn, nvidias_driver


@pytest.fixture(scope="session")
def tiny_engine(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine folder shared by all tests, to be read only: LR 16, 4 pairs a batch, 2 candidates."""
    from degrade_engine.engine.build import build

    out = tmp_path_factory.mktemp("tiny") / "engine"
    return build(tiny_bundle, out, lr_size=16, batch=4, candidates=2, threads=1).folder


@pytest.fixture(scope="session")
def fake_driver(grids_library: ctypes.CDLL, tmp_path_factory: pytest.TempPathFactory) -> FakeDriver:
    """The driver without a GPU, loaded into this process."""
    if nvidias_driver():
        pytest.skip("NVIDIA's own driver is here, and a process can have one")
    return FakeDriver(tmp_path_factory.mktemp("libcuda"), grids_library)


RIGS = ["stand-in", "cuda-bindings", "pycuda", "gpu"]


def make_rig(request: pytest.FixtureRequest) -> Host:
    """By the fixture's parameter: the host, one of RIGS."""
    if request.param == "stand-in":
        return StandIn(request.getfixturevalue("grids_library"))
    if request.param in ("cuda-bindings", "pycuda"):
        return Faked(request.getfixturevalue("fake_driver"), request.param)
    return RealGpu() if request.param == "gpu" else Host()


@pytest.fixture(params=["host", *RIGS])
def rig(request: pytest.FixtureRequest) -> Iterator[Host]:
    """A device with what the tests need to run networks on it; the real GPU where there is one."""
    rig = make_rig(request)
    yield rig
    rig.close()


@pytest.fixture(params=RIGS)
def cuda_rig(request: pytest.FixtureRequest) -> Iterator[Host]:
    """`rig`, without the host."""
    rig = make_rig(request)
    yield rig
    rig.close()
