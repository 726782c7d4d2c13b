"""ONNX Runtime as backends: the CPU on the bundle's own FP32 files, and its CUDA and TensorRT providers on a GPU.

The files stay as they are, but for a denoiser in INT8 (int8.py), and the shapes are fixed when the engine is opened,
by free-dimension overrides. The alternative, saving the optimised graph, was not chosen: such a file holds one
machine's instruction set and one release's private operators, it saves well under a second at opening, and what is
hashed and compared would no longer be what the bundle's licence and card speak of.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import machine
from ..artefact import cache_folder, sha256_file
from ..devices import Device
from ..errors import DegradeError
from ..executors import Executor
from ..executors.onnx_session import import_onnxruntime
from ..executors.onnxruntime import SESSION_SETTINGS, OnnxRuntimeExecutor
from ..executors.onnxruntime_cuda import GPU_SETTINGS, OnnxRuntimeCudaExecutor, Provider
from ..spec import PartSpec, Precision, quantised
from . import int8
from .backend import Accepted, Made, Order, Runtime
from .cpu import OnCpu
from .gpu import CUDA, OnGpu

PROBE = "from degrade_engine.engine.executors.onnx_session import probe; probe({!r})"
"""As `machine.trial` takes it."""


class OnnxRuntimeCpu(OnCpu):
    """On the CPU. It comes with the package onnxruntime as well as with onnxruntime-gpu."""

    name, title, extra = "onnxruntime", "ONNX Runtime", "cpu"
    precisions = ("fp32", "fp16", "int8")
    special = {"int8": int8.SETTINGS}
    without_half = "on a CPU, ONNX Runtime has no other"

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        accepted = super().accept(precision, target)
        if precision == "int8" and (reason := int8.lacks()):
            raise DegradeError(f"The engine cannot be built here: {reason}", mend="the engine then runs without onnx")
        return accepted

    def make(self, order: Order) -> Made:
        if not quantised(order.accepted.computed, order.part):
            return super().make(order)
        file = f"{order.name}.int8.onnx"
        int8.quantise(order.source, order.folder / file, order.feeds())
        return Made(file)

    def runtime(self) -> Runtime:
        import_onnxruntime()
        for package in ("onnxruntime", "onnxruntime-gpu"):
            if version := machine.version_of(package):
                return Runtime(package, version, SESSION_SETTINGS)
        raise DegradeError("ONNX Runtime is here without its package's version", mend="install it again with pip")

    def missing(self) -> Iterator[str]:
        if error := machine.load_error("onnxruntime"):
            yield f"ONNX Runtime does not load ({error}): {self.install}"
        elif "CPUExecutionProvider" not in import_onnxruntime().get_available_providers():
            yield "this ONNX Runtime has no CPUExecutionProvider"

    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        return OnnxRuntimeExecutor(
            path, part, batch=rows, height=lr_size, width=lr_size, threads=threads,
            alone=quantised(precision, part),
        )  # fmt: skip


class OnnxRuntimeCuda(OnGpu):
    """On a GPU, by ONNX Runtime's CUDA provider."""

    name, title, extra = "onnxruntime-cuda", "ONNX Runtime", "onnxruntime-cuda"
    needs = {"onnxruntime-gpu": "onnxruntime", **CUDA}
    provider: Provider = "CUDAExecutionProvider"

    def runtime(self) -> Runtime:
        return Runtime("onnxruntime-gpu", machine.version_of("onnxruntime-gpu") or "not installed", GPU_SETTINGS)

    def missing(self) -> Iterator[str]:
        yield from super().missing()
        here = machine.version_of("onnxruntime-gpu") is not None and not machine.load_error("onnxruntime")
        if here and self.provider not in import_onnxruntime().get_available_providers():
            yield machine.two_onnxruntimes().removesuffix(".") or (
                f"this ONNX Runtime has no {self.provider}: {self.install}, without [cpu]"
            )
        elif here and machine.nvidia().devices and (error := machine.trial(PROBE.format(self.provider))):
            yield error

    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        # Under the file's hash: whatever the provider names its files by, two weights are not taken for each other.
        version = machine.version_of("onnxruntime-gpu")
        cache = cache_folder() / f"onnxruntime-tensorrt-{version}" / sha256_file(path)[:16]
        return OnnxRuntimeCudaExecutor(
            path, part, batch=rows, height=lr_size, width=lr_size, stream=device.stream, provider=self.provider,
            cache=cache,
        )  # fmt: skip


class OnnxRuntimeTensorRT(OnnxRuntimeCuda):
    """On a GPU, by ONNX Runtime's TensorRT provider, which compiles when the engine is opened."""

    name, extra = "onnxruntime-tensorrt", "gpu"
    needs = {"onnxruntime-gpu": "onnxruntime", "tensorrt": "tensorrt", **CUDA}
    provider = "TensorrtExecutionProvider"
