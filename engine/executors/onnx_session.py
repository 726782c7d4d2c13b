"""A session of ONNX Runtime on a bundle's file: every size fixed, the file checked against its page.

The files have dynamic batch, height and width. Free-dimension overrides fix them when the session is made, which lets
ONNX Runtime plan memory and fold every shape computation, and leaves the file as it is, byte for byte.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from ..errors import DegradeError
from ..spec import PartSpec
from . import first_line

# A model of one node, y = Relu(x), float32 [1].
ONE_NODE = (
    b'\x08\x08:5\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x03oneZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n'
    b"\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


def open_session(
    path: Path, part: PartSpec, shapes: dict[str, tuple[int, ...]], providers: list[Any], *, threads: int | None = None,
    optimise: bool = True,
) -> Any:  # fmt: skip
    """A session with every shape fixed, its tensors checked against the part's. providers: as ONNX Runtime takes them,
    the first of which has to be in use; DegradeError says what is off.
    """
    ort = import_onnxruntime()
    try:
        dynamic = ort.InferenceSession(path, _options(ort, {}, 1, False), providers=["CPUExecutionProvider"])
        overrides = _overrides(dynamic, path, part, shapes)
        del dynamic
        session = ort.InferenceSession(path, _options(ort, overrides, threads, optimise), providers=providers)
    except DegradeError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise DegradeError(f"ONNX Runtime cannot load {path}: {first_line(error)}") from error
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != wanted:  # it falls back to the next one with no more than a line on stderr
        raise DegradeError(
            f"ONNX Runtime cannot use its {wanted} and took {session.get_providers()[0]} for {path.name}",
            mend="install the CUDA and cuDNN (and TensorRT) that this onnxruntime-gpu names",
        )
    return session


def probe(provider: str) -> None:
    """SystemExit with a clause unless ONNX Runtime makes a session on the provider. That it lists one says only that it
    was built with it; one whose libraries are missing is left out of the session, and the CPU takes its place."""
    ort = import_onnxruntime()
    preload(provider)
    session = ort.InferenceSession(ONE_NODE, providers=[provider, "CPUExecutionProvider"])
    if session.get_providers()[0] != provider:
        raise SystemExit(f"ONNX Runtime lists its {provider} and does not get it to run")


def preload(provider: str) -> None:
    """Loads what the provider needs from where pip puts it, which is on no path of the system's. What is missing shows
    in the session."""
    if provider == "TensorrtExecutionProvider":
        with contextlib.suppress(Exception):
            import tensorrt  # noqa: F401  # loads libnvinfer
    ort = import_onnxruntime()
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            ort.preload_dlls(directory="")


def _overrides(session: Any, path: Path, part: PartSpec, shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """The file's own dimension names with the numbers that PartSpec gives them; checks names and types."""
    overrides: dict[str, int] = {}
    for kind, nodes, tensors in (
        ("input", session.get_inputs(), part.inputs), ("output", session.get_outputs(), part.outputs)
    ):  # fmt: skip
        found, wanted = {node.name: node for node in nodes}, {tensor.name: tensor for tensor in tensors}
        if set(found) != set(wanted):
            raise DegradeError(f"{path.name} has the {kind}s {sorted(found)}", wanted=str(sorted(wanted)))
        for name, node in found.items():
            _match(path, node, wanted[name].dtype, shapes[name], overrides, fixed=kind == "input")
    return overrides


def _match(
    path: Path, node: Any, dtype: str, shape: tuple[int, ...], overrides: dict[str, int], *, fixed: bool
) -> None:
    types = {"float32": "tensor(float)", "int32": "tensor(int32)", "uint8": "tensor(uint8)"}
    came = f"{path.name}: {node.name} is {node.type} {node.shape}"
    error = DegradeError(came, wanted=f"{dtype} {shape}", mend="export the bundle again")
    if node.type != types[dtype] or len(node.shape) != len(shape):
        raise error
    for dimension, size in zip(node.shape, shape, strict=True):
        if isinstance(dimension, int) and dimension != size:
            raise error
        if fixed and not isinstance(dimension, int):
            # An unnamed dimension could not be fixed; two sizes for one name would be fixed wrongly.
            if dimension is None or overrides.setdefault(dimension, size) != size:
                raise error


def import_onnxruntime() -> Any:
    """The module, or a DegradeError that names the extra."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DegradeError(
            f"ONNX Runtime cannot be imported ({error})", mend="pip install 'degrade-engine[cpu]'"
        ) from error
    return onnxruntime


def _options(ort: Any, overrides: dict[str, int], threads: int | None, optimise: bool) -> Any:
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors only: they come as exceptions
    # A thread that waits must sleep: image decoding and other networks' pools want the cores in the meantime.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    for name, size in overrides.items():
        options.add_free_dimension_override_by_name(name, size)
    return options
