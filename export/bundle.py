"""Checkpoint to bundle: its networks as ONNX, FP32 and FP16-typed, and `bundle.json`.

Batch, height and width stay dynamic; the build fixes them. An export whose ONNX is further from PyTorch than rounding
explains is refused (`parity.py`) and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import onnx
import torch
from torch import nn
from torch.export import Dim

from degrade_engine.engine import kinds
from degrade_engine.engine.artefact import new_folder, sha256_file, tool_versions, write_json_atomic
from degrade_engine.engine.bundle import BUNDLE_JSON, BundleSpec
from degrade_engine.engine.calibration_spec import read_precision
from degrade_engine.engine.eight_bits import add_quantised, eight_bits_of
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.schedule import Schedule
from degrade_engine.engine.spec import PartSpec, Precision, TensorSpec, file_ref, not_commercial, read_dimension
from degrade_engine.originals.checkpoint import load

from .half import Half, half_layers, half_typed
from .kinds import kind_of, page_of
from .norms import half_norms
from .parity import check_parity
from .parts import Part
from .spelled import spelled_out
from .trials import trials

OPSET = 22  # the first whole set after GroupNormalization with FP32 statistics (21); TensorRT 10.12 and later read it


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    say: Callable[[str], None] = lambda line: None,
    precisions: tuple[Precision, ...] = ("fp32", "fp16"),
    calibration: Path | None = None,
) -> Path:
    """Export CHECKPOINT (.safetensors, with its .json beside it) to the folder `out`. Returns `out`.

    precisions: "fp32" always; without "fp16" the bundle can be built for FP32 engines only; "int8" and "fp8" need
    "fp16", and are of what runs each step (`engine/eight_bits.py`). calibration: a
    calibration.json of this checkpoint, whose islands are FP32 in the FP16-typed files.
    Raises DegradeError for a checkpoint that does not read, a calibration of another one, an `out` that is something
    else, or an ONNX file that does not agree with PyTorch.
    """
    model, record = load(checkpoint, nn.Module)
    kind = kinds.KINDS[kind_of(record)]
    page, config = page_of(kind.name), cast(Any, record.config)
    eight_bits = eight_bits_of(kind, precisions)
    exact = page.parts(model)
    parent = {"checkpoint_sha256": sha256_file(checkpoint)}
    islands: tuple[str, ...] = ()
    if calibration is not None:
        found, parent["calibration_sha256"] = read_precision(calibration, parent["checkpoint_sha256"])
        islands = tuple(island.layer for island in found.islands)
    models: dict[Precision, nn.Module] = {"fp32": spelled_out(model)}
    if "fp16" in precisions:
        models["fp16"] = _half(model, page.HALF, islands, say)
    with new_folder(out, BUNDLE_JSON) as folder:
        parts, agreement = {}, {}
        written = {precision: page.parts(m) for precision, m in models.items()}
        inputs = trials(exact, config.lr_multiple)
        for name, part in exact.items():
            files: dict[Precision, Path] = {p: folder / f"{name}.{p}.onnx" for p in written}
            for precision, path in files.items():
                write_onnx(written[precision][name], config.lr_multiple, path, half=precision == "fp16")
            report = check_parity(name, part, inputs[name], files, islands)
            agreement[name] = report
            say(f"{name}: RMS from PyTorch " + ", ".join(f"{r['error']:.1e} in {p}" for p, r in report.items()))
            refs = {str(p): file_ref(folder, f.name) for p, f in files.items()}
            parts[name] = PartSpec(kind.parts[name], part.inputs, part.outputs, refs)
        spec = BundleSpec(
            kind=kind.name,
            schedule=config.diffusion if kind.has_steps else Schedule(),
            lr_multiple=config.lr_multiple,
            starts=kind.starts,
            parts=parts,
            licence=str(record.card.get("licence", "not stated in the checkpoint's card")),
            commercial=stated(record.card),
            card={"checkpoint": record.card, "training": record.training, "parity": agreement},
            parent=parent,
            tools=tool_versions(),
            islands=islands,
        )
        write_json_atomic(folder / BUNDLE_JSON, spec)
        if eight_bits:
            add_quantised(folder, eight_bits, say)
    if said := not_commercial(spec.licence, spec.commercial):
        say(said)
    return out


def _half(model: nn.Module, half: Half, islands: tuple[str, ...], say: Callable[[str], None]) -> nn.Module:
    typed = half_typed(model, half, islands)
    halves, layers = half_layers(typed)
    if not halves:
        raise DegradeError("no layer of this model would run in FP16", wanted="a layer outside the FP32 islands")
    say(f"{halves} of {layers} convolutions and linear layers in FP16, the rest are FP32 islands")
    return typed


def stated(card: dict[str, Any]) -> bool | None:
    """Whether the card of a checkpoint allows commercial use of its weights; None where it does not say. Raises
    DegradeError for anything but true and false."""
    commercial = card.get("commercial")
    if commercial is not None and not isinstance(commercial, bool):
        raise DegradeError(f"the checkpoint's card says {commercial!r} for commercial", wanted="true or false")
    return commercial


def write_onnx(part: Part, lr_multiple: int, path: Path, half: bool = False) -> None:
    """One part as one ONNX file with dynamic batch, height and width, named as in the TensorSpecs, weights inside.
    half: its norms are on Half tensors (`norms.py`)."""
    batch, rows, columns = Dim("batch", min=1, max=65536), Dim("rows", min=2, max=4096), Dim("columns", min=2, max=4096)

    def dynamic(spec: TensorSpec) -> dict[int, object]:
        """Each word of the shape as torch.export's dimension: height = lr_multiple · rows."""
        dims: dict[int, object] = {}
        for axis, word in enumerate(spec.shape):
            if isinstance(word, int):
                continue
            found = read_dimension(word)
            assert found is not None, word  # the parts' own specs
            name, times, by = found
            factor = times * lr_multiple // by
            base = {"batch": batch, "height": rows, "width": columns}[name]
            dims[axis] = base if name == "batch" or factor == 1 else factor * base
        return dims

    with quiet():
        program = torch.onnx.export(
            part.module,
            part.example(2, 8 * lr_multiple, 6 * lr_multiple),
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
            input_names=[s.name for s in part.inputs],
            output_names=[s.name for s in part.outputs],
            dynamic_shapes=tuple(dynamic(s) for s in part.inputs),
        )
    model = cast(torch.onnx.ONNXProgram, program).model_proto
    for value, spec in zip([*model.graph.input, *model.graph.output], [*part.inputs, *part.outputs], strict=True):
        for dim, word in zip(value.type.tensor_type.shape.dim, spec.shape, strict=True):
            if isinstance(word, str):
                dim.dim_param = word
    if half:
        half_norms(model)
    del model.graph.value_info[:]  # they still name the exporter's own symbols
    del model.metadata_props[:]
    del model.graph.metadata_props[:]  # the symbols again, in an order that changes from run to run
    for node in model.graph.node:  # the exporter's stack traces name files of the machine it ran on
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter without its progress and its warnings about packages that we do not use."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
