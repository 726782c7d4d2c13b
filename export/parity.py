"""Does the ONNX compute what PyTorch computes? Bounds are derived from PyTorch's own rounding, not guessed.

    FP32:  RMS(ONNX - PyTorch) <= 8 · RMS(PyTorch - PyTorch without oneDNN) + 1e-6 · RMS(PyTorch)
    FP16:  RMS(ONNX - PyTorch) <= 2 · RMS(PyTorch with every layer in FP16 - PyTorch) + the FP32 bound   (design, 7)

Two of PyTorch's own FP32 convolutions differ by the order of summation: so may a third, ONNX Runtime's. ONNX Runtime
on a CPU computes FP16 graphs in FP32 and leaves most roundings out, so this is a check of the typed graph, not of a
GPU's FP16 arithmetic: the build's gate does that.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.spec import Precision

from .parts import Part

SIZES = ((1, 8, 8), (3, 4, 6))  # batch, and height and width in multiples of lr_multiple: neither is the example's


def check_parity(
    name: str, part: Part, lr_multiple: int, files: dict[Precision, Path], islands: Collection[str] = ()
) -> dict[str, dict[str, float]]:
    """RMS errors, their bounds and the largest error of each precision; DegradeError if one is off. islands: the
    calibration's, FP32 in the plain FP16 implementation too (without them it may overflow, and bound nothing)."""
    totals = {p: {"error": 0.0, "bound": 0.0, "largest": 0.0} for p in files}
    half_module = everything_half(part.module, islands) if "fp16" in files else None
    for index, (batch, rows, columns) in enumerate(SIZES):
        inputs = part.example(batch, rows * lr_multiple, columns * lr_multiple, seed=index)
        with torch.no_grad():
            exact = part.module(*inputs).double().numpy()
            with one_dnn_off():
                other = part.module(*inputs).double().numpy()
            half = half_module(*inputs).double().numpy() if half_module else exact  # slow: a CPU emulates FP16
        rounding = 8 * rms(other - exact) + 1e-6 * rms(exact)
        bounds = {"fp32": rounding, "fp16": 2 * rms(half - exact) + rounding}
        for precision, path in files.items():
            got = run_onnx(path, part, inputs)
            error, largest = rms(got - exact), float(np.abs(got - exact).max())
            if got.shape != exact.shape or not error <= bounds[precision]:
                raise DegradeError(
                    f"{name} as {precision} ONNX is {error:.3e} (RMS) from PyTorch at batch {batch}, "
                    f"{rows * lr_multiple}x{columns * lr_multiple}",
                    wanted=f"at most {bounds[precision]:.3e}; a tolerance of {1.05 * error:.3e} would pass",
                    mend="report the versions of torch, onnxscript and onnxruntime: one of them differs",
                )
            worst = totals[precision]
            if error >= worst["error"]:
                totals[precision] = {
                    "error": error,
                    "bound": bounds[precision],
                    "largest": max(largest, worst["largest"]),
                }
    return {str(p): t for p, t in totals.items()}


def everything_half(module: nn.Module, islands: Collection[str] = ()) -> nn.Module:
    """The plain FP16 implementation that the typed graph is held to: every convolution and linear layer in FP16, with
    no islands but a calibration's."""
    plain = copy.deepcopy(module)
    for name, m in plain.named_modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            kind = torch.float32 if name.removeprefix("model.") in islands else torch.float16
            m.to(kind).register_forward_pre_hook(lambda _, args, kind=kind: (args[0].to(kind),))
    return plain.eval()


@contextlib.contextmanager
def one_dnn_off() -> Iterator[None]:
    """PyTorch's own convolutions. Switching warns about TF32 on GPUs that are not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def run_onnx(path: Path, part: Part, inputs: tuple[Tensor, ...]) -> np.ndarray:
    """The part's output by ONNX Runtime on the CPU, float64, graph optimisations off."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {spec.name: tensor.numpy() for spec, tensor in zip(part.inputs, inputs, strict=True)}
    return np.asarray(session.run([part.outputs[0].name], feed)[0], dtype=np.float64)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.square(x).mean()))
