"""CudaDevice: the device interface on an NVIDIA GPU. Every call of the CUDA driver is in this file and in driver.py.

Context, memory, stream, events and the kernels of the fatbin go through pycuda where it imports, else through
driver.py, which has the same over cuda-bindings; capture, instantiation and replay of graphs through cuda-bindings
either way. All stand on the device's primary context, the one that TensorRT and ONNX Runtime use, so that pointers and
the stream mean the same to all of them. It is retained once a process and released when the process ends: those two
hold on to it anyway, and pycuda leaves a primary context that it releases on the driver's stack. It is current only
while a method runs: pycuda aborts a process that ends with one current, and a caller may have another thread.

All work is in one stream that does not wait for the default one: such a stream can be captured, and nobody else's
work can slip in. Copies from and to the host have streams of their own, so that they run beside it (staging.py).
Uploads, launches and `fetch` return at once; what `fetch` gives, `download` and `synchronize` wait.

Tested with both packages over a driver without a GPU (tests/engine/fake_libcuda.cpp). No GPU has run it yet.
"""

from __future__ import annotations

import atexit
import ctypes
import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import loader
from ...kernels.grids import KERNELS, THREADS, Grid
from ..errors import DegradeError
from . import Loop, PlainLoop, check_fit, launches
from .staging import NON_BLOCKING, Fetched, Staging

EXTRA = "pip install 'degrade-engine[cuda]'"
LETTERS = {ctypes.c_void_p: "P", ctypes.c_int32: "i", ctypes.c_int64: "q", ctypes.c_uint32: "I", ctypes.c_float: "f"}


@dataclass(frozen=True)
class CudaBuffer:
    """C-contiguous device memory. owner keeps it allocated; a slice of rows is a view."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    address: int
    owner: Any

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> CudaBuffer:
        first, last, stride = rows.indices(len(self))
        if stride != 1:
            raise IndexError(f"Rows {rows} of a device buffer. Expected: a run of rows, as [first:last].")
        shape, row = (max(last - first, 0), *self.shape[1:]), math.prod(self.shape[1:]) * self.dtype.itemsize
        return CudaBuffer(shape, self.dtype, self.address + first * row, self.owner)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (self.address, False), "strides": None, "version": 3
        }  # fmt: skip


class CudaDevice:
    """The first GPU that CUDA shows (CUDA_VISIBLE_DEVICES chooses). Made by `open`, given back by `close`.

    cuda, bindings: the modules pycuda.driver, or driver.py, and cuda.bindings.driver. fatbin: where the kernels are, or
    why they are not. stream is the handle of our stream, an integer. graphs: whether a loop made from now on may replay
    its step; turned off to measure what that is worth.
    """

    graphs = True
    overlaps = True

    def __init__(self, cuda: Any, bindings: Any, fatbin: loader.Status) -> None:
        if fatbin.path is None:
            raise DegradeError(f"The CUDA kernels cannot be loaded: {fatbin.reason}")
        self.notes: tuple[str, ...] = ()
        self._cuda, self._bindings, self._context = cuda, bindings, None
        self._allocations: list[Any] = []
        self._loops: list[GraphLoop] = []
        self._scratch: CudaBuffer | None = None
        self._on_scratch: list[Callable[[CudaBuffer], None]] = []
        self.capturing = False  # whether a capture is under way
        with self._named("when it was started"):
            self.name, self._context = primary_context(cuda)
        with self.current("when the kernels were loaded"):
            self._module = cuda.module_from_file(str(fatbin.path))
            self._functions = {name: self._module.get_function(name) for name in KERNELS}
            for name, function in self._functions.items():
                function.prepare("".join(LETTERS[kind] for kind in KERNELS[name].arguments.values()))
            self._stream = cuda.Stream(NON_BLOCKING)  # last: nothing is left where the kernels do not load
            self.stream = int(self._stream.handle)
            self._staging: Any = Staging(cuda, self._stream, self.current)

    @classmethod
    def open(cls) -> CudaDevice:
        """The device, with cuda-bindings, and with pycuda where that imports. DegradeError names what is missing."""
        return cls(*modules(), loader.cuda_status())

    # ------------------------------------------------------------------------------------- the interface

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> CudaBuffer:
        dtype = np.dtype(dtype)
        nbytes = max(math.prod(shape) * dtype.itemsize, 1)
        with self.current(f"when {nbytes} bytes were allocated"):
            owner = self._cuda.mem_alloc(nbytes)
            self._allocations.append(owner)
            self._cuda.memset_d8_async(int(owner), 0, nbytes, self._stream)
        return CudaBuffer(tuple(shape), dtype, int(owner), owner)

    def scratch(self, nbytes: int, use: Callable[[CudaBuffer], None]) -> None:
        """Memory for networks that run one after another: one buffer for all, as large as the largest asks. `use` is
        given it now, and again whenever a larger one takes its place; graphs captured before are captured anew."""
        self._on_scratch.append(use)
        if self._scratch is not None and nbytes <= self._scratch.nbytes:
            use(self._scratch)
            return
        before, self._scratch = self._scratch, self.allocate((nbytes,), np.uint8)
        for told in self._on_scratch:
            told(self._scratch)
        if before is not None:
            for loop in self._loops:
                loop.close()
            with self.current("when memory was given back"):
                self._stream.synchronize()
                self._allocations.remove(before.owner)
                before.owner.free()

    def upload(self, buffer: CudaBuffer, values: NDArray[Any]) -> None:
        check_fit(buffer, values)
        self._refuse_in_a_capture()
        if buffer.nbytes:
            with self.current(f"when {buffer.nbytes} bytes were uploaded"):
                self._staging.upload(buffer.address, values)

    def fetch(self, *buffers: CudaBuffer) -> Fetched:
        self._refuse_in_a_capture()
        with self.current("when results were read back"):
            fetched: Fetched = self._staging.fetch(buffers)
        return fetched

    def download(self, *buffers: CudaBuffer) -> tuple[NDArray[Any], ...]:
        return self.fetch(*buffers)()

    def launch(self, kernel: str, **arguments: Any) -> None:
        for name, written_out in launches.CALLS[kernel](**arguments):
            self.launch_grid(name, **written_out)

    def launch_grid(self, name: str, grid: Grid | None = None, **arguments: Any) -> None:
        """Launches a kernel by its name in the fatbin; arguments as `grids.KERNELS` names them, None is null."""
        kernel = KERNELS[name]
        plain = {key: _plain(arguments[key]) for key in kernel.arguments}
        with self.current(f"when {name} was launched"):
            self._functions[name].prepared_async_call(
                grid or kernel.grid(plain), (THREADS, 1, 1), self._stream, *plain.values()
            )

    def copy(self, source: CudaBuffer, out: CudaBuffer) -> None:
        """The bytes of one buffer into another: the copy that kernels are compared with."""
        with self.current(f"when {out.nbytes} bytes were copied"):
            self._cuda.memcpy_dtod_async(out.address, source.address, out.nbytes, self._stream)

    def loop(self) -> Loop:
        if not self.graphs:
            return PlainLoop()
        self._loops.append(GraphLoop(self))
        return self._loops[-1]

    def close(self) -> None:
        if self._context is None:
            return
        for loop in self._loops:
            loop.close()
        with self.current("when it was given back"):
            self._stream.synchronize()
            self._staging.synchronize()
            self._staging.free()
            for allocation in self._allocations:
                allocation.free()
            self._allocations, self._loops, self._functions = [], [], {}
            self._scratch, self._on_scratch = None, []
            self._stream = self._module = self._staging = None
        self._context = None

    # -------------------------------------------------------------------------------------- waiting, timing

    def synchronize(self) -> None:
        """Waits for everything launched so far; a kernel that failed is told of here at the latest."""
        with self.current("when its work was waited for"):
            self._stream.synchronize()

    def milliseconds(self, work: Callable[[], None]) -> float:
        """How long the GPU took for what `work` enqueues, between two events on the stream."""
        with self.current("when work was timed"):
            began, ended = self._cuda.Event(), self._cuda.Event()
            began.record(self._stream)
        work()
        with self.current("when work was timed"):
            ended.record(self._stream)
            ended.synchronize()
            took = float(ended.time_since(began))
            del began, ended  # pycuda destroys an event in the thread and the context that it was made in
            return took

    # ------------------------------------------------------------------------------------------- graphs

    def capture(self, step: Callable[[], None]) -> Any:
        """An executable graph of what `step` launches; nothing is run. Capture has ended whatever happens."""
        self._call("when a capture was begun", "cuStreamBeginCapture", self._handle(), self._capture_mode())
        self.capturing = True
        try:
            step()
        except BaseException:
            with self.current("when a capture was given up"):  # which may be broken: its answer does not matter
                _, graph = self._bindings.cuStreamEndCapture(self._handle())
            self._forget(graph)
            raise
        finally:
            self.capturing = False
        graph = self._call("when a capture was ended", "cuStreamEndCapture", self._handle())
        try:
            return self._call("when a graph was instantiated", "cuGraphInstantiate", graph, 0)
        finally:
            self._forget(graph)

    def replay(self, executable: Any) -> None:
        """Launches a captured graph on our stream."""
        self._call("when a graph was launched", "cuGraphLaunch", executable, self._handle())

    def destroy(self, executable: Any) -> None:
        """Gives a captured graph back."""
        self._call("when a graph was destroyed", "cuGraphExecDestroy", executable)

    def _refuse_in_a_capture(self) -> None:
        if self.capturing:  # a replay would copy what there was then
            raise DegradeError("A step that copies from or to the host cannot be captured")

    def _forget(self, graph: Any) -> None:
        if graph is not None and int(graph):
            self._call("when a graph was destroyed", "cuGraphDestroy", graph)

    def _handle(self) -> Any:
        return self._bindings.CUstream(self.stream)

    def _capture_mode(self) -> Any:
        """What may not be captured is refused in this thread; what other threads do is no business of ours."""
        return self._bindings.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

    # ------------------------------------------------------------------------------------------- errors

    @contextmanager
    def current(self, doing: str) -> Iterator[None]:
        """Makes the context current, and an error of pycuda's one sentence with what was being done."""
        if self._context is None:
            raise DegradeError("The CUDA device is closed", mend="open the engine again")
        with self._named(doing):
            self._context.push()
            try:
                yield
            finally:
                self._cuda.Context.pop()

    @contextmanager
    def _named(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._cuda.Error as error:
            raise self._failure(doing, str(error)) from error

    def _call(self, doing: str, function: str, *arguments: Any) -> Any:
        """A function of cuda-bindings, which answers (code, value) or (code,)."""
        with self.current(doing):
            code, *values = getattr(self._bindings, function)(*arguments)
        if code != self._bindings.CUresult.CUDA_SUCCESS:
            _, text = self._bindings.cuGetErrorString(code)
            raise self._failure(doing, f"{function} failed: {text.decode() if text else 'no text'}", code.name)
        return values[0] if values else None

    def _failure(self, doing: str, said: str, name: str = "") -> DegradeError:
        name = name or self._name_of(said)
        mend = "build the engine with a smaller --batch" if name == "CUDA_ERROR_OUT_OF_MEMORY" else ""
        return DegradeError(f"CUDA failed {doing}: {name}, {said}", mend=mend)

    def _name_of(self, said: str) -> str:
        """The error's name: pycuda says "cuMemAlloc failed: out of memory", which is the driver's text alone."""
        text = said.partition(" failed: ")[2].partition(" - ")[0].strip()
        for code in self._bindings.CUresult:
            if text and self._bindings.cuGetErrorString(code)[1] == text.encode():
                return str(code.name)
        return "an error without a name"


class GraphLoop:
    """Runs a step once as it is, captures it, and replays the graph for the rest.

    The first run lets whoever allocates or tunes do so before the capture. Seed and clip are launch arguments and so
    part of the graph. A run of pairs has one seed: a change makes a new graph, once a run, and no node of somebody
    else's network has to be told from ours. A step that cannot be captured is launched plainly, for good, and
    `CudaDevice.notes` says so once.
    """

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._graph: Any = None
        self._constants: Hashable = None
        self._plain = False

    def run(self, step: Callable[[], None], times: int, constants: Hashable) -> None:
        if times and not self._plain and (self._graph is None or constants != self._constants):
            step()
            times -= 1
            self._record(step, constants)
        for _ in range(times):
            if self._graph is None:
                step()
            else:
                self._device.replay(self._graph)

    def close(self) -> None:
        """Gives the graph back."""
        if self._graph is not None:
            self._device.destroy(self._graph)
        self._graph = None

    def _record(self, step: Callable[[], None], constants: Hashable) -> None:
        self.close()
        self._device.synchronize()
        try:
            self._graph, self._constants = self._device.capture(step), constants
        except Exception as error:  # a network's runtime may raise anything; a real fault fails the launch too
            self._plain = True
            self._device.notes += (f"Steps are launched one by one, not as a CUDA graph: {error}",)


def modules() -> tuple[Any, Any]:
    """`cuda` and `bindings` of CudaDevice. DegradeError names what is missing."""
    try:
        from cuda.bindings import driver as bindings
    except Exception as error:  # a library that lacks another raises OSError, not ImportError
        raise DegradeError(f"The GPU needs cuda-bindings ({error})", mend=EXTRA) from error
    try:
        import pycuda.driver as cuda
    except Exception:  # not installed, or compiled for another CUDA: it is not needed
        from . import driver as cuda
    return cuda, bindings


@cache
def primary_context(cuda: Any) -> tuple[str, Any]:
    """The first device's name and its primary context, not current. It is released when the process ends: left to
    pycuda's destructor, that would be by cuCtxDetach, which a primary context refuses."""
    cuda.init()
    gpu = cuda.Device(0)
    context = gpu.retain_primary_context()
    atexit.register(context.detach)
    return str(gpu.name()), context


def _plain(value: Any) -> Any:
    if isinstance(value, CudaBuffer):
        return value.address
    return 0 if value is None else value
