"""One network through TensorRT or TensorRT-RTX: parsed strongly typed, compiled to a plan, and the plan proved.

The two are one API under two module names. Polygraphy picks between them by an environment variable that it
reads when it is imported, so a process has one flavour.

The precision of a strongly typed network is what its ONNX says; no builder flag changes it. That an FP16 plan
is one is therefore proved, twice: the parsed network has Half convolutions, and the plan holds their kernels as
Half, by its size or by the kernels' very bytes (`PlanProof`).
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..artefact import later
from ..errors import DegradeError

if TYPE_CHECKING:
    import tensorrt_rtx as api  # TensorRT has the same

POLYGRAPHY_SWITCH = "POLYGRAPHY_USE_TENSORRT_RTX"  # read once, by polygraphy/config.py, at its import
FOUND = 0.9  # of the Half kernels' bytes have to be in a plan whose size alone proves nothing
OPTIMISATION_LEVEL = 3  # the default of both; level 5 builds for hours and gains little


@dataclass(frozen=True)
class Flavour:
    """TensorRT or TensorRT-RTX. module and package: as imported and as installed, the package's name is the backend's
    as well; extra: that brings the builder; magic: the first bytes of a plan, b"" where they are not known.
    """

    title: str
    module: str
    package: str
    extra: str
    magic: bytes


# "vtrt" was read off plans of TensorRT-RTX 1.7.1 for every SM. No plan of the classic builder was at hand.
RTX = Flavour("TensorRT-RTX", "tensorrt_rtx", "tensorrt-rtx", "rtx", b"vtrt")
CLASSIC = Flavour("TensorRT", "tensorrt", "tensorrt", "tensorrt", b"")


@dataclass(frozen=True)
class PlanProof:
    """What the parsed network and its plan say about precision. Kept in engine.json, one a part.

    convolutions       all of the parsed network
    half               those whose kernel and output are Half
    half_kernel_bytes  bytes of the Half kernels, equal ones once and those of a single value not at all: a builder
                       may store these so too
    found_bytes        of these, how many lie in the plan as they are, output channel by output channel (KRSC)
    plan_bytes         the plan, with its compiled code
    onnx_bytes         the ONNX file that was parsed: the weights at its precision and little else
    quantised          convolutions whose kernel comes by Q/DQ nodes, in 8 bits
    """

    convolutions: int
    half: int
    half_kernel_bytes: int
    found_bytes: int
    plan_bytes: int
    onnx_bytes: int
    quantised: int = later(0)

    @property
    def smaller(self) -> bool:
        """Whether the plan is too small to hold these kernels in FP32. Small networks drown in code."""
        return self.plan_bytes < 2 * self.half_kernel_bytes

    @property
    def found(self) -> bool:
        """Whether the plan holds the Half kernels' own bytes."""
        return self.found_bytes >= FOUND * self.half_kernel_bytes > 0


@dataclass(frozen=True)
class Network:
    """A parsed network with what keeps it alive. trt: the flavour's module."""

    trt: Any
    builder: api.Builder
    network: api.INetworkDefinition
    parser: api.OnnxParser

    def inputs(self) -> dict[str, api.ITensor]:
        """Input tensors by name."""
        return {tensor.name: tensor for tensor in map(self.network.get_input, range(self.network.num_inputs))}


def load(flavour: Flavour) -> Any:
    """The flavour's module, with Polygraphy set to it. DegradeError names the extra, or the other flavour."""
    os.environ[POLYGRAPHY_SWITCH] = str(int(flavour is RTX))
    try:
        import polygraphy.config

        trt = _import(flavour)
    except Exception as error:  # a native library that lacks another raises OSError, not ImportError
        fact = f"{flavour.title} cannot be imported ({_last_line(str(error))})"
        raise DegradeError(fact, mend=f"pip install 'degrade-engine[{flavour.extra}]'") from error
    if polygraphy.config.USE_TENSORRT_RTX != (flavour is RTX):
        fact = f"This process already uses {(CLASSIC if flavour is RTX else RTX).title}"
        mend = f"build for {flavour.package} in a process of its own"
        raise DegradeError(fact, wanted="one flavour of TensorRT per process", mend=mend)
    return trt


def _import(flavour: Flavour) -> Any:
    if flavour is RTX:
        import tensorrt_rtx

        return tensorrt_rtx
    import tensorrt

    return tensorrt


def targets(trt: Any) -> tuple[str, ...]:
    """What this TensorRT-RTX compiles for ("sm_75", …), as its own enumeration says."""
    found = (re.fullmatch(r"SM(\d+)", name) for name in dir(trt.ComputeCapability))
    return tuple(f"sm_{number}" for number in sorted(int(match.group(1)) for match in found if match))


def parse(flavour: Flavour, path: Path) -> Network:
    """The ONNX file as a strongly typed network. DegradeError with the parser's words if it cannot be read."""
    trt = load(flavour)
    from polygraphy.backend.trt import NetworkFromOnnxPath

    with _one_sentence(f"{flavour.title} cannot parse {path.name}"):
        return Network(trt, *NetworkFromOnnxPath(str(path), strongly_typed=True)())


def compile_plan(
    parsed: Network, flavour: Flavour, shapes: dict[str, tuple[int, ...]], target: str | None, cache: Path | None = None
) -> bytes:
    """The plan for exactly these input shapes: one profile with min = opt = max.

    target: "sm_89", for a GPU that need not be here (TensorRT-RTX); None compiles for the GPU that is. cache:
    the timing cache's file; TensorRT-RTX has none, since it times nothing.
    """
    from polygraphy.backend.trt import CreateConfig, EngineBytesFromNetwork, PostprocessConfig, Profile

    profile = Profile()
    for name in parsed.inputs():
        profile.add(name, shapes[name], shapes[name], shapes[name])
    common: dict[str, Any] = {
        "profiles": [profile], "max_aux_streams": 0, "builder_optimization_level": OPTIMISATION_LEVEL
    }  # fmt: skip
    if flavour is RTX:
        from polygraphy.backend.tensorrt_rtx import CreateConfigRTX

        config = CreateConfigRTX(**common)
    else:
        config = CreateConfig(tf32=False, load_timing_cache=cache and str(cache), **common)

    def finish(builder: api.Builder, network: api.INetworkDefinition, config: api.IBuilderConfig) -> None:
        # On by default in both: the FP32 islands are FP32 because FP16 was not enough; TF32 has FP16's mantissa.
        config.clear_flag(parsed.trt.BuilderFlag.TF32)
        if flavour is RTX:  # else a run allocates for itself, which a capture cannot hold
            config.set_flag(parsed.trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if target is not None:
            config.num_compute_capabilities = 1
            capability = getattr(parsed.trt.ComputeCapability, target.replace("sm_", "SM"))
            if not config.set_compute_capability(capability, 0):  # a refusal would build for whatever is here
                raise DegradeError(f"{flavour.title} refused the target {target}")

    with _one_sentence(f"{flavour.title} cannot compile the network"):
        loader = EngineBytesFromNetwork(
            (parsed.builder, parsed.network, parsed.parser),
            config=PostprocessConfig(config, finish),
            save_timing_cache=cache and str(cache),
        )
        return bytes(loader())


def prove(parsed: Network, plan: bytes, onnx_bytes: int) -> PlanProof:
    """Counts the Half and the quantised convolutions of the parsed network, and looks for Half kernels in the plan."""
    half, quantised, kernels = 0, 0, set()
    layers = convolutions(parsed)
    for layer in layers:
        if layer.num_inputs > 1:  # its kernel is another layer's output
            quantised += 1
            continue
        kernel = _kernel(layer)
        if layer.get_output(0).dtype == parsed.trt.DataType.HALF and kernel.dtype == np.float16:
            half += 1
            if kernel.min() != kernel.max():
                kernels.add(np.ascontiguousarray(kernel.transpose(0, 2, 3, 1)).tobytes())
    found = sum(len(kernel) for kernel in kernels if kernel in plan)
    return PlanProof(len(layers), half, sum(map(len, kernels)), found, len(plan), onnx_bytes, quantised)


def largest(parsed: Network, shapes: dict[str, tuple[int, ...]]) -> int:
    """Elements of the largest tensor of a parsed network at these input shapes. It is changed: its shapes are fixed."""
    for name, tensor in parsed.inputs().items():
        tensor.shape = shapes[name]
    layers = map(parsed.network.get_layer, range(parsed.network.num_layers))
    outputs = (layer.get_output(i) for layer in layers for i in range(layer.num_outputs))
    return max(math.prod(map(int, output.shape)) for output in outputs)


def convolutions(parsed: Network) -> list[api.IConvolutionLayer]:
    """The network's convolution layers, as such: get_layer gives the base class."""
    layers = map(parsed.network.get_layer, range(parsed.network.num_layers))
    found = [layer for layer in layers if layer.type == parsed.trt.LayerType.CONVOLUTION]
    for layer in found:
        layer.__class__ = parsed.trt.IConvolutionLayer
    return cast("list[api.IConvolutionLayer]", found)


def _kernel(layer: api.IConvolutionLayer) -> np.ndarray:
    """[out, in/groups, kh, kw]; the API hands it out flat."""
    flat = np.asarray(layer.kernel)
    return flat.reshape(layer.num_output_maps, -1, *layer.kernel_size_nd)


@contextlib.contextmanager
def _one_sentence(what: str) -> Iterator[None]:
    """Keeps the loggers' lines, and makes a failure one DegradeError with the last of them."""
    from polygraphy.exception import PolygraphyException
    from polygraphy.logger import G_LOGGER

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), G_LOGGER.verbosity(G_LOGGER.ERROR):
            yield
    except PolygraphyException as error:
        lines = [line for line in said.getvalue().splitlines() if "[E]" in line]
        words = re.sub(r"\x1b\[[\d;]*m|\[E\]\s*", "", lines[0] if lines else str(error))
        raise DegradeError(f"{what}: {_last_line(words)}") from error


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no reason was given"
