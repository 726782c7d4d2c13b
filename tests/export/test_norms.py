"""GroupNorm on Half tensors: which are rewritten, and that the statistics are FP32 still."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from degrade_engine.export.norms import half_norms  # noqa: E402

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
ROWS, CHANNELS, SIDE, GROUPS = 2, 8, 16, 2


def network(*, before: str = "Relu", readers: int = 1) -> onnx.ModelProto:
    """FP32 in, to Half, a node, Cast, GroupNorm, Cast, FP32 out."""
    random = np.random.default_rng(0)
    weights = {
        "scale": 1 + random.standard_normal(CHANNELS).astype(np.float32) / 4,
        "shift": random.standard_normal(CHANNELS).astype(np.float32),
    }
    joined = before == "Concat"  # right before the norm, of twice as many channels
    if joined:
        weights = {name: np.tile(values, 2) for name, values in weights.items()}
    nodes = [helper.make_node("Cast", ["x"], ["h"], to=HALF)]
    nodes += [
        helper.make_node("Concat", ["h", "h"], ["a"], axis=1) if joined else helper.make_node(before, ["h"], ["a"])
    ]
    nodes += [
        helper.make_node("Cast", ["a"], ["wide"], to=FLOAT),
        helper.make_node("GroupNormalization", ["wide", "scale", "shift"], ["n"], num_groups=GROUPS, epsilon=1e-5),
        helper.make_node("Cast", ["n"], ["back"], to=HALF),
        helper.make_node("Cast", ["back"], ["y"], to=FLOAT),
    ]
    outputs = ["y"]
    if readers == 2:
        nodes.append(helper.make_node("Neg", ["n"], ["y2"]))
        outputs.append("y2")
    channels = CHANNELS * (1 + joined)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "norm", [value("x", FLOAT, [ROWS, CHANNELS, SIDE, SIDE])],
        [value(name, FLOAT, [ROWS, channels, SIDE, SIDE]) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


def test_the_casts_go_and_the_statistics_stay_in_fp32() -> None:
    """Values whose squares FP16 cannot hold: with statistics in FP16 there would be nothing but infinity."""
    model = network()
    x = np.random.default_rng(1).standard_normal((ROWS, CHANNELS, SIDE, SIDE)).astype(np.float32) * 3000
    wanted = run(model, x)
    assert half_norms(model) == 1
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Cast", "Relu", "GroupNormalization", "Cast"]
    assert {one.name: one.data_type for one in model.graph.initializer} == {"scale.half": HALF, "shift.half": HALF}
    found = run(model, x)
    assert np.isfinite(found).all() and np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()


@pytest.mark.parametrize("kept", [{"before": "Concat"}, {"readers": 2}])
def test_what_stays(kept: dict[str, object]) -> None:
    """Behind a Concat it would move more; where somebody else reads the FP32 result it is needed."""
    model = network(**kept)  # type: ignore[arg-type]
    before = model.SerializeToString()
    assert half_norms(model) == 0 and model.SerializeToString() == before
