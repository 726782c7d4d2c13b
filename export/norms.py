"""GroupNorm of the FP16 files without its FP32 maps.

PyTorch says Cast to FP32, GroupNorm, Cast to FP16, and a builder writes an FP32 map on the way. ONNX's
GroupNormalization has the same statistics in FP32 (`stash_type`) on a Half tensor, so the casts can go. Not behind a
Concat: there TensorRT-RTX joins the cast with the copy, and the step moves more bytes without it.

The scale and shift become Half, which rounds them once more: counted by `parity.py` as all else is.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def half_norms(model: onnx.ModelProto) -> int:
    """Rewrites them in place; returns how many."""
    graph = model.graph
    weights = {one.name: one for one in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    read: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            read.setdefault(name, []).append(node)
    gone: list[onnx.NodeProto] = []
    count = 0
    for node in graph.node:
        if node.op_type != "GroupNormalization":
            continue
        before, after = made.get(node.input[0]), read.get(node.output[0], [])
        if before is None or not casts(before, TensorProto.FLOAT) or len(after) != 1:
            continue
        if not casts(after[0], TensorProto.FLOAT16) or any(name not in weights for name in node.input[1:]):
            continue
        source = made.get(before.input[0])
        if source is None or source.op_type == "Concat":
            continue
        node.input[0], node.output[0] = before.input[0], after[0].output[0]
        for at in (1, 2):  # a copy of each: another node may read them
            values = numpy_helper.to_array(weights[node.input[at]]).astype(np.float16)
            name = f"{node.input[at]}.half"
            if name not in weights:
                weights[name] = numpy_helper.from_array(values, name)
                graph.initializer.append(weights[name])
            node.input[at] = name
        gone.append(after[0])
        count += 1
    for node in gone:
        graph.node.remove(node)
    drop_unread(graph)
    return count


def casts(node: onnx.NodeProto, to: int) -> bool:
    """Whether the node is a Cast to that type."""
    return node.op_type == "Cast" and any(one.name == "to" and one.i == to for one in node.attribute)


def drop_unread(graph: onnx.GraphProto) -> None:
    """Casts and weights that nobody reads any more."""
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for node in [one for one in graph.node if one.op_type == "Cast" and one.output[0] not in read]:
        graph.node.remove(node)
    read = {name for node in graph.node for name in node.input}
    for weight in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(weight)
