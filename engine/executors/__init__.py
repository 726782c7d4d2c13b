"""What runs a network: inputs and outputs bound to buffers once, then enqueued.

`OnnxRuntimeExecutor` runs an ONNX file on the CPU, and so does `openvino.py`; on a GPU,
`onnxruntime_cuda.py` and `tensorrt.py` do.

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

from ..cores import cores
from ..errors import DegradeError
from ..spec import PartSpec, TensorSpec
from .onnx_session import first_line, open_session

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

        def bindings(calls: int, threads: int) -> list[tuple[Any, Any]]:
            """So many calls of one session, made for so many threads."""
            if not calls:
                return []
            session = open_session(
                path, part, self._call_shapes, ["CPUExecutionProvider"], threads=threads, optimise=optimise
            )
            return [(session, session.io_binding()) for _ in range(calls)]

        self._calls = bindings(self._side_by_side, 1) + bindings(calls - self._side_by_side, threads)
        self._pool = ThreadPoolExecutor(threads) if self._side_by_side and threads > 1 else None
        self._bound: dict[str, np.ndarray] = {}  # keeps the memory alive that the bindings point to

    def bind(self, name: str, buffer: np.ndarray) -> None:
        check_buffer(self._path, self._specs, self.shapes, name, buffer)
        dtype = buffer.dtype
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
            raise DegradeError(f"ONNX Runtime failed in {self._path.name}: {first_line(error)}") from error


def rows_a_call(batch: int, height: int, width: int) -> int:
    """How many rows to run at once: the largest divisor of the batch within PIXELS_A_CALL pixels."""
    most = max(1, PIXELS_A_CALL // (height * width))
    return max(rows for rows in range(1, min(batch, most) + 1) if batch % rows == 0)


def check_buffer(
    path: Path, specs: dict[str, TensorSpec], shapes: dict[str, tuple[int, ...]], name: str, buffer: np.ndarray
) -> None:
    """DegradeError unless a host buffer fits the tensor of that name."""
    if name not in specs:
        raise DegradeError(f"{path.name} has no tensor {name!r}", wanted=", ".join(specs))
    shape, dtype = shapes[name], np.dtype(specs[name].dtype)
    if buffer.shape != shape or buffer.dtype != dtype or not buffer.flags.c_contiguous:
        fact = f"{path.name}: {name} was bound to {buffer.dtype} {buffer.shape}"
        raise DegradeError(fact, wanted=f"{dtype} {shape}, C-contiguous")


def device_address(file: str, name: str, buffer: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Where a device buffer lies, by `__cuda_array_interface__`. DegradeError unless shape, dtype and layout fit."""
    about = buffer.__cuda_array_interface__
    if about["shape"] != shape or np.dtype(about["typestr"]) != dtype or about.get("strides") is not None:
        raise DegradeError(
            f"{file}: {name} was bound to {np.dtype(about['typestr'])} {about['shape']}",
            wanted=f"{dtype} {shape}, C-contiguous",
        )
    return int(about["data"][0])


def _run(call: tuple[Any, Any]) -> None:
    session, binding = call
    session.run_with_iobinding(binding)
