"""The backends, by name. A new one is a page of this folder and a line in the one list; see docs/extending.md."""

from __future__ import annotations

from collections.abc import Sequence

from .. import machine
from ..errors import DegradeError
from ..spec import Precision
from . import int8
from .backend import Backend
from .onnxruntime import OnnxRuntimeCpu, OnnxRuntimeCuda, OnnxRuntimeTensorRT
from .openvino import OpenVino
from .tensorrt import TensorRT, TensorRTRTX

BACKENDS: dict[str, Backend] = {
    one.name: one
    for one in (OnnxRuntimeCpu(), OpenVino(), TensorRT(), TensorRTRTX(), OnnxRuntimeCuda(), OnnxRuntimeTensorRT())
}
"""In the order in which `auto` tries them: on a machine with a GPU first those that run on one."""


def named(name: str) -> Backend:
    """The backend of that name. DegradeError for one that does not exist."""
    if name not in BACKENDS:
        raise DegradeError(f"The backend is {name!r}", wanted=f"one of {', '.join(('auto', *BACKENDS))}")
    return BACKENDS[name]


def with_precision(precision: Precision) -> list[str]:
    """Names of the backends that can be asked for the precision."""
    return [one.name for one in BACKENDS.values() if precision in one.precisions]


def best(precision: Precision) -> Backend:
    """What `auto` is here: the first that can build and run, else the first of the CPU's. `doctor` has the reasons."""
    able = [named(name) for name in with_precision(precision)]
    on_gpu = [one for one in able if one.gpu and machine.nvidia().devices]
    return next((one for one in on_gpu if _runs(one, precision)), next((one for one in able if not one.gpu), able[0]))


def running() -> list[Backend]:
    """Those that work on this machine, in their order."""
    return [one for one in BACKENDS.values() if not one.cannot_run(None)]


def quickest(among: Sequence[Backend]) -> tuple[Precision, str]:
    """What `--precision auto` is on this machine with these backends, and why: a clause. among: those that work here.

    bf16 where the processor and a backend have it; INT8 where there is VNNI and no AMX; else FP32.
    """
    features = machine.cpu_features()
    if gpu := next((one for one in among if one.gpu), None):
        return "fp32", f"{gpu.title} runs it on the GPU"
    bf16, vnni = ([name for name in features if name in names] for names in (machine.BF16, machine.VNNI))
    if bf16 and (able := [one for one in among if "bf16" in one.precisions]):
        return "bf16", f"this processor has {bf16[0]}, and {able[0].title} is here"
    if vnni and "AMX" not in features and any("int8" in one.precisions for one in among):
        if reason := int8.lacks():
            return "fp32", f"this processor has {vnni[0]}, but {reason}"
        return "int8", f"this processor has {vnni[0]} and no AMX"
    if bf16:
        able = [named(name) for name in with_precision("bf16")]
        return "fp32", f"this processor has {bf16[0]}, but bf16 needs the backend {able[0].name} ({able[0].install})"
    return "fp32", "this processor multiplies neither bf16 nor bytes quickly (no AMX, AVX-512 BF16 or VNNI)"


def _runs(backend: Backend, precision: Precision) -> bool:
    try:
        return not backend.cannot_run(backend.accept(precision, None).target)
    except DegradeError:
        return False
