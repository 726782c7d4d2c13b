"""What a network does and moves, counted from its ONNX graph: FLOPs and bytes, node by node, at one size.

FLOPs are two a product of every convolution, Gemm and MatMul, and one an output element of every node that does
arithmetic on each element (sums, products, activations; a reduction counts what it reads). Nodes that only rename or
move (Reshape, Transpose, Concat, …) count none. Bytes are what a runtime without any fusion would read and write: an
upper bound, as weights, inputs and outputs alone are a lower one.

Sizes are fixed first, and onnxscript folds whatever depends on them alone, so that every shape is a number. onnx-tool
1.0.1 was tried in place of this page: it stops at our graphs (Squeeze of an axis that is not 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, shape_inference
from onnxscript.optimizer import fold_constants

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.spec import PartSpec

FREE = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}  # the same bytes under another shape
MOVES = {"Transpose", "Concat", "Split", "Slice", "Gather", "GatherND", "Expand", "Pad", "DepthToSpace", "SpaceToDepth",
         "Resize", "Cast", "Constant", "ConstantOfShape", "Where", "Tile", "Shape", "Range"}  # fmt: skip
PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


@dataclass(frozen=True)
class Work:
    """Of one call.

    product_flops  of convolutions, Gemm and MatMul
    other_flops    of the rest, one an element
    weight_bytes   of all parameters, read once
    io_bytes       of the network's own inputs and outputs
    moved_bytes    read and written by all nodes one after another, weights included
    activation_bytes  written by all nodes: what lies between them, and the outputs
    """

    product_flops: int
    other_flops: int
    weight_bytes: int
    io_bytes: int
    moved_bytes: int
    activation_bytes: int

    @property
    def flops(self) -> int:
        """All of them."""
        return self.product_flops + self.other_flops


Shapes = dict[str, tuple[tuple[int, ...], int]]  # tensor -> shape, bytes an element


def count(path: Path, part: PartSpec, rows: int, height: int, width: int) -> Work:
    """The work of a part's ONNX file for so many rows of that size. DegradeError where a shape cannot be found."""
    sizes = {tensor.name: tensor.resolve(rows, height, width) for tensor in (*part.inputs, *part.outputs)}
    return count_model(onnx.load(str(path)), sizes, path.name)


def count_model(model: ModelProto, sizes: dict[str, tuple[int, ...]], name: str = "the network") -> Work:
    """The same of a model; sizes: the shape of each of its inputs."""
    graph = at_size(model, sizes).graph
    shapes = _shapes(graph)
    product_flops = other_flops = moved = activations = 0
    for node in graph.node:
        inputs, outputs = [i for i in node.input if i], [o for o in node.output if o]
        if unknown := [tensor for tensor in (*inputs, *outputs) if tensor not in shapes]:
            raise DegradeError(f"{name}: the shape of {unknown[0]!r} ({node.op_type}) depends on more than the sizes")
        if node.op_type in FREE:
            continue
        read, written = (sum(_bytes(shapes[tensor]) for tensor in tensors) for tensors in (inputs, outputs))
        moved, activations = moved + read + written, activations + written
        if node.op_type in PRODUCTS:
            product_flops += 2 * products(node, shapes)
        elif node.op_type not in MOVES:
            other_flops += max(math.prod(shapes[tensor][0]) for tensor in (inputs[0], *outputs))
    ends = [value.name for value in (*graph.input, *graph.output)]
    return Work(
        product_flops=product_flops,
        other_flops=other_flops,
        weight_bytes=sum(_bytes(shapes[weight.name]) for weight in graph.initializer),
        io_bytes=sum(_bytes(shapes[end]) for end in ends),
        moved_bytes=moved,
        activation_bytes=activations,
    )


def products(node: NodeProto, shapes: Shapes) -> int:
    """Multiplications of a convolution, Gemm or MatMul; a bias is none."""
    first, second, out = (shapes[tensor][0] for tensor in (node.input[0], node.input[1], node.output[0]))
    if node.op_type == "Conv":  # each output value takes a kernel: [out, in / group, kh, kw]
        return math.prod(out) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":  # each input value gives one: [in, out / group, kh, kw]
        return math.prod(first) * math.prod(second[1:])
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(out) * first[-2 if transposed else -1]


def at_size(model: ModelProto, sizes: dict[str, tuple[int, ...]]) -> ModelProto:
    """A copy with inputs of these sizes, every shape in it a number, and what depends on sizes alone folded."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        dimensions = value.type.tensor_type.shape.dim
        del dimensions[:]
        for size in sizes[value.name]:
            dimensions.add().dim_value = size
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    del fixed.graph.value_info[:]
    fold_constants(fixed, onnx_shape_inference=True)
    return shape_inference.infer_shapes(fixed, data_prop=True)


def _shapes(graph: GraphProto) -> Shapes:
    """Of every tensor whose shape is known."""
    shapes = {w.name: (tuple(w.dims), _size_of(w.data_type)) for w in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor = value.type.tensor_type
        dimensions = tensor.shape.dim
        if tensor.HasField("shape") and all(dimension.HasField("dim_value") for dimension in dimensions):
            shapes[value.name] = tuple(d.dim_value for d in dimensions), _size_of(tensor.elem_type)
    return shapes


def _size_of(element: int) -> int:
    return int(helper.tensor_dtype_to_np_dtype(element).itemsize)


def _bytes(tensor: tuple[tuple[int, ...], int]) -> int:
    shape, size = tensor
    return math.prod(shape) * size
