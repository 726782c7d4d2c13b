"""Where the scheduler's tests run: on the host; on a CudaDevice over the stand-in, over a driver without a GPU by
cuda-bindings and by pycuda, and over a GPU.

The networks are ONNX Runtime's on the CPU in all of them, so that the results have to be the same to the last byte:
what differs is whose memory, kernels and graph are used.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from degrade_engine.engine import machine
from degrade_engine.engine.devices import Device, HostDevice
from degrade_engine.engine.devices.cuda import CudaBuffer, CudaDevice
from degrade_engine.engine.errors import DegradeError
from degrade_engine.kernels import loader

from .cuda_stand_in import Gpu


class Network(Protocol):
    """What the tests need of an executor on the host: `OnnxRuntimeExecutor`, or one that spoils its results."""

    shapes: dict[str, tuple[int, ...]]

    def bind(self, name: str, buffer: np.ndarray) -> None: ...
    def enqueue(self, stream: Any = None) -> None: ...


class Host:
    """numpy and the host kernels."""

    def __init__(self) -> None:
        self.device: Device = HostDevice()

    def executor(self, network: Network) -> Any:
        return network

    def read(self, buffer: Any) -> np.ndarray:
        return self.device.download(buffer)[0]

    def close(self) -> None:
        self.device.close()


class StandIn(Host):
    """CudaDevice over the stand-in; a network's run is work on the stream, and can be captured."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.gpu = Gpu(library)
        self.device = CudaDevice(self.gpu.cuda, self.gpu.bindings, loader.Status(Path("stand-in.fatbin"), ""))

    def executor(self, network: Network) -> Any:
        return OnStream(self.gpu, network)

    def close(self) -> None:
        self.device.close()
        left = (self.gpu.memory, self.gpu.graphs, self.gpu.depth)
        assert left == ({}, set(), 0), "something was not given back"


class OnStream:
    """A network of the host on the memory and the stream of a GPU that is none. Bindings are those of the moment of
    `enqueue`."""

    def __init__(self, gpu: Gpu | FakeDriver, network: Network) -> None:
        self.gpu, self.network, self.shapes = gpu, network, network.shapes
        self.bound: dict[str, np.ndarray] = {}

    def bind(self, name: str, buffer: CudaBuffer) -> None:
        self.bound[name] = self.gpu.view(buffer.address, buffer.shape, buffer.dtype)

    def enqueue(self, stream: int) -> None:
        bound = dict(self.bound)

        def work() -> None:
            for name, view in bound.items():
                self.network.bind(name, view)
            self.network.enqueue()

        self.gpu.put(stream, work)


FATBIN = (0xBA55ED50).to_bytes(4, "little")  # how a fatbin begins
LEFT = ("memory", "pinned", "streams", "events", "graphs", "executable graphs", "modules", "contexts")


class FakeDriver:
    """fake_libcuda.cpp, compiled into the folder and loaded into this process under the name of NVIDIA's library. It
    stays there, so it is not done where NVIDIA's own is."""

    def __init__(self, folder: Path, grids: ctypes.CDLL) -> None:
        self.grids, self.path, self.fatbin = grids, folder / "libcuda.so.1", folder / "fake.fatbin"
        command = ["-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libcuda.so.1"]
        source = Path(__file__).with_name("fake_libcuda.cpp")
        compiler = os.environ.get("CXX", "g++").split()
        done = subprocess.run([*compiler, *command, source, "-o", self.path, "-ldl"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.fatbin.write_bytes(FATBIN)
        self.library = ctypes.CDLL(str(self.path), ctypes.RTLD_GLOBAL)
        self.library.fake_said.restype = ctypes.c_char_p
        self.library.fake_grids(grids.arguments_of, grids.launch_on_host)
        self._works: list[Any] = []  # what ctypes has to keep alive

    def put(self, stream: int, work: Callable[[], None]) -> None:
        """Work on a stream, or in its capture."""
        self._works.append(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: work()))
        assert self.library.cuLaunchHostFunc(ctypes.c_void_p(stream), self._works[-1], None) == 0

    def view(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Device memory as a numpy array."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer((ctypes.c_uint8 * nbytes).from_address(address), dtype).reshape(shape)

    def said(self) -> str:
        """What callers did wrong since this was asked last."""
        text: bytes = self.library.fake_said()
        return text.decode()

    def calls(self, function: str) -> int:
        """How often it was called since this was asked last."""
        count: int = self.library.fake_calls(function.encode())
        return count

    def waiting(self, stream: int) -> int:
        """How much work of a stream has not run."""
        count: int = self.library.fake_waiting(ctypes.c_void_p(stream))
        return count

    def left(self) -> dict[str, int]:
        """What was not given back."""
        counts = (ctypes.c_int * len(LEFT))()
        self.library.fake_left(counts)
        return {name: count for name, count in zip(LEFT, counts, strict=True) if count}


@cache
def nvidias_driver() -> bool:
    """Whether this machine has libcuda.so.1 itself. Asked in another process, which may load it."""
    return not subprocess.run(
        [sys.executable, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')"], stderr=-3
    ).returncode


class Faked(Host):
    """CudaDevice over the driver without a GPU, by pycuda or by cuda-bindings alone."""

    def __init__(self, driver: FakeDriver, package: str) -> None:
        pytest.importorskip("cuda.bindings.driver", reason="needs cuda-bindings")
        from cuda.bindings import driver as bindings

        self.driver, cuda = driver, cuda_module(package)
        self.device = CudaDevice(cuda, bindings, loader.Status(driver.fatbin, ""))

    def executor(self, network: Network) -> Any:
        return OnStream(self.driver, network)

    def close(self) -> None:
        self.device.close()
        assert self.driver.said() == ""
        assert self.driver.left() == {}, "something was not given back"


def cuda_module(package: str) -> Any:
    """`cuda` of CudaDevice, by pycuda or by cuda-bindings alone."""
    if package == "pycuda":
        flags = sys.getdlopenflags()
        sys.setdlopenflags(os.RTLD_LAZY)  # it names functions that the driver without a GPU lacks
        try:
            return pytest.importorskip("pycuda.driver", reason="needs pycuda, which has to be compiled")
        finally:
            sys.setdlopenflags(flags)
    from degrade_engine.engine.devices import driver

    return driver


class RealGpu(Host):
    """CudaDevice over a GPU. The network copies to the host and back, so it cannot be captured: the loop falls back."""

    def __init__(self) -> None:
        if not (gpus := machine.nvidia()).devices:
            pytest.skip(gpus.reason)
        try:
            self.device = CudaDevice.open()
        except DegradeError as error:
            pytest.skip(str(error))

    def executor(self, network: Network) -> Any:
        return Staged(self.device, network)


class Staged:
    """A network of the host, its tensors copied from and to the device."""

    def __init__(self, device: Device, network: Network) -> None:
        self.device, self.network, self.shapes = device, network, network.shapes
        self.bound: dict[str, CudaBuffer] = {}

    def bind(self, name: str, buffer: CudaBuffer) -> None:
        self.bound[name] = buffer

    def enqueue(self, stream: int) -> None:
        values = dict(zip(self.bound, self.device.download(*self.bound.values()), strict=True))
        for name, buffer in values.items():
            self.network.bind(name, buffer)
        self.network.enqueue()
        for name, buffer in values.items():
            self.device.upload(self.bound[name], buffer)
