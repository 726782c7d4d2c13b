"""What runs a network: inputs and outputs bound to buffers once, then enqueued.

`OnnxRuntimeExecutor` runs an ONNX file on the CPU. The files of a bundle have dynamic batch, height and
width; ONNX Runtime's free-dimension overrides fix them when the session is made, which lets it plan memory
and fold every shape computation, and leaves the file as it is, byte for byte.

A batch of 48 rows is not one call: layer by layer, its activations would stream through main memory. The
rows are run a few at a time instead, as many as stay in the cache, on slices of the same buffers.

Such calls do not depend on each other, so they run side by side, one thread each: a thread that shares every
layer with others waits for them after every layer. Calls that would leave threads idle (the last 1 of 3 on two
threads) share all threads, one call after another. A row's bytes are the same either way.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .cores import cores
from .errors import DegradeError
from .spec import PartSpec

PIXELS_A_CALL = 128 * 128  # rows x height x width; see rows_a_call

# Kept in engine.json and part of the cache key. Threads are not: they are a choice of every run.
SESSION_SETTINGS = {
    "graph_optimization": "all",
    "execution_mode": "sequential",
    "shapes": "free-dimension overrides",
    "deterministic": "true",
    "spinning": "false",
    "pixels_a_call": str(PIXELS_A_CALL),
}


class Executor(Protocol):
    """One network at one batch size. shapes: the whole shape of each input and output by name."""

    shapes: dict[str, tuple[int, ...]]

    def bind(self, name: str, buffer: Any) -> None:
        """Makes an input or output read or write this buffer from now on. DegradeError if it does not fit."""
        ...

    def enqueue(self, stream: Any = None) -> None:
        """Runs the network on what is bound, on the stream; on the CPU it has ended when this returns."""
        ...


class OnnxRuntimeExecutor:
    """An ONNX file on the CPU provider, reading and writing numpy buffers in place.

    path           the ONNX file
    part           its tensors, checked against the file
    batch          rows; height, width: of the LR image in pixels. The shapes are fixed to them.
    threads        None = one a physical core
    optimise       False: the whole batch in one call, every graph optimisation off (the parity reference)
    """

    def __init__(
        self,
        path: Path,
        part: PartSpec,
        *,
        batch: int,
        height: int,
        width: int,
        threads: int | None = None,
        optimise: bool = True,
    ) -> None:
        ort = import_onnxruntime()
        self._path = path
        self._specs = {tensor.name: tensor for tensor in (*part.inputs, *part.outputs)}
        self._inputs = {tensor.name for tensor in part.inputs}
        self._rows = rows_a_call(batch, height, width) if optimise else batch
        self.shapes, self._call_shapes = (
            {name: tensor.resolve(rows, height, width) for name, tensor in self._specs.items()}
            for rows in (batch, self._rows)
        )
        if any(tensor.shape[:1] != ("batch",) for tensor in self._specs.values()):
            raise DegradeError(f"{path} has a tensor without rows", wanted='every shape to begin with "batch"')
        if self._inputs & {tensor.name for tensor in part.outputs}:
            raise DegradeError(f"{path} has an input and an output of one name", mend="export the bundle again")

        threads, calls = threads or cores(), batch // self._rows
        self._side_by_side = calls - calls % threads
        try:
            dynamic = ort.InferenceSession(path, _options(ort, {}, 1, False), providers=["CPUExecutionProvider"])
            overrides = self._overrides(dynamic)
            del dynamic

            def bindings(calls: int, threads: int) -> list[tuple[Any, Any]]:
                """So many calls of one session, made for so many threads."""
                if not calls:
                    return []
                options = _options(ort, overrides, threads, optimise)
                session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
                return [(session, session.io_binding()) for _ in range(calls)]

            self._calls = bindings(self._side_by_side, 1) + bindings(calls - self._side_by_side, threads)
        except DegradeError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise DegradeError(f"ONNX Runtime cannot load {path}: {_first_line(error)}") from error
        self._pool = ThreadPoolExecutor(threads) if self._side_by_side and threads > 1 else None
        self._bound: dict[str, np.ndarray] = {}  # keeps the memory alive that the bindings point to

    def bind(self, name: str, buffer: np.ndarray) -> None:
        if name not in self._specs:
            raise DegradeError(f"{self._path.name} has no tensor {name!r}", wanted=", ".join(self._specs))
        shape, dtype = self.shapes[name], np.dtype(self._specs[name].dtype)
        if buffer.shape != shape or buffer.dtype != dtype or not buffer.flags.c_contiguous:
            raise DegradeError(
                f"{self._path.name}: {name} was bound to {buffer.dtype} {buffer.shape}",
                wanted=f"{dtype} {shape}, C-contiguous",
            )
        for call, (_, binding) in enumerate(self._calls):
            bind = binding.bind_input if name in self._inputs else binding.bind_output
            first = buffer[call * self._rows :].ctypes.data
            bind(name, "cpu", 0, dtype, self._call_shapes[name], first)
        self._bound[name] = buffer

    def enqueue(self, stream: Any = None) -> None:
        unbound = [name for name in self._specs if name not in self._bound]
        if unbound:
            raise DegradeError(f"{self._path.name} was run with {unbound[0]!r} unbound")
        try:
            first = self._side_by_side if self._pool else 0
            if self._pool:
                list(self._pool.map(_run, self._calls[:first]))  # list: an exception is raised here
            for call in self._calls[first:]:
                _run(call)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise DegradeError(f"ONNX Runtime failed in {self._path.name}: {_first_line(error)}") from error

    def _overrides(self, session: Any) -> dict[str, int]:
        """The file's own dimension names with the numbers that PartSpec gives them; checks names and types."""
        overrides: dict[str, int] = {}
        for kind, nodes in (("input", session.get_inputs()), ("output", session.get_outputs())):
            found = {node.name: node for node in nodes}
            wanted = {name for name in self._specs if (name in self._inputs) == (kind == "input")}
            if set(found) != wanted:
                raise DegradeError(f"{self._path.name} has the {kind}s {sorted(found)}", wanted=str(sorted(wanted)))
            for name, node in found.items():
                self._match(name, node, overrides, fixed=kind == "input")
        return overrides

    def _match(self, name: str, node: Any, overrides: dict[str, int], fixed: bool) -> None:
        shape, types = (
            self._call_shapes[name],
            {"float32": "tensor(float)", "int32": "tensor(int32)", "uint8": "tensor(uint8)"},
        )
        came = f"{self._path.name}: {name} is {node.type} {node.shape}"
        error = DegradeError(came, wanted=f"{self._specs[name].dtype} {shape}", mend="export the bundle again")
        if node.type != types[self._specs[name].dtype] or len(node.shape) != len(shape):
            raise error
        for dimension, size in zip(node.shape, shape, strict=True):
            if isinstance(dimension, int) and dimension != size:
                raise error
            if fixed and not isinstance(dimension, int):
                # An unnamed dimension could not be fixed; two sizes for one name would be fixed wrongly.
                if dimension is None or overrides.setdefault(dimension, size) != size:
                    raise error


def rows_a_call(batch: int, height: int, width: int) -> int:
    """How many rows to run at once: the largest divisor of the batch within PIXELS_A_CALL pixels."""
    most = max(1, PIXELS_A_CALL // (height * width))
    return max(rows for rows in range(1, min(batch, most) + 1) if batch % rows == 0)


def import_onnxruntime() -> Any:
    """The module, or a DegradeError that names the extra."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DegradeError(
            f"ONNX Runtime cannot be imported ({error})", mend="pip install 'degrade-engine[cpu]'"
        ) from error
    return onnxruntime


def _run(call: tuple[Any, Any]) -> None:
    session, binding = call
    session.run_with_iobinding(binding)


def _options(ort: Any, overrides: dict[str, int], threads: int, optimise: bool) -> Any:
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors only: they come as exceptions
    # A thread that waits must sleep: image decoding and other networks' pools want the cores in the meantime.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = threads
    for name, size in overrides.items():
        options.add_free_dimension_override_by_name(name, size)
    return options


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
