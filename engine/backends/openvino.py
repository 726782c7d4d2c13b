"""OpenVINO as a backend: the bundle's own FP32 files, compiled for the CPU when the engine is opened.

It is there for bf16: see `executors/openvino.py`. In bf16 runs what runs each step, the denoiser, which is nearly
all of the time. The parts that run once stay FP32: E_deg's pooled features are a few numbers that steer every pixel,
and with them in bf16 the result is two grey levels off (mean), without them 0.02 (docs/decisions.md, "The CPU"). The
files stay the bundle's, for the reasons of `onnxruntime.py`: a compiled blob belongs to one processor and one release.
"""

from __future__ import annotations

from pathlib import Path

from .. import machine
from ..devices import Device
from ..errors import DegradeError
from ..executors import Executor
from ..executors.openvino import SETTINGS, OpenVinoExecutor, lacks, runtime
from ..spec import PartSpec, Precision
from .backend import Accepted, Runtime
from .cpu import OnCpu


class OpenVino(OnCpu):
    """On the CPU, in FP32 or bf16."""

    name, title, extra = "openvino", "OpenVINO", "openvino"
    needs = {"openvino": "openvino"}
    precisions = ("fp32", "fp16", "bf16")
    without_half = "on this backend, bf16 is the fast one"

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        accepted = super().accept(precision, target)
        if reason := lacks(precision):
            raise DegradeError(f"The engine cannot be built here: {reason}", mend="build with --precision fp32")
        return accepted

    def runtime(self) -> Runtime:
        runtime()
        return Runtime("openvino", machine.version_of("openvino") or "unknown", SETTINGS)

    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        if reason := lacks(precision):
            raise DegradeError(f"The engine cannot run here: {reason}", mend="build an engine with --precision fp32")
        return OpenVinoExecutor(
            path,
            part,
            batch=rows,
            height=lr_size,
            width=lr_size,
            threads=threads,
            precision=precision if part.runs == "step" else "fp32",
        )
