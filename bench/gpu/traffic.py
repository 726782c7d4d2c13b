"""Bytes that a step's network moves and kernels that it launches on a GPU, as TensorRT-RTX's builder tells for one that
need not be here.

The builder's detailed layer information names the inputs and outputs of every kernel. Weights are not counted, nor is
what stays in a cache, so this is no time. Tests hold the rows: they may not rise.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import onnx

from degrade_engine.engine.backends.tensorrt_plan import OPTIMISATION_LEVEL, RTX, load
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.machine import target_of, version_of

from ..machine import stamp
from ..options import FILE, ROWS_APPENDED
from ..rows import Row, add_row

if TYPE_CHECKING:
    import tensorrt_rtx as api

BYTES = {"Half": 2, "BFloat16": 2, "Float": 4, "Int32": 4, "Int64": 8, "Bool": 1, "Int8": 1, "UInt8": 1, "FP8": 1}
Shapes = dict[str, tuple[int, ...]]


def traffic(network: bytes, shapes: Shapes, target: str) -> Row:
    """kernels and bytes of one call of an ONNX network at these input shapes."""
    kernels = layers(built(network, shapes, target))
    if not kernels:
        raise DegradeError(f"{RTX.title} said nothing of its kernels", mend="report it with its version")
    return {"kernels": len(kernels), "bytes": sum(kernels)}


def layers(lines: list[str]) -> list[int]:
    """Bytes in and out of each kernel, of the builder's lines."""
    found = []
    for line in lines:
        if not line.startswith("Name: ") or "LayerType" not in line:
            continue
        inputs = line.partition("Inputs: [")[2].partition("Constants: [")[0]
        outputs = line.partition("Outputs: [")[2].partition("TacticName")[0]
        found.append(tensors(inputs) + tensors(outputs))
    return found


def tensors(text: str) -> int:
    """Bytes of the tensors that a line names."""
    total = 0
    for shape, kind in re.findall(r"Dimensions: \[([\d,]*)\].*?Datatype: (\w+)", text):
        total += math.prod(int(size) for size in shape.split(",") if size) * BYTES[kind]
    return total


def built(network: bytes, shapes: Shapes, target: str) -> list[str]:
    """What the builder says while it compiles, as the engine's own builds do (`compile_plan`), line by line."""
    trt: Any = load(RTX)
    lines: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[misc]  # a module that is looked up
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: api.ILogger.Severity, msg: str) -> None:
            lines.extend(msg.splitlines())

    logger = Logger()
    builder: api.Builder = trt.Builder(logger)
    parsed = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser: api.OnnxParser = trt.OnnxParser(parsed, logger)
    if not parser.parse(network):
        raise DegradeError(f"{RTX.title} cannot parse the network", mend="export the bundle again")
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, shape, shape, shape)
    config.add_optimization_profile(profile)
    config.max_aux_streams, config.builder_optimization_level = 0, OPTIMISATION_LEVEL
    config.clear_flag(trt.BuilderFlag.TF32)
    config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, target.replace("sm_", "SM")), 0)
    if builder.build_serialized_network(parsed, config) is None:
        raise DegradeError(f"{RTX.title} cannot compile the network")
    return lines


def step_traffic(file: Path, rows: int, lr_size: int, target: str) -> Row:
    """A row of a denoiser's ONNX file: one step's."""
    model = onnx.load(str(file))
    sizes = {"batch": rows, "height": lr_size, "width": lr_size}
    shapes = {
        one.name: tuple(dim.dim_value or sizes[dim.dim_param] for dim in one.type.tensor_type.shape.dim)
        for one in model.graph.input
    }
    return {"rows": rows, "lr_size": lr_size, "target": target, **traffic(model.SerializeToString(), shapes, target)}


@click.command()
@click.argument("file", type=FILE)
@click.option("--name", required=True, help="Name of the network in the row, e.g. 'tiny'.")
@click.option("--rows", type=click.IntRange(1), default=48, show_default=True, help="Rows a step: pairs x candidates.")
@click.option("--lr-size", type=click.IntRange(1), default=128, show_default=True, help="Side of the LR in pixels.")
@click.option("--target", default="sm_89", show_default=True, help="GPU to build for, by compute capability.")
@ROWS_APPENDED
def main(file: Path, name: str, rows: int, lr_size: int, target: str, out: Path) -> None:
    """Count the bytes and kernels of a step's network on a GPU, without one.

    \b
    Example:
      degrade-engine bench traffic bundle/denoiser.fp16.onnx \\
        --name tiny -o traffic.jsonl

    FILE is the denoiser of a bundle, in FP16. Needs the extras rtx and train.
    """
    row: Row = {"network": name, **step_traffic(file, rows, lr_size, target_of(target))}
    row |= {"tensorrt-rtx": version_of("tensorrt-rtx"), **stamp()}
    add_row(out, row)
    click.echo(f"{row['kernels']} kernels, {row['bytes'] / 1e9:.2f} GB a step")
