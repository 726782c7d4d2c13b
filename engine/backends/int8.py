"""A network in INT8: ONNX Runtime's static quantisation of its convolutions, as Q/DQ nodes (QDQ).

Signed weights with a scale a channel, unsigned activations with a scale a tensor, from the least and the largest value
that the network has on what it reads. The first and the last convolution stay FP32, as does all that is no
convolution. Weights keep 7 bits: without VNNI, x86 adds pairs of 8-bit products in 16 bits, which saturate. Dynamic
quantisation was not tried: it covers matrix products, and convolutions only through an operator (ConvInteger) that is
slower than FP32.

Only `build` needs the package onnx. What it writes is run as any other file.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .. import machine
from ..errors import DegradeError
from ..executors.onnx_session import import_onnxruntime

if TYPE_CHECKING:
    import onnx

Feed = dict[str, NDArray[Any]]  # a network's inputs by name
INSTALL = "pip install 'onnx>=1.17'"
SETTINGS = {
    "int8": "static QDQ of the denoiser's convolutions but the first and the last, scales by minimum and maximum",
    "int8_weights": "7 bits, a scale a channel",
    "int8_rows_a_call": "1",
}


def lacks() -> str:
    """Why INT8 engines cannot be built here: a clause with the remedy; "" if they can."""
    if machine.load_error("onnx"):
        return f"INT8 is made with the package onnx, which is not here ({INSTALL})"
    error = machine.load_error("onnxruntime.quantization")
    return f"ONNX Runtime's quantisation does not load ({error})" if error else ""


def quantise(source: Path, path: Path, feeds: Iterable[Feed]) -> None:
    """Writes the network `source` in INT8 as `path`. feeds: what it reads, for the scales.

    The same source, feeds and version of ONNX Runtime make the same bytes. Raises DegradeError for a network that has
    nothing to quantise, and where ONNX Runtime would compute it in FP32 all the same.
    """
    import onnx

    network = onnx.load(source)
    name_nodes(network)
    names = [node.name for node in network.graph.node if node.op_type == "Conv"]
    if len(names) < 3:
        fact = f"{source.name} has {len(names)} convolutions, and INT8 leaves the first and the last in FP32"
        raise DegradeError(fact, wanted="3 or more", mend="build with --precision fp32")
    quantise_static(network, path, feeds, names[1:-1], unsigned=True, reduce_range=True)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    if not in_int8(path):
        fact = f"ONNX Runtime takes {path.name} with none of its {len(names)} convolutions in INT8"
        raise DegradeError(fact, mend="build with --precision fp32")


def quantise_static(
    network: onnx.ModelProto, path: Path, feeds: Iterable[Feed], convolutions: Sequence[str], *,
    per_channel: bool = True, unsigned: bool = False, **options: Any,
) -> None:  # fmt: skip
    """Writes a network with Q/DQ nodes of 8 bits, scales by the least and the largest value of what is read.

    convolutions: names of those that get them; per_channel: scales of weights; unsigned: activations; options: as ONNX
    Runtime's `quantize_static` has them.
    """
    from onnxruntime import quantization

    rows, kinds = iter(feeds), quantization.QuantType

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # its package has no types
        def get_next(self) -> Feed | None:
            return next(rows, None)

    logging.disable(logging.WARNING)  # it advises a preparation that these files do not need
    try:
        quantization.quantize_static(
            network, path, Reader(), quant_format=quantization.QuantFormat.QDQ, per_channel=per_channel,
            activation_type=kinds.QUInt8 if unsigned else kinds.QInt8, weight_type=kinds.QInt8,
            op_types_to_quantize=["Conv"], nodes_to_quantize=list(convolutions), **options,
        )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)


def name_nodes(network: onnx.ModelProto) -> None:
    """Gives every node a name, by which it can be asked for."""
    for i, node in enumerate(network.graph.node):
        node.name = node.name or f"node_{i}"


def in_int8(path: Path) -> int:
    """How many convolutions of a file ONNX Runtime's CPU computes in INT8. Needs the package onnx."""
    import onnx

    ort = import_onnxruntime()
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3  # or it warns that the file is for this machine alone
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph.node
    return sum(node.op_type == "QLinearConv" for node in nodes)
