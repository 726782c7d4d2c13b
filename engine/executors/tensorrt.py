"""TensorRTExecutor: a plan on a stream, behind the Executor interface. Tested against a stand-in for the `tensorrt`
module; no GPU has run it yet.

What it keeps to (docs/design.md, section 5): one context; shapes and addresses are set once and bound for good;
the activation memory is the caller's; the answer of `execute_async_v3` is checked, because a refused enqueue inside
a captured graph replays stale data without a word. No CUDA is called here: the stream is a handle that is given,
buffers say where they lie through `__cuda_array_interface__`, as those of pycuda, CuPy and PyTorch do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DegradeError
from ..spec import PartSpec
from . import PartExecutor

Scratch = Callable[[int, Callable[[Any], None]], None]  # see device_cuda.CudaDevice.scratch


class TensorRTExecutor(PartExecutor):
    """One plan at the batch and size that it was compiled for; see PartExecutor.

    trt       the module, tensorrt or tensorrt_rtx; logger: its own
    scratch   lends the activation memory, which the parts of an engine share
    """

    title = "TensorRT"
    memory = "__cuda_array_interface__"

    def __init__(
        self, trt: Any, logger: Any, path: Path, part: PartSpec, *, batch: int, height: int, width: int,
        scratch: Scratch,
    ) -> None:  # fmt: skip
        super().__init__(path, part, batch=batch, height=height, width=width)
        self._runtime = trt.Runtime(logger)  # has to outlive the engine
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise DegradeError(
                f"{trt.__name__} cannot load {path.name}",
                wanted="the GPU, driver and version that it was built for",
                mend="build the engine again here",
            )
        self._check_tensors(trt)
        self._context = self._engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        for name in self._inputs:
            if not self._context.set_input_shape(name, self.shapes[name]):
                raise DegradeError(f"{path.name} refuses {name} at {self.shapes[name]}", mend="build the engine again")
        scratch(max(self._engine.device_memory_size_v2, 1), self._put_activations)

    def _attach(self, name: str, buffer: Any, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise DegradeError(f"{self._path.name} refuses the address of {name}")

    def _run(self, stream: Any) -> None:
        """stream: the handle of a CUDA stream that is not the default one, which cannot be captured."""
        if not stream:
            raise DegradeError(f"{self._path.name} was run without a stream", wanted="a stream of our own")
        if not self._context.execute_async_v3(int(stream)):
            raise DegradeError(f"TensorRT refused to run {self._path.name}; what is in its outputs is old")

    def _put_activations(self, memory: Any) -> None:
        self._memory = memory
        address = int(getattr(memory, self.memory)["data"][0])
        self._context.set_device_memory(address, self._engine.device_memory_size_v2)

    def _check_tensors(self, trt: Any) -> None:
        """Names, directions and types of the plan against the page's."""
        engine = self._engine
        found = {engine.get_tensor_name(i) for i in range(engine.num_io_tensors)}
        if found != set(self._specs):
            raise DegradeError(f"{self._path.name} has the tensors {sorted(found)}", wanted=str(sorted(self._specs)))
        for name, tensor in self._specs.items():
            mode = trt.TensorIOMode.INPUT if name in self._inputs else trt.TensorIOMode.OUTPUT
            dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
            if engine.get_tensor_mode(name) != mode or dtype != np.dtype(tensor.dtype):
                raise DegradeError(
                    f"{self._path.name}: {name} is {dtype}, {engine.get_tensor_mode(name)}",
                    wanted=f"{tensor.dtype}, {mode}",
                )
