"""The denoiser with explicit Q/DQ nodes: their form, their scales, how near it is to FP32, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from degrade_engine.engine import eight_bits, parity, recorded
from degrade_engine.engine.backends import int8
from degrade_engine.engine.bundle import BUNDLE_JSON, Bundle, open_bundle
from degrade_engine.engine.devices import HostDevice
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors import Executor
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor
from degrade_engine.engine.spec import Precision, source_of

PRECISIONS: tuple[Precision, ...] = ("int8", "fp8")


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def bundle(realdgen_bundle: Path, said: list[str], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The trained tiny bundle with its denoiser in both, to be read only."""
    folder = tmp_path_factory.mktemp("quantised") / "bundle"
    shutil.copytree(realdgen_bundle, folder)
    eight_bits.add_quantised(folder, PRECISIONS, said.append)
    return open_bundle(folder)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_half_convolution_reads_a_pair_on_its_input_and_its_weights(bundle: Bundle, precision: Precision) -> None:
    graph = onnx.load(bundle.file("denoiser", precision)).graph
    known = {tensor.name: tensor for tensor in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    pairs = [node for node in convolutions if node.input[1] not in known]
    assert (len(convolutions), len(pairs)) == (36, 34)  # the first and the last are FP32 islands
    for node in pairs:
        assert known[node.input[2]].data_type == TensorProto.FLOAT16  # the bias, as it was
        for name, of_weights in ((node.input[0], False), (node.input[1], True)):
            back = maker[name]
            there = maker[back.input[0]]
            assert (back.op_type, there.op_type) == ("DequantizeLinear", "QuantizeLinear")
            assert list(back.input[1:]) == list(there.input[1:])
            scale, zero = known[there.input[1]], known[there.input[2]]
            assert (there.input[0] in known) == of_weights
            assert scale.data_type == TensorProto.FLOAT16 and (numpy_helper.to_array(scale) > 0).all()
            wanted = TensorProto.INT8 if precision == "int8" else TensorProto.FLOAT8E4M3FN
            assert zero.data_type == wanted and not zero.raw_data.strip(b"\0")
            channels = list(known[there.input[0]].dims[:1]) if of_weights and precision == "int8" else []
            assert list(scale.dims) == list(zero.dims) == channels
    read_twice = sum(node.op_type == "QuantizeLinear" for node in graph.node)
    assert read_twice == len({node.input[0] for node in pairs}) + len(pairs)  # none at an output


def test_scales_are_of_the_largest_value_that_is_read(bundle: Bundle) -> None:
    int8_scales, fp8_scales = ({
        node.input[0]: numpy_helper.to_array({t.name: t for t in graph.initializer}[node.input[1]]).astype(float)
        for node in graph.node if node.op_type == "QuantizeLinear"
    } for graph in (onnx.load(bundle.file("denoiser", one)).graph for one in PRECISIONS))  # fmt: skip
    half = onnx.load(bundle.file("denoiser", "fp16")).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in half.initializer}
    for name, scale in int8_scales.items():
        if name in weights:
            largest = np.abs(weights[name].astype(float)).reshape(len(weights[name]), -1).max(axis=1)
            np.testing.assert_allclose(scale, largest / 127, rtol=2e-2, atol=1e-7)  # a weight's scale is Half
            np.testing.assert_allclose(fp8_scales[name], largest.max() / 448, rtol=2e-2)
        else:
            np.testing.assert_allclose(fp8_scales[name], scale * 127 / 448, rtol=2e-3)


def test_it_is_within_the_gate_and_says_how_far(bundle: Bundle, said: list[str]) -> None:
    assert [line.split(":")[0] for line in said] == list(PRECISIONS)
    assert all("grey levels from FP32 on average" in line and "refused" not in line for line in said)
    assert all(0.02 < float(line.split()[1]) < 0.5 for line in said)  # in FP16 it is 0.002


def test_the_rest_of_the_bundle_stays_as_it_was(bundle: Bundle, realdgen_bundle: Path) -> None:
    before, after = (json.loads((one / BUNDLE_JSON).read_text()) for one in (realdgen_bundle, bundle.folder))
    files = after["parts"]["denoiser"]["files"]
    assert set(files) == {"fp32", "fp16", *PRECISIONS}
    for precision in PRECISIONS:
        del files[precision]
    assert before == after


def test_the_same_files_give_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    feeds = recorded.feeds(bundle, "denoiser", recorded.LARGEST)
    assert {int(one["t"][0]) for one in feeds} == set(parity.recommended(bundle, recorded.CALLS).solver.timesteps)
    eight_bits.write_quantised(bundle.file("denoiser", "fp16"), tmp_path / "again.onnx", "fp8", feeds)
    assert (tmp_path / "again.onnx").read_bytes() == bundle.file("denoiser", "fp8").read_bytes()


def test_the_gate_of_a_gpu_holds_the_rest_to_fp16(bundle: Bundle) -> None:
    """As TensorRT has it: the denoiser in INT8, the rest in FP16. Here the CPU stands for the GPU."""

    def open_part(name: str, rows: int) -> Executor:
        part = bundle.spec.parts[name]
        return OnnxRuntimeExecutor(bundle.file(name, source_of("int8", part)), part, batch=rows, height=64, width=64)

    side = parity.Side(HostDevice(), open_part)
    report = parity.check(bundle, side, lr_size=64, batch=2, candidates=1, precision="int8", rest="fp16")
    held = {m.part: m for m in report.measures if m.against == "reference"}
    assert held["denoiser"].tolerance == held["end to end"].tolerance == parity.GREY_INT8
    assert held["content"].tolerance.mean > parity.RELATIVE_FP32.mean and held["content"].passed
    assert held["denoiser"].passed and held["end to end"].passed


def test_one_that_is_too_far_off_is_said(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said = tmp_path / "bundle", list[str]()
    shutil.copytree(bundle.folder, folder)
    monkeypatch.setattr(parity, "GREY_INT8", parity.Bound(mean=0.01, p99=1.6, max=8.0))
    eight_bits.add_quantised(folder, ["int8"], said.append)
    assert "more than the parity gate allows, so an engine will be refused" in said[0]


def test_a_network_without_half_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(DegradeError, match=r"denoiser.fp32.onnx has no convolution in FP16"):
        eight_bits.write_quantised(bundle.file("denoiser"), tmp_path / "one.onnx", "int8", [])


def test_the_engine_of_the_cpu_names_its_nodes() -> None:
    graph = onnx.helper.make_graph([onnx.helper.make_node("Conv", ["x", "w"], ["y"])], "g", [], [])
    network = onnx.helper.make_model(graph)
    int8.name_nodes(network)
    assert network.graph.node[0].name == "node_0"
