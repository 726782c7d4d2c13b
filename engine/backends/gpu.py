"""What the backends of an NVIDIA GPU have in common. No GPU has run one yet."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...kernels import loader
from .. import machine
from ..devices import Device
from ..errors import DegradeError
from ..spec import Precision
from .backend import Accepted, Backend

CUDA = {"cuda-bindings": "cuda.bindings.driver"}
"""What CudaDevice needs, as `Backend.needs`. It takes pycuda too where that imports, and needs it nowhere."""


TRIAL = "from degrade_engine.engine.devices.cuda import CudaDevice; CudaDevice.open().close()"
"""Of the driver, the GPU and the kernels, as `machine.trial` takes it."""

# As nvidia-smi counts them, and so do the engine's key and the doctor; CUDA's own order is by speed. Read once, by
# whoever is the first to start CUDA in this process: so it is set before there is a backend to ask.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


class OnGpu(Backend):
    """Answers that are the same whatever runs the networks on a GPU. An engine is for the GPU and the driver that it
    was built with, since runtimes choose their kernels by both; unless a backend builds ahead of time.
    """

    gpu = True
    precisions: tuple[Precision, ...] = ("fp32", "fp16")

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        if reason := self.cannot_run(None):
            raise DegradeError(
                f"The backend {self.name} builds on the GPU that will run the engine, and cannot do so here: {reason}",
                mend="build on that machine; --backend tensorrt-rtx builds for RTX cards without one, and --backend "
                "onnxruntime for the CPU",
            )
        here = machine.nvidia().devices[0].sm
        if target is not None and machine.target_of(target) != here:
            fact = f"--target {target} was given and the GPU here is {here}"
            raise DegradeError(fact, wanted=f"none: {self.title} builds for the GPU that is here")
        return Accepted(precision, precision, here)

    def missing(self) -> Iterator[str]:
        gpus, fatbin = machine.nvidia(), loader.cuda_status()
        if not gpus.devices:
            yield f"there is no NVIDIA GPU here ({gpus.reason})"
        yield from super().missing()
        if fatbin.path is None:
            yield fatbin.reason
        elif gpus.devices and not any(self._unusable(CUDA)) and (error := machine.trial(TRIAL)):
            yield error

    def cannot_run(self, target: str | None) -> str:
        devices = machine.nvidia().devices
        if devices and target is not None and target not in [gpu.sm for gpu in devices]:
            return f"the engine is for {target} and the GPU here is {devices[0].name}, {devices[0].sm}"
        return super().cannot_run(target)

    def device(self, threads: int | None) -> Device:
        from ..devices.cuda import CudaDevice

        return CudaDevice.open()
