"""Does the ONNX compute what PyTorch computes? Bounds are derived from what rounding does to the network, not guessed.

    FP32:  E <= 8 S + FLOOR                        E, S, H: RMS over all trials, in units of the output
    FP16:  E <= 2 H + 8 S + FLOOR   (design, 7)

E  ONNX less PyTorch.
S  PyTorch with every weight and input moved to the next FP32 number, up or down at random, less PyTorch as it is. Who
   sums in another order computes, exactly, a network that is as near as that (backward stability). So E is a few times
   S, however ill-conditioned the network is. 8 is a choice that leaves room for longer sums.
H  PyTorch with every layer in FP16 less PyTorch.
FLOOR  a thousandth of a grey level: no smaller error matters.

The unit of an image, and of the noise in one, is 1: they are within -1..1, or of variance 1. That of features is their
own RMS. The difference of two back ends on one input will not do in place of S: it swings by a factor of 100, since
E_deg's logarithm of a window's variance jumps by units in the last place of a square, in both back ends or in one.

ONNX Runtime on a CPU computes FP16 graphs in FP32 and leaves most roundings out, so this is a check of the typed graph,
not of a GPU's FP16 arithmetic: the build's gate does that.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.spec import IMAGE_SHAPE, Precision

from .parts import Part
from .trials import Inputs

FLOOR = 2 / 255 / 1000
NUDGES = 3  # times that weights and inputs are moved, for each trial


def check_parity(
    name: str, part: Part, inputs: Sequence[Inputs], files: dict[Precision, Path], islands: Collection[str] = ()
) -> dict[str, dict[str, float]]:
    """RMS errors, their bounds and the largest error of each precision, in units of the output; DegradeError if one is
    off. inputs: the trials. islands: the calibration's, FP32 in the plain FP16 implementation too (without them it may
    overflow)."""
    exact = [run_torch(part.module, one) for one in inputs]
    if not all(np.isfinite(found).all() for found in exact):
        raise DegradeError(
            f"{name} of this checkpoint gives NaN or infinity, in PyTorch already", wanted="weights of a trained model"
        )
    units = [1.0 if part.outputs[0].shape == IMAGE_SHAPE else rms([found]) or 1.0 for found in exact]

    def less_exact(found: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [(one - right) / unit for one, right, unit in zip(found, exact, units, strict=True)]

    moved = [less_exact([run_torch(*nudged(part.module, one, seed)) for one in inputs]) for seed in range(NUDGES)]
    bounds = {"fp32": 8 * rms([one for found in moved for one in found]) + FLOOR}
    if "fp16" in files:  # slow: a CPU emulates FP16
        half = everything_half(part.module, islands)
        bounds["fp16"] = 2 * rms(less_exact([run_torch(half, one) for one in inputs])) + bounds["fp32"]
    totals = {}
    for precision, path in files.items():
        if not np.isfinite(bounds[precision]):
            raise DegradeError(
                f"{name} overflows in FP16", mend="`calibrate precision`, then export with --calibration"
            )
        errors = less_exact([run_onnx(path, part, one) for one in inputs])
        error, largest = rms(errors), max(float(np.abs(one).max()) for one in errors)
        if not error <= bounds[precision]:
            raise DegradeError(
                f"{name} as {precision} ONNX is {error:.3e} (RMS) from PyTorch",
                wanted=f"at most {bounds[precision]:.3e}; a tolerance of {1.05 * error:.3e} would pass",
                mend="report the versions of torch, onnxscript and onnxruntime: one of them differs",
            )
        totals[str(precision)] = {"error": error, "bound": bounds[precision], "largest": largest}
    return totals


def nudged(module: nn.Module, inputs: Inputs, seed: int) -> tuple[nn.Module, Inputs]:
    """A copy of both with every parameter and number of the inputs moved to a neighbour in FP32."""
    generator = torch.Generator().manual_seed(seed)

    def move(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        up = torch.rand(x.shape, generator=generator) < 0.5
        return torch.nextafter(x, torch.where(up, torch.inf, -torch.inf))

    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(move(parameter))
    return other, tuple(move(x) for x in inputs)


def everything_half(module: nn.Module, islands: Collection[str] = ()) -> nn.Module:
    """The plain FP16 implementation that the typed graph is held to: every convolution and linear layer in FP16, with
    no islands but a calibration's."""
    plain = copy.deepcopy(module)
    for name, m in plain.named_modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            kind = torch.float32 if name.removeprefix("model.") in islands else torch.float16
            m.to(kind).register_forward_pre_hook(lambda _, args, kind=kind: (args[0].to(kind),))
    return plain.eval()


def run_torch(module: nn.Module, inputs: Inputs) -> np.ndarray:
    """The module's output, float64."""
    with torch.no_grad():
        return module(*inputs).double().numpy()


def run_onnx(path: Path, part: Part, inputs: Inputs) -> np.ndarray:
    """The part's output by ONNX Runtime on the CPU, float64, graph optimisations off."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {spec.name: tensor.numpy() for spec, tensor in zip(part.inputs, inputs, strict=True)}
    return np.asarray(session.run([part.outputs[0].name], feed)[0], dtype=np.float64)


def rms(arrays: Sequence[np.ndarray]) -> float:
    """The RMS of several arrays, each counting alike, whatever its size."""
    return float(np.sqrt(np.mean([np.square(x).mean() for x in arrays])))
