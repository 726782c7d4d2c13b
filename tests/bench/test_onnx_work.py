"""The counts of a network's work: by hand on a small graph, by PyTorch's own counter on every part of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

pytest.importorskip("onnxscript", reason="needs the extra train")

from degrade_engine.bench.onnx_work import Work, count, count_model  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402


def graph_of(nodes: list[Any], ends: dict[str, list[Any]], weights: dict[str, list[int]]) -> onnx.ModelProto:
    """Zero weights; the last of `ends` is the output."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends.items()]
    zeros = [onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()]
    graph = helper.make_graph(nodes, "g", values[:-1], values[-1:], zeros)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_network_that_can_be_counted_by_hand() -> None:
    """A strided convolution, SiLU, a mean, a Gemm, a Reshape that costs nothing; 4 rows of 16x16."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Sigmoid", ["a"], ["s"]), helper.make_node("Mul", ["a", "s"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["y"]),
    ]  # fmt: skip
    model = graph_of(nodes, {"x": ["batch", 3, "height", "width"], "y": ["batch", 7]},
                     {"w": [5, 3, 3, 3], "v": [5, 7]})  # fmt: skip
    x, a, p, y, w, v = 4 * 3 * 16 * 16, 4 * 5 * 8 * 8, 4 * 5, 4 * 7, 5 * 3 * 3 * 3, 5 * 7
    assert count_model(model, {"x": (4, 3, 16, 16)}) == Work(
        product_flops=2 * (a * 27 + y * 5),
        other_flops=3 * a,  # Sigmoid, Mul, and the mean of a
        weight_bytes=4 * (w + v),
        io_bytes=4 * (x + y),
        moved_bytes=4 * ((x + w + a) + (a + a) + (a + a + a) + (a + p) + (p + v + y)),
        activation_bytes=4 * (3 * a + p + y),
    )


def test_groups_and_transposed_convolutions() -> None:
    """3 groups read a third of the channels each; a transposed convolution works from its input."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1] * 4, group=3),
             helper.make_node("ConvTranspose", ["a", "u"], ["y"], kernel_shape=[2, 2], strides=[2, 2])]  # fmt: skip
    model = graph_of(nodes, {"x": [1, 6, 8, 8], "y": [1, 4, 16, 16]}, {"w": [9, 2, 3, 3], "u": [9, 4, 2, 2]})
    assert count_model(model, {"x": (1, 6, 8, 8)}).product_flops == 2 * (9 * 64 * 2 * 9 + 9 * 64 * 4 * 4)


def test_sizes_that_come_of_values_are_refused() -> None:
    model = graph_of([helper.make_node("NonZero", ["x"], ["n"]), helper.make_node("Cast", ["n"], ["y"], to=1)],
                     {"x": [4], "y": [1, "found"]}, {})  # fmt: skip
    with pytest.raises(DegradeError, match="the shape of 'n' .NonZero. depends on more than the sizes"):
        count_model(model, {"x": (4,)})


@pytest.mark.parametrize("kind", ["realdgen", "lway"])
def test_products_are_those_that_pytorch_counts(kind: str, root: Path, realdgen_bundle: Path, tmp_path: Path) -> None:
    """The trained models' parts as exported: torch's FlopCounterMode on the modules, to the last product. The denoisers
    of the other kinds are the same U-Net; what UDDM adds has convolutions of constants, which torch counts too."""
    torch = pytest.importorskip("torch", reason="needs the extra train")
    from torch.utils.flop_counter import FlopCounterMode

    from degrade_engine.engine.spec import PartSpec
    from degrade_engine.export.bundle import write_onnx
    from degrade_engine.export.kinds import page_of
    from degrade_engine.export.spelled import spelled_out
    from degrade_engine.originals.checkpoint import load

    model, record = load(root / "originals" / "checkpoints" / f"{kind}-tiny.safetensors", torch.nn.Module)
    multiple = record.config.lr_multiple  # type: ignore[attr-defined]
    height, width = 4 * multiple, 6 * multiple
    for name, part in page_of(kind).parts(spelled_out(model)).items():
        file = realdgen_bundle / f"{name}.fp32.onnx"
        if kind != "realdgen":
            file = tmp_path / f"{name}.onnx"
            write_onnx(part, multiple, file)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            part.module(*part.example(2, height, width))
        work = count(file, PartSpec("pair", part.inputs, part.outputs, {}), 2, height, width)
        assert work.product_flops == counter.get_total_flops() > 0, name
        assert work.io_bytes < work.activation_bytes + work.weight_bytes < work.moved_bytes
