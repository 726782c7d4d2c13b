"""The backends, by name. A new one is a page of this folder and a line in the one list; see docs/extending.md."""

from __future__ import annotations

from .. import machine
from ..errors import DegradeError
from ..spec import Precision
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
    return next((one for one in on_gpu if _runs(one, precision)), next(one for one in able if not one.gpu))


def _runs(backend: Backend, precision: Precision) -> bool:
    try:
        return not backend.cannot_run(backend.accept(precision, None).target)
    except DegradeError:
        return False
