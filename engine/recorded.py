"""What a network reads when pairs are made of the gate's photographs by the kind's recommended recipe, in at least
CALLS calls.

A precision that needs calibrating takes its scales from it. So they are of real x_t at the recipe's own timesteps,
with real conditions, for every kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import parity
from .backends.int8 import Feed
from .bundle import Bundle
from .devices import HostDevice
from .executors import Executor
from .executors.onnxruntime import OnnxRuntimeExecutor

CALLS = 5  # at least: the recommended recipe may have one, and the engine is to serve others of no larger tau
LARGEST = 128  # side of an LR image in pixels; a larger one shows no other values, and takes more memory


class _Recorder:
    """An executor that keeps what it was given, each time it runs."""

    def __init__(self, inner: Executor, inputs: set[str], rows: list[Feed]) -> None:
        self.inner, self.inputs, self.rows, self.shapes = inner, inputs, rows, inner.shapes
        self._bound: dict[str, Any] = {}

    def bind(self, name: str, buffer: Any) -> None:
        self.inner.bind(name, buffer)
        if name in self.inputs:
            self._bound[name] = buffer

    def enqueue(self, stream: Any = None) -> None:
        count = len(next(iter(self._bound.values())))
        self.rows += [{name: np.array(buffer[i : i + 1]) for name, buffer in self._bound.items()} for i in range(count)]
        self.inner.enqueue(stream)


def largest(bundle: Bundle) -> int:
    """The side of an LR image that shows what there is to see, pixels."""
    multiple = bundle.spec.lr_multiple
    return max(multiple, LARGEST - LARGEST % multiple)


def feeds(bundle: Bundle, name: str, lr_size: int) -> list[Feed]:
    """Inputs of the part `name`, one row each: of every probe pair, in every call."""
    rows, size = list[Feed](), min(lr_size, largest(bundle))

    def open_part(part: str, count: int) -> Executor:
        spec = bundle.spec.parts[part]
        executor = OnnxRuntimeExecutor(bundle.file(part), spec, batch=count, height=size, width=size)
        return _Recorder(executor, {tensor.name for tensor in spec.inputs}, rows) if part == name else executor

    _, probe = parity.probe(bundle, size, parity.DISTINCT)
    parity.end_to_end(
        bundle,
        parity.Side(HostDevice(), open_part),
        probe,
        parity.recommended(bundle, CALLS),
        candidates=1,
        lr_size=size,
    )
    return rows
