"""What runs each step, in INT8 or FP8 (E4M3) for TensorRT: the FP16 file with explicit Q/DQ nodes.

The form is that of NVIDIA's ModelOpt. Before each Half convolution stand a QuantizeLinear and a DequantizeLinear on its
input, with one scale, and on its weights, with a scale a channel in INT8 and one in FP8. Biases and outputs have none,
scales are Half, zero points 0. FP32 islands stay as they are. TensorRT takes such pairs into its kernels.

Scales are by the largest absolute value that a convolution reads when pairs are made of the gate's photographs by the
recommended recipe (`recorded.feeds`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import parity, recorded
from .artefact import write_json_atomic
from .backends.int8 import Feed, name_nodes, quantise_static
from .bundle import BUNDLE_JSON, Bundle, BundleSpec, open_bundle
from .devices import HostDevice
from .engine_spec import Measure
from .errors import DegradeError
from .executors import Executor
from .executors.onnxruntime import OnnxRuntimeExecutor
from .kinds import ModelKind
from .spec import QUANTISED, Precision, file_ref, quantised

if TYPE_CHECKING:
    import onnx

LARGEST_INT8, LARGEST_FP8 = 127, 448
LAYOUT = {
    "ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False, "AddQDQPairToWeight": True,
    "OpTypesToExcludeOutputQuantization": ["Conv"],
}  # fmt: skip


def eight_bits_of(kind: ModelKind, precisions: Sequence[Precision]) -> list[Precision]:
    """Those of the precisions that are INT8 or FP8. DegradeError for a kind that has nothing to run in them."""
    found = [precision for precision in precisions if precision in QUANTISED]
    if found and not kind.has_steps:
        fact = (
            f"--precision is {found[0]}, for what runs in every step, and a model of the kind {kind.name} has no steps"
        )
        raise DegradeError(fact, mend="leave --precision out")
    return found


def add_quantised(folder: Path, precisions: Sequence[Precision], say: Callable[[str], None]) -> None:
    """Adds the files of these precisions to a bundle that has FP16 files, and says how far each is from FP32."""
    bundle = open_bundle(folder)
    parts = dict(bundle.spec.parts)
    for name, part in bundle.spec.parts.items():
        wanted = [precision for precision in precisions if quantised(precision, part)]
        feeds = recorded.feeds(bundle, name, recorded.LARGEST) if wanted else []
        for precision in wanted:
            path = folder / f"{name}.{precision}.onnx"
            write_quantised(bundle.file(name, "fp16"), path, precision, feeds)
            parts[name] = replace(parts[name], files=parts[name].files | {precision: file_ref(folder, path.name)})
    spec: BundleSpec = replace(bundle.spec, parts=parts)
    write_json_atomic(folder / BUNDLE_JSON, spec)
    for precision, found in end_to_end(replace(bundle, spec=spec), precisions).items():
        error = f"{found.error.mean:.2g} grey levels from FP32 on average, {found.error.max:.2g} at most"
        refused = "" if found.passed else ": more than the parity gate allows, so an engine will be refused"
        say(f"{precision}: {error}{refused}")


def write_quantised(source: Path, path: Path, precision: Precision, feeds: Sequence[Feed]) -> None:
    """The FP16-typed network `source` with Q/DQ nodes. The same source and feeds make the same bytes.

    Raises DegradeError for a network without a Half convolution.
    """
    import onnx
    from onnx import TensorProto, helper

    network = onnx.load(source)
    name_nodes(network)
    half = [tensor.name for tensor in network.graph.initializer if tensor.data_type == TensorProto.FLOAT16]
    convolutions = [node for node in network.graph.node if node.op_type == "Conv" and node.input[1] in half]
    if not convolutions:
        raise DegradeError(f"{source.name} has no convolution in FP16", wanted="one outside the FP32 islands")
    for read in sorted({node.input[0] for node in convolutions}):  # else ONNX Runtime leaves out what it cannot infer
        network.graph.value_info.append(helper.make_tensor_value_info(read, TensorProto.FLOAT16, None))
    names = [node.name for node in convolutions]
    quantise_static(network, path, feeds, names, per_channel=precision == "int8", extra_options=LAYOUT)
    written = onnx.load(path)
    if precision == "fp8":
        to_fp8(written)
    del written.graph.value_info[:]
    onnx.checker.check_model(written, full_check=True)
    path.write_bytes(written.SerializeToString(deterministic=True))


def to_fp8(network: onnx.ModelProto) -> None:
    """Q/DQ nodes of INT8, with a scale a tensor, become those of FP8: the same largest value, another number for it."""
    from onnx import TensorProto, helper, numpy_helper

    known = {tensor.name: tensor for tensor in network.graph.initializer}
    for node in network.graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        _, scale, zero = node.input
        value = numpy_helper.to_array(known[scale])
        fp8 = (value.astype(np.float64) * LARGEST_INT8 / LARGEST_FP8).astype(value.dtype)
        known[scale].CopyFrom(numpy_helper.from_array(fp8, scale))
        known[zero].CopyFrom(helper.make_tensor(zero, TensorProto.FLOAT8E4M3FN, [], b"\0", raw=True))


def end_to_end(bundle: Bundle, precisions: Sequence[Precision]) -> dict[Precision, Measure]:
    """The bundle with its quantised files, and FP32 otherwise, against FP32: by the recommended recipe, on the CPU."""
    size = recorded.largest(bundle)
    _, probe = parity.probe(bundle, size, parity.DISTINCT)

    def side(precision: Precision) -> parity.Side:
        def open_part(name: str, rows: int) -> Executor:
            part = bundle.spec.parts[name]
            file = bundle.file(name, precision if quantised(precision, part) else "fp32")
            return OnnxRuntimeExecutor(file, part, batch=rows, height=size, width=size, optimise=False)

        return parity.Side(HostDevice(), open_part)

    def made(precision: Precision) -> parity.Float32:
        way = parity.recommended(bundle)
        return parity.end_to_end(bundle, side(precision), probe, way, candidates=1, lr_size=size)

    wanted = made("fp32")
    return {
        precision: parity.measure("end to end", "reference", made(precision), wanted, parity.GREY_INT8, parity.GREY)
        for precision in precisions
    }
