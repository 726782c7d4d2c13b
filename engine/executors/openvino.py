"""OpenVINO on the CPU: FP32, or bf16 on processors that multiply it in hardware (AMX, AVX-512 BF16).

ONNX Runtime's CPU provider computes in FP32 alone. OpenVINO compiles the same file for the processor it finds, and in
bf16 its convolutions run on AMX tiles: a 8-bit significand with FP32 sums. On the `tiny` denoiser that is 3.5 times as
fast (docs/decisions.md, "The CPU"), and FP32 is no faster than ONNX Runtime's.

Each row is a call of its own, and calls run side by side, one thread each: so a row's bytes depend neither on its
neighbours nor on the batch. A single row gets all threads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..cores import cores
from ..errors import DegradeError
from ..spec import PartSpec, Precision
from . import PartExecutor, first_line

# Kept in engine.json and part of the cache key. Threads are not: they are a choice of every run.
SETTINGS = {"rows_a_call": "1", "execution_mode": "accuracy in fp32, performance in bf16", "cpu_pinning": "false"}
ELEMENT = {"fp32": "f32", "bf16": "bf16"}
HARDWARE = {"bf16": "BF16"}  # what a processor has to have for a precision, in OpenVINO's words


class OpenVinoExecutor(PartExecutor):
    """An ONNX file compiled for this CPU, reading and writing numpy buffers in place; see PartExecutor.

    precision      fp32 or bf16, in which it computes; inputs and outputs are as the file has them
    threads        None = one a physical core

    DegradeError where bf16 is asked of a processor without it, or the compiled network shows no convolution in it.
    """

    title = "OpenVINO"

    def __init__(
        self, path: Path, part: PartSpec, *, batch: int, height: int, width: int, precision: Precision = "fp32",
        threads: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(path, part, batch=batch, height=height, width=width)
        threads = threads or cores()
        openvino, core = runtime()
        try:
            network = core.read_model(path)
            network.reshape({tensor.name: tensor.resolve(1, height, width) for tensor in part.inputs})
            self._compiled = core.compile_model(network, "CPU", _settings(precision, threads, min(threads, batch)))
            self._calls = [self._compiled.create_infer_request() for _ in range(batch)]
        except Exception as error:  # OpenVINO raises RuntimeError for everything
            raise DegradeError(f"OpenVINO cannot load {path}: {first_line(error)}") from error
        self._tensor = openvino.Tensor
        if precision != "fp32":
            _prove(self._compiled, precision, path)

    def _attach(self, name: str, buffer: Any, address: int) -> None:
        for row, call in enumerate(self._calls):
            call.set_tensor(name, self._tensor(buffer[row : row + 1], shared_memory=True))

    def _run(self, stream: Any) -> None:
        for call in self._calls:
            call.start_async()
        for call in self._calls:
            call.wait()


def runtime() -> tuple[Any, Any]:
    """(openvino, its Core), or a DegradeError that names the extra."""
    try:
        import openvino
    except ImportError as error:
        raise DegradeError(
            f"OpenVINO cannot be imported ({error})", mend="pip install 'degrade-engine[openvino]'"
        ) from error
    return openvino, openvino.Core()


def lacks(precision: Precision) -> str:
    """Why this processor cannot compute in the precision: one clause; "" if it can. Raises DegradeError without
    OpenVINO."""
    wanted, _, core = HARDWARE.get(precision), *runtime()
    if wanted is None or wanted in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return ""
    name = core.get_property("CPU", "FULL_DEVICE_NAME")
    return f"{precision} needs a processor with AMX or AVX-512 BF16, and {name} has neither"


def converted(compiled: Any, precision: Precision) -> tuple[int, int]:
    """(convolutions of the compiled network, those that compute in the precision)."""
    kinds = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    convolutions = [info for info in kinds if _word(info, "layerType") == "Convolution"]
    return len(convolutions), sum(_word(info, "runtimePrecision") == ELEMENT[precision] for info in convolutions)


def _word(info: Any, key: str) -> str:
    return str(info[key].astype(str)) if key in info else ""


def _prove(compiled: Any, precision: Precision, path: Path) -> None:
    """A hint that the runtime does not follow is an FP32 engine labelled bf16."""
    convolutions, found = converted(compiled, precision)
    if convolutions and not found:
        raise DegradeError(
            f"OpenVINO compiled {path.name} with none of its {convolutions} convolutions in {precision}",
            mend="build with --precision fp32",
        )


def _settings(precision: Precision, threads: int, streams: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": ELEMENT[precision],
        "EXECUTION_MODE_HINT": "ACCURACY" if precision == "fp32" else "PERFORMANCE",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # image decoding and the host's kernels want the cores, too
    }
