"""ONNX Runtime as backends: the CPU on the bundle's own FP32 files, and its CUDA and TensorRT providers on a GPU.

The files stay as they are and the shapes are fixed when the engine is opened, by free-dimension overrides. The
alternative, saving the optimised graph, was not chosen: such a file holds one machine's instruction set and one
release's private operators, it saves well under a second at opening, and what is hashed and compared would no
longer be what the bundle's licence and card speak of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import doctor
from ..artefact import cache_folder, sha256_file, tool_versions
from ..devices import Device
from ..errors import DegradeError
from ..executors import SESSION_SETTINGS, Executor, OnnxRuntimeExecutor
from ..executors.onnx_session import import_onnxruntime
from ..executors.onnxruntime_cuda import GPU_SETTINGS, OnnxRuntimeCudaExecutor, Provider
from ..spec import PartSpec, Precision
from . import Accepted, Made, Order, copy, gpu_key, gpu_refusal, refuse_bf16
from .cpu import OnCpu, cpu_key, refuse_target


@dataclass(frozen=True)
class OnnxRuntimeCpu(OnCpu):
    """The backend `onnxruntime`; see backends.Backend for what each answers."""

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        refuse_bf16("onnxruntime", precision)
        refuse_target("ONNX Runtime", target)
        if precision == "fp16":
            note = "fp16 was asked for, and this engine computes in FP32: on a CPU, ONNX Runtime has no other."
            return Accepted("fp32", "fp32", notes=(note,))
        return Accepted("fp32", "fp32")

    def here(self, target: str | None) -> dict[str, object]:
        import_onnxruntime()
        versions = tool_versions()
        package = "onnxruntime" if "onnxruntime" in versions else "onnxruntime-gpu"
        if package not in versions:
            raise DegradeError("ONNX Runtime is here without its package's version", mend="install it again with pip")
        return cpu_key(package, versions[package], SESSION_SETTINGS)

    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        return OnnxRuntimeExecutor(path, part, batch=rows, height=lr_size, width=lr_size, threads=threads)


@dataclass(frozen=True)
class OnnxRuntimeGpu:
    """The backends `onnxruntime-cuda` and `onnxruntime-tensorrt`; see backends.Backend for what each answers.

    An engine is for the GPU and the driver that it was built with: cuDNN and TensorRT choose by both.
    """

    name: str
    provider: Provider
    fixed_batch: bool = False

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        refuse_bf16(self.name, precision)
        if reason := self.cannot_run(None):
            raise DegradeError(
                f"The backend {self.name} cannot build here: {reason}",
                mend="pip install 'degrade-engine[gpu]' on a machine with a GPU, or build with --backend onnxruntime",
            )
        here = doctor.nvidia().devices[0].sm
        if target is not None and doctor.target_of(target) != here:
            raise DegradeError(
                f"--target {target} was given and the GPU here is {here}",
                wanted="none: ONNX Runtime's engine is for the GPU that is here",
            )
        return Accepted(precision, precision, here)

    def here(self, target: str | None) -> dict[str, object]:
        version = doctor.version_of("onnxruntime-gpu") or "not installed"
        return {"runtime": "onnxruntime-gpu", "version": version, "settings": GPU_SETTINGS} | gpu_key(target)

    def make(self, order: Order) -> Made:
        return copy(order)

    def check(self, path: Path) -> None:
        pass  # its hash is the bundle's, which engine_spec compares

    def cannot_run(self, target: str | None) -> str:
        packages = ("onnxruntime-gpu", "tensorrt") if self.name == "onnxruntime-tensorrt" else ("onnxruntime-gpu",)
        if reason := gpu_refusal(f"ONNX Runtime's {self.provider}", packages, "gpu", target):
            return reason
        if self.provider not in import_onnxruntime().get_available_providers():
            return f"this ONNX Runtime has no {self.provider}: pip install 'degrade-engine[gpu]', without [cpu]"
        return ""

    def device(self, threads: int | None) -> Device:
        from ..devices.cuda import CudaDevice

        return CudaDevice.open()

    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        # Under the file's hash: whatever the provider names its files by, two weights are not taken for each other.
        version = doctor.version_of("onnxruntime-gpu")
        cache = cache_folder() / f"onnxruntime-tensorrt-{version}" / sha256_file(path)[:16]
        return OnnxRuntimeCudaExecutor(
            path, part, batch=rows, height=lr_size, width=lr_size, stream=device.stream, provider=self.provider,
            cache=cache,
        )  # fmt: skip
