"""An ONNX file on the CPU, by ONNX Runtime.

A batch of 48 rows is not one call: layer by layer, its activations would stream through main memory. The
rows are run a few at a time instead, as many as stay in the cache, on slices of the same buffers.

Such calls do not depend on each other, so they run side by side, one thread each: a thread that shares every
layer with others waits for them after every layer. Calls that would leave threads idle (the last 1 of 3 on two
threads) share all threads, one call after another. A row's bytes are the same either way.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..cores import cores
from ..errors import DegradeError
from ..spec import PartSpec
from . import PartExecutor
from .onnx_session import open_session

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


class OnnxRuntimeExecutor(PartExecutor):
    """An ONNX file on the CPU provider, reading and writing numpy buffers in place; see PartExecutor.

    threads        None = one a physical core
    optimise       False: the whole batch in one call, every graph optimisation off (the parity reference)
    alone          one row a call at any size. In INT8 a last bit of FP32 that changes with the rows of a call may move
                   a value to the next of 256 steps; so it cannot
    """

    title = "ONNX Runtime"

    def __init__(
        self, path: Path, part: PartSpec, *, batch: int, height: int, width: int, threads: int | None = None,
        optimise: bool = True, alone: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(path, part, batch=batch, height=height, width=width)
        if any(tensor.shape[:1] != ("batch",) for tensor in self._specs.values()):
            raise DegradeError(f"{path} has a tensor without rows", wanted='every shape to begin with "batch"')
        if self._inputs & {tensor.name for tensor in part.outputs}:
            raise DegradeError(f"{path} has an input and an output of one name", mend="export the bundle again")

        rows = 1 if alone else rows_a_call(batch, height, width) if optimise else batch
        self._call_shapes = {name: tensor.resolve(rows, height, width) for name, tensor in self._specs.items()}
        threads, calls = threads or cores(), batch // rows
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

    def _attach(self, name: str, buffer: Any, address: int) -> None:
        shape, dtype = self._call_shapes[name], np.dtype(self._specs[name].dtype)
        for call, (_, binding) in enumerate(self._calls):
            bind = binding.bind_input if name in self._inputs else binding.bind_output
            bind(name, "cpu", 0, dtype, shape, address + call * math.prod(shape) * dtype.itemsize)

    def _run(self, stream: Any) -> None:
        first = self._side_by_side if self._pool else 0
        if self._pool:
            list(self._pool.map(_run, self._calls[:first]))  # list: an exception is raised here
        for call in self._calls[first:]:
            _run(call)


def rows_a_call(batch: int, height: int, width: int) -> int:
    """How many rows to run at once: the largest divisor of the batch within PIXELS_A_CALL pixels."""
    most = max(1, PIXELS_A_CALL // (height * width))
    return max(rows for rows in range(1, min(batch, most) + 1) if batch % rows == 0)


def _run(call: tuple[Any, Any]) -> None:
    session, binding = call
    session.run_with_iobinding(binding)
