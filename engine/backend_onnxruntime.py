"""The CPU: ONNX Runtime on the bundle's own FP32 files.

The files stay as they are and the shapes are fixed when the engine is opened, by free-dimension overrides. The
alternative, saving the optimised graph, was not chosen: such a file holds one CPU's instruction set and one
release's private operators, it saves well under a second at opening, and what is hashed and compared would no
longer be what the bundle's licence and card speak of.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from .artefact import tool_versions
from .backends import Accepted, Made, Order
from .errors import DegradeError
from .executor import SESSION_SETTINGS, Executor, OnnxRuntimeExecutor, import_onnxruntime
from .spec import PartSpec, Precision


@dataclass(frozen=True)
class OnnxRuntimeCpu:
    """The backend `onnxruntime`; see backends.Backend for what each answers."""

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        if target is not None:
            raise DegradeError(
                f"--target {target} was given, and ONNX Runtime's engine is for the CPU it is built on",
                mend="leave --target away, or build with --backend tensorrt-rtx",
            )
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
        return {
            "runtime": package,
            "version": versions[package],
            "settings": SESSION_SETTINGS,
            "os": platform.system(),
            "machine": platform.machine(),
            "gpu": None,
            "cuda": None,
            "driver": None,
        }

    def make(self, order: Order) -> Made:
        file = f"{order.name}.onnx"
        with open(order.source, "rb") as reader, open(order.folder / file, "wb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
        return Made(file)

    def check(self, path: Path) -> None:
        pass  # its hash is the bundle's, which engine_spec compares

    def cannot_run(self, target: str | None) -> str:
        return ""

    def open(self, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None) -> Executor:
        return OnnxRuntimeExecutor(path, part, batch=rows, height=lr_size, width=lr_size, threads=threads)
