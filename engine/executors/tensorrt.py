"""TensorRTExecutor: a plan on a stream, behind the Executor interface. Tested against a stand-in for the `tensorrt`
module; no GPU has run it yet.

What it keeps to (docs/design.md, section 5): one context; shapes and addresses are set once and bound for good;
the activation memory is the caller's; the answer of `execute_async_v3` is checked, because a refused enqueue inside
a captured graph replays stale data without a word. No CUDA is called here: the stream is a handle that is given,
buffers say where they lie through `__cuda_array_interface__`, as those of pycuda, CuPy and PyTorch do.

TensorRT wants addresses at a multiple of 256 bytes. A view of some rows need not begin at one (LR 20, one pair a
batch): it gets a copy that does, and every run copies between the two, on the stream.

TensorRT-RTX compiles its kernels when a plan is first run. They are kept in a file, and the next process loads them. It
would first run kernels for any shape and others later, once they are compiled; it is told to compile at once, so that
every run computes the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artefact import write_bytes_atomic
from ..errors import DegradeError
from ..spec import PartSpec
from . import PartExecutor

if TYPE_CHECKING:
    import tensorrt_rtx as api  # TensorRT has the same

ALIGNMENT = 256  # of an address, in bytes


class TensorRTExecutor(PartExecutor):
    """One plan at the batch and size that it was compiled for; see PartExecutor.

    trt       the module, tensorrt or tensorrt_rtx; logger: its own
    device    a CudaDevice, which lends the activation memory that the parts of an engine share
    cache     the file of the kernels that TensorRT-RTX compiles; None for the classic TensorRT, whose plan has them
    """

    title = "TensorRT"
    memory = "__cuda_array_interface__"

    def __init__(
        self, trt: Any, logger: api.ILogger, path: Path, part: PartSpec, *, batch: int, height: int, width: int,
        device: Any, cache: Path | None = None,
    ) -> None:  # fmt: skip
        super().__init__(path, part, batch=batch, height=height, width=width)
        self._device, self._cache_file = device, cache
        self._cache: api.IRuntimeCache | None = None
        self._copies: dict[str, Any] = {}  # aligned, by the tensor's name; made once
        self._through: dict[str, Any] = {}  # of these, those in use, with the buffers that they stand for
        self._runtime: api.Runtime = trt.Runtime(logger)  # has to outlive the engine
        engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise DegradeError(
                f"{trt.__name__} cannot load {path.name}",
                wanted="the GPU, driver and version that it was built for",
                mend="build the engine again here",
            )
        self._engine: api.ICudaEngine = engine
        self._check_tensors(trt)
        self._context = self._make_context(trt)
        for name in self._inputs:
            if not self._context.set_input_shape(name, self.shapes[name]):
                raise DegradeError(f"{path.name} refuses {name} at {self.shapes[name]}", mend="build the engine again")
        device.scratch(max(self._engine.device_memory_size_v2, 1), self._put_activations)

    def _make_context(self, trt: Any) -> api.IExecutionContext:
        """Its memory is ours, and for TensorRT-RTX its kernels too."""
        strategy: api.ExecutionContextAllocationStrategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if self._cache_file is None:
            return self._engine.create_execution_context(strategy)
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        self._cache = config.create_runtime_cache()
        if self._cache_file.is_file():
            with self._device.current("when compiled kernels were read"):  # they are held against this GPU
                self._cache.deserialize(self._cache_file.read_bytes())  # False: of another GPU or driver; made anew
        config.set_runtime_cache(self._cache)
        return self._engine.create_execution_context(config)

    def _keep_kernels(self) -> None:
        """After the first run, which compiled what the file lacked."""
        if self._cache is not None and self._cache_file is not None:
            compiled = bytes(self._cache.serialize())
            if not self._cache_file.is_file() or self._cache_file.read_bytes() != compiled:
                self._cache_file.parent.mkdir(parents=True, exist_ok=True)
                write_bytes_atomic(self._cache_file, compiled)
        self._cache_file = None

    def _attach(self, name: str, buffer: Any, address: int) -> None:
        self._through.pop(name, None)
        if address % ALIGNMENT:
            if name not in self._copies:
                self._copies[name] = self._device.allocate(self.shapes[name], self._specs[name].dtype)
            self._through[name] = buffer
            address = int(getattr(self._copies[name], self.memory)["data"][0])
        if not self._context.set_tensor_address(name, address):
            raise DegradeError(f"{self._path.name} refuses the address of {name}")

    def _run(self, stream: Any) -> None:
        """stream: the handle of a CUDA stream that is not the default one, which cannot be captured."""
        if not stream:
            raise DegradeError(f"{self._path.name} was run without a stream", wanted="a stream of our own")
        capturable = getattr(self._context, "is_stream_capturable", None)  # TensorRT-RTX 1.2 and later
        if self._device.capturing and capturable and not capturable(int(stream)):
            raise DegradeError(f"TensorRT-RTX says that {self._path.name} cannot be captured")
        for name in self._through.keys() & self._inputs:
            self._device.copy(self._through[name], self._copies[name])
        if not self._context.execute_async_v3(int(stream)):
            raise DegradeError(f"TensorRT refused to run {self._path.name}; what is in its outputs is old")
        for name in self._through.keys() - self._inputs:
            self._device.copy(self._copies[name], self._through[name])
        if self._cache_file is not None and not self._device.capturing:
            self._keep_kernels()

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
