"""A bundle of a few hundred weights, of any kind, made with onnx.helper: no torch, no training, real ONNX.

The networks are random but not degenerate: every output depends on every input, the condition steers the
denoiser, and the outputs have the size that trained networks have. Weights depend on the seed only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from degrade_engine.engine import artefact, spec
from degrade_engine.engine.bundle import BUNDLE_JSON, BundleSpec
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.schedule import Schedule

F_DEG, F_CONT, CONDITION, HIDDEN = 8, 6, 6, 8


def make(
    folder: Path, *, kind: str = "realdgen", seed: int = 0, schedule: Schedule | None = None, middle: int = 0
) -> Path:
    """Writes the bundle into `folder` and returns it. LR height and width must be even. middle: the denoiser's
    convolutions between its first and its last."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    graphs = {
        "degradation": _reading(random) if kind == "onecall" else _degradation(random),
        "draw": _draw(),
        "content": _content(random),
        "modulation": _modulation(random),
        "reconstruction": _lways_reconstruction(random) if kind == "lway" else _reconstruction(random),
        "denoiser": _denoiser(random, conditional=kind != "syndiff", middle=middle),
        "condition": _condition(random),
        "pddm": _pddm(random),
    }
    parts = {}
    for name, runs in KINDS[kind].parts.items():
        graph = graphs[name]
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(folder / f"{name}.onnx"))
        inputs, outputs = ([_tensor(value) for value in values] for values in (graph.input, graph.output))
        files = {"fp32": spec.file_ref(folder, f"{name}.onnx")}
        parts[name] = spec.PartSpec(runs, tuple(inputs), tuple(outputs), files)
    bundle = BundleSpec(
        kind=kind,
        schedule=schedule or (Schedule(T=200, beta_1=5e-4, beta_T=0.1) if kind == "uddm" else Schedule()),
        lr_multiple=2,
        starts=KINDS[kind].starts,
        parts=parts,
        licence="Apache-2.0",
        card={"about": "random weights, for tests"},
        parent={"checkpoint_sha256": "0" * 64},
        tools=artefact.tool_versions(),
    )
    artefact.write_json_atomic(folder / BUNDLE_JSON, bundle)
    return folder


class Graph:
    """Nodes and weights of one part."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random, self.nodes, self.weights = random, [], []  # type: ignore[var-annotated]

    def weight(self, shape: Sequence[int], scale: float | None = None) -> str:
        fan = int(np.prod(shape[1:])) or 1
        values = self.random.standard_normal(shape) * (scale if scale is not None else fan**-0.5)
        return self.constant(values.astype(np.float32))

    def constant(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator: str, *inputs: str, out: str = "", **attributes: object) -> str:
        out = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [out], **attributes))
        return out

    def conv(self, x: str, cin: int, cout: int, *, size: int = 3, stride: int = 1, out: str = "") -> str:
        pad = [(size - stride + 1) // 2 if stride > 1 else size // 2] * 4
        pad = [0] * 4 if size == stride else pad
        return self.node(
            "Conv", x, self.weight((cout, cin, size, size)), self.weight((cout,), 0.05), out=out,
            kernel_shape=[size, size], strides=[stride, stride], pads=pad,
        )  # fmt: skip

    def gemm(self, x: str, cin: int, cout: int, out: str = "") -> str:
        return self.node("Gemm", x, self.weight((cout, cin)), self.weight((cout,), 0.1), out=out, transB=1)

    def per_channel(self, vector: str) -> str:
        """[batch, C] to [batch, C, 1, 1]."""
        return self.node("Unsqueeze", vector, self.constant(np.array([2, 3], np.int64)))

    def build(self, name: str, inputs: dict[str, list], outputs: dict[str, list]) -> onnx.GraphProto:
        def info(key: str, shape: list) -> onnx.ValueInfoProto:
            kind = TensorProto.INT32 if key == "t" else TensorProto.FLOAT
            return helper.make_tensor_value_info(key, kind, shape)

        ends = [[info(key, shape) for key, shape in side.items()] for side in (inputs, outputs)]
        return helper.make_graph(self.nodes, name, ends[0], ends[1], self.weights)


IMAGE = ["batch", 3, "height", "width"]
HALF = ["batch", F_CONT, "height/2", "width/2"]
DEG = ["batch", F_DEG]
READING = ["batch", 2 * F_DEG]
COND = ["batch", CONDITION, "height", "width"]
LARGE = ["batch", 3, "4*height", "4*width"]


def _degradation(random: np.random.Generator) -> onnx.GraphProto:
    g = Graph(random)
    x = g.node("Abs", g.conv("image", 3, 8))
    x = g.node("Flatten", g.node("GlobalAveragePool", x))
    g.gemm(x, 8, F_DEG, out="f_deg")
    return g.build("degradation", {"image": IMAGE}, {"f_deg": DEG})


def _reading(random: np.random.Generator) -> onnx.GraphProto:
    """Precisions of about 4, and precision times value."""
    g = Graph(random)
    x = g.node("Flatten", g.node("GlobalAveragePool", g.node("Abs", g.conv("image", 3, 8))))
    value = g.gemm(x, 8, F_DEG)
    precision = g.node("Add", g.node("Abs", g.gemm(x, 8, F_DEG)), g.constant(np.array(4, np.float32)))
    g.node("Concat", precision, g.node("Mul", precision, value), out="reading", axis=1)
    return g.build("degradation", {"image": IMAGE}, {"reading": READING})


def _draw() -> onnx.GraphProto:
    """The mean of what the references say, and noise that falls with their precision."""
    g = Graph(np.random.default_rng(0))
    g.nodes.append(helper.make_node("Split", ["reading"], ["precision", "weighted"], axis=1, num_outputs=2))
    precision = g.node("Max", "precision", g.constant(np.array(1e-3, np.float32)))
    noise = g.node("Div", "w", g.node("Sqrt", precision))
    g.node("Add", g.node("Div", "weighted", precision), noise, out="f_deg")
    return g.build("draw", {"reading": READING, "w": DEG}, {"f_deg": DEG})


def _content(random: np.random.Generator) -> onnx.GraphProto:
    g = Graph(random)
    x = g.node("Tanh", g.conv("image", 3, 8, size=2, stride=2))
    g.conv(x, 8, F_CONT, out="f_cont")
    return g.build("content", {"image": IMAGE}, {"f_cont": HALF})


def _upsampled(g: Graph, channels: int) -> str:
    """f_cont, steered by f_deg, on the full grid."""
    x = g.node("DepthToSpace", g.conv("f_cont", F_CONT, 4 * channels), blocksize=2)
    return g.node("Mul", x, g.per_channel(g.gemm("f_deg", F_DEG, channels)))


def _modulation(random: np.random.Generator) -> onnx.GraphProto:
    g = Graph(random)
    g.node("Tanh", _upsampled(g, CONDITION), out="condition")
    return g.build("modulation", {"f_cont": HALF, "f_deg": DEG}, {"condition": COND})


def _reconstruction(random: np.random.Generator) -> onnx.GraphProto:
    g = Graph(random)
    g.node("Tanh", _upsampled(g, 3), out="image")
    return g.build("reconstruction", {"f_cont": HALF, "f_deg": DEG}, {"image": IMAGE})


def _lways_reconstruction(random: np.random.Generator) -> onnx.GraphProto:
    g = Graph(random)
    x = g.node("Mul", g.conv("content", 3, HIDDEN), g.per_channel(g.gemm("f_deg", F_DEG, HIDDEN)))
    g.node("Tanh", g.node("Add", "content", g.conv(x, HIDDEN, 3)), out="image")
    return g.build("reconstruction", {"content": IMAGE, "f_deg": DEG}, {"image": IMAGE})


def _condition(random: np.random.Generator) -> onnx.GraphProto:
    g = Graph(random)
    g.node("Tanh", g.conv("image", 3, CONDITION), out="condition")
    return g.build("condition", {"image": IMAGE}, {"condition": COND})


def _pddm(random: np.random.Generator) -> onnx.GraphProto:
    """The HR brought to LR size, and noise that depends on it."""
    g = Graph(random)
    x = g.node("Tanh", g.conv("hr", 3, 3, size=4, stride=4))
    noise = g.node("Mul", g.node("Abs", x), g.node("Mul", "z", g.constant(np.array(0.1, np.float32))))
    g.node("Add", x, noise, out="lr_pddm")
    return g.build("pddm", {"hr": LARGE, "z": IMAGE}, {"lr_pddm": IMAGE})


def _denoiser(random: np.random.Generator, conditional: bool, middle: int) -> onnx.GraphProto:
    g = Graph(random)
    time = g.node("Unsqueeze", g.node("Cast", "t", to=TensorProto.FLOAT), g.constant(np.array([1], np.int64)))
    time = g.node("Sin", g.gemm(g.node("Mul", time, g.constant(np.array(0.01, np.float32))), 1, HIDDEN))
    x = g.node("Concat", "x_t", "condition", axis=1) if conditional else "x_t"
    x = g.node("Add", g.conv(x, 3 + CONDITION * conditional, HIDDEN), g.per_channel(time))
    x = g.node("Mul", x, g.node("Sigmoid", x))
    for _ in range(middle):
        x = g.conv(x, HIDDEN, HIDDEN)
        x = g.node("Mul", x, g.node("Sigmoid", x))
    g.conv(x, HIDDEN, 3, out="eps")
    condition = {"condition": COND} if conditional else {}
    return g.build("denoiser", {"x_t": IMAGE, "t": ["batch"], **condition}, {"eps": IMAGE})


def _tensor(value: onnx.ValueInfoProto) -> spec.TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(d.dim_param or d.dim_value for d in tensor.shape.dim)
    return spec.TensorSpec(value.name, "int32" if tensor.elem_type == TensorProto.INT32 else "float32", shape)
