"""The denoiser in INT8, to be measured beside the engine: ONNX Runtime's static quantisation (QDQ), signed weights with
a scale a channel, unsigned activations, calibrated on the noised photographs and conditions that the network sees.

The first and the last convolution stay FP32, as does all that is no convolution. Weights keep 7 bits: without VNNI,
x86 adds pairs of 8-bit products in 16 bits, which saturate. Dynamic quantisation is not tried: it covers matrix
products, and convolutions only through an operator (ConvInteger) that is slower than FP32.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import open_engine_part, rows_of
from degrade_engine.engine.devices import HostDevice
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor
from degrade_engine.engine.parity import Side, run_part
from degrade_engine.kernels import pixels

TIMESTEPS = (1, 4, 8, 15, 30, 60, 100)
Feed = dict[str, np.ndarray]


class Noised(CalibrationDataReader):  # type: ignore[misc]  # its package has no types
    """One row of the denoiser's inputs after another."""

    def __init__(self, feeds: Iterator[Feed]) -> None:
        self.feeds = feeds

    def get_next(self) -> Feed | None:
        return next(self.feeds, None)


def noised(engine: Engine, content: np.ndarray, reference: np.ndarray) -> Iterator[Feed]:
    """x_t, t and condition of photographs, uint8 [n, h, w, 3], at TIMESTEPS in turn; n is the engine's batch."""

    device = HostDevice()
    side = Side(device, lambda name, rows: open_engine_part(engine.folder, engine.spec, name, device, rows=rows))

    def part(name: str, **inputs: np.ndarray) -> np.ndarray:
        return next(iter(run_part(side, name, inputs).values()))

    x_hr, x_lr = pixels.to_planar(content), pixels.to_planar(reference)
    condition = part("modulation", f_cont=part("content", image=x_hr), f_deg=part("degradation", image=x_lr))
    abar, random = engine.spec.schedule.alphas_bar, np.random.default_rng(0)
    for i, t in enumerate(TIMESTEPS):
        row = slice(i % len(content), i % len(content) + 1)
        x_t = abar[t] ** 0.5 * x_hr[row] + (1 - abar[t]) ** 0.5 * random.standard_normal(x_hr[row].shape)
        yield {"x_t": x_t.astype(np.float32), "t": np.array([t], np.int32), "condition": condition[row]}


def quantised(engine: Engine, content: np.ndarray, reference: np.ndarray, path: Path) -> None:
    """Writes the engine's denoiser as an INT8 file."""
    source = engine.folder / engine.spec.parts["denoiser"].files["engine"].path
    convolutions = [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"]
    logging.disable(logging.WARNING)  # it advises a preparation that this file does not need
    try:
        quantize_static(
            source, path, Noised(noised(engine, content, reference)), quant_format=QuantFormat.QDQ, per_channel=True,
            reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"], nodes_to_exclude=[convolutions[0], convolutions[-1]],
        )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)


def engine_with(engine: Engine, denoiser: Path, threads: int) -> Engine:
    """The engine with another file as its denoiser. Not through the parity gate: what it costs is what is measured."""
    spec, size, device = engine.spec, engine.spec.lr_size, HostDevice(threads)
    parts = {name: open_engine_part(engine.folder, spec, name, device, threads=threads) for name in spec.parts}
    part = spec.parts["denoiser"]
    parts["denoiser"] = OnnxRuntimeExecutor(
        denoiser, part, batch=rows_of(part, spec.key), height=size, width=size, threads=threads
    )
    return Engine(engine.folder, spec, device, parts)
