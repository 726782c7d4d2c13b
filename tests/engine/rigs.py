"""Where the scheduler's tests run: on the host, on a CudaDevice over the stand-in, on a CudaDevice over a GPU.

The networks are ONNX Runtime's on the CPU in all three, so that the results have to be the same to the last byte: what
differs is whose memory, kernels and graph are used.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

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
    """A network of the host on the stand-in's memory and stream. Bindings are those of the moment of `enqueue`."""

    def __init__(self, gpu: Gpu, network: Network) -> None:
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


class RealGpu(Host):
    """CudaDevice over a GPU. The network copies to the host and back, so it cannot be captured: the loop falls back."""

    def __init__(self) -> None:
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
