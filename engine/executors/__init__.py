"""What runs a network: inputs and outputs are bound to buffers once, then the network is enqueued.

`Executor` is the contract. `PartExecutor` is what the executors of all runtimes share: the names, shapes and checks.
Each runtime has a page of its own: `onnxruntime.py` and `openvino.py` on the CPU, `onnxruntime_cuda.py` and
`tensorrt.py` on a GPU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import DegradeError
from ..spec import PartSpec


class Executor(Protocol):
    """One network at one batch size. shapes: the whole shape of each input and output by name."""

    shapes: dict[str, tuple[int, ...]]

    def bind(self, name: str, buffer: Any) -> None:
        """Makes an input or output read or write this buffer from now on. DegradeError if it does not fit."""
        ...

    def enqueue(self, stream: Any = None) -> None:
        """Runs the network on what is bound, on the stream; on the CPU it has ended when this returns."""
        ...


class PartExecutor(ABC):
    """A part's file, opened by a runtime. A subclass sets `title`, on a GPU `memory`, and writes `_attach` and `_run`.

    path    the file; part: its tensors
    batch   rows; height, width: of the LR image in pixels. The shapes are fixed to them.
    """

    title: str  # of the runtime, for errors
    memory = "__array_interface__"  # how a buffer says where it lies; on a GPU "__cuda_array_interface__"

    def __init__(self, path: Path, part: PartSpec, *, batch: int, height: int, width: int) -> None:
        self._path = path
        self._specs = {tensor.name: tensor for tensor in (*part.inputs, *part.outputs)}
        self._inputs = {tensor.name for tensor in part.inputs}
        self.shapes = {name: tensor.resolve(batch, height, width) for name, tensor in self._specs.items()}
        self._bound: dict[str, Any] = {}  # keeps the buffers alive that the runtime points to

    def bind(self, name: str, buffer: Any) -> None:
        """See Executor. buffer: C-contiguous, of the tensor's whole shape and dtype."""
        if name not in self._specs:
            raise DegradeError(f"{self._path.name} has no tensor {name!r}", wanted=", ".join(self._specs))
        wanted = np.dtype(self._specs[name].dtype), self.shapes[name]
        about = getattr(buffer, self.memory)
        found = np.dtype(about["typestr"]), about["shape"]
        if found != wanted or about.get("strides") is not None:
            fact = f"{self._path.name}: {name} was bound to {found[0]} {found[1]}"
            raise DegradeError(fact, wanted=f"{wanted[0]} {wanted[1]}, C-contiguous")
        self._attach(name, buffer, int(about["data"][0]))
        self._bound[name] = buffer

    def enqueue(self, stream: Any = None) -> None:
        """See Executor."""
        if unbound := [name for name in self._specs if name not in self._bound]:
            raise DegradeError(f"{self._path.name} was run with {unbound[0]!r} unbound")
        try:
            self._run(stream)
        except DegradeError:
            raise
        except Exception as error:  # the runtimes' exceptions share no base class
            raise DegradeError(f"{self.title} failed in {self._path.name}: {first_line(error)}") from error

    @abstractmethod
    def _attach(self, name: str, buffer: Any, address: int) -> None:
        """Hands the runtime a buffer that fits. address: of its first byte."""

    @abstractmethod
    def _run(self, stream: Any) -> None:
        """Runs the network; every tensor is bound."""


def first_line(error: Exception) -> str:
    """Of what a runtime says, which may be pages long."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
