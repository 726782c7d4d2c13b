"""A stand-in for pycuda.driver and cuda.bindings.driver: device memory is host memory, kernels are the real .cu grids
compiled by g++, and the rest behaves as a GPU that is as late as it may be.

Nothing is run before somebody waits for it, so a missing wait of the host gives wrong bytes; then all of it is, in the
order of the calls, whichever streams they were in (fake_libcuda.cpp knows streams apart). A capture records
instead; waiting or allocating during one breaks it. Memory begins as 0xFF and has margins that nobody may touch. Every
call needs the context to be current. Names, arguments and answers are those of pycuda 2026.1 and cuda-bindings 12.9
and 13.0, as far as the engine uses them.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

MARGIN = 256
LETTERS = {"p": "P", "i": "i", "l": "q", "w": "I", "f": "f"}  # of the shim, as those of Python's struct
TYPES = {"P": ctypes.c_void_p, "i": ctypes.c_int32, "q": ctypes.c_int64, "I": ctypes.c_uint32, "f": ctypes.c_float}


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


TEXTS = {
    CUresult.CUDA_SUCCESS: b"no error",
    CUresult.CUDA_ERROR_INVALID_VALUE: b"invalid argument",
    CUresult.CUDA_ERROR_OUT_OF_MEMORY: b"out of memory",
    CUresult.CUDA_ERROR_NO_DEVICE: b"no CUDA-capable device is detected",
    CUresult.CUDA_ERROR_ILLEGAL_ADDRESS: b"an illegal memory access was encountered",
    CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: b"operation not permitted when stream is capturing",
    CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: b"operation failed due to a previous error during capture",
}


class Error(Exception):
    """As pycuda's: the driver's text, without the name of the error."""


class Module(SimpleNamespace):
    """As a module: equal to itself alone."""

    __eq__, __hash__ = object.__eq__, object.__hash__


class Handle(int):
    """A graph or an executable graph; work: what was captured."""

    work: list[Callable[[], None]]


class Gpu:
    """One GPU with one context. cuda, bindings: the two modules; log: the driver's functions in order of calls.

    A fault is planned with `fail`: the function answers with the code, each time or only during a capture.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.log: list[str] = []
        self.memory: dict[int, np.ndarray] = {}  # address -> the allocation with its margins
        self.graphs: set[int] = set()  # graphs and executable graphs that were not destroyed
        self.depth = self.retained = 0  # of the context
        self.stream, self.streams = 0, list[int]()  # of the kernels; all
        self.capturing: list[Callable[[], None]] | None = None
        self.broken = False  # the capture
        self._pending: list[Callable[[], None]] = []
        self._faults: dict[str, tuple[CUresult, bool]] = {}
        self._numbers = iter(range(1000, 10**6))
        self.cuda, self.bindings = self._pycuda(), self._cuda_bindings()

    def fail(self, function: str, code: str, *, while_capturing: bool = False) -> None:
        self._faults[function] = (CUresult[code], while_capturing)

    def put(self, stream: int, work: Callable[[], None]) -> None:
        """What a network's runtime does: enqueues work on a stream, or records it in the capture."""
        assert int(stream) in self.streams, "work on another stream than ours"
        captured = self.capturing is not None and int(stream) == self.stream
        (self.capturing if captured else self._pending).append(work)  # type: ignore[union-attr]

    def view(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Device memory as a numpy array."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        assert any(a <= address and address + nbytes <= a + m.size - 2 * MARGIN for a, m in self.memory.items())
        raw = (ctypes.c_uint8 * nbytes).from_address(address)
        return np.frombuffer(raw, dtype).reshape(shape)

    # ------------------------------------------------------------------------------------------ the driver

    def _enter(self, function: str, *, unsafe: bool = False) -> CUresult:
        """Notes the call; unsafe ones break a capture, as CUDA has it."""
        self.log.append(function)
        assert function in ("cuInit", "cuDeviceGetName") or self.retained, f"{function} without a context"
        assert self.depth == 1 or function in ("cuInit", "cuDeviceGetName"), f"{function}: the context is not current"
        code, while_capturing = self._faults.get(function, (CUresult.CUDA_SUCCESS, False))
        if while_capturing and self.capturing is None:
            code = CUresult.CUDA_SUCCESS
        if unsafe and self.capturing is not None:
            code = CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        if code and self.capturing is not None:
            self.broken = True
        return code

    def _do(self, function: str, *, unsafe: bool = False) -> None:
        if code := self._enter(function, unsafe=unsafe):
            raise Error(f"{function} failed: {TEXTS[code].decode()}")

    def _run_pending(self) -> None:
        pending, self._pending = self._pending, []
        for work in pending:
            work()
        for address, memory in self.memory.items():
            at = address - memory.ctypes.data
            edges = (memory[at - MARGIN : at], memory[memory.size - MARGIN :])
            assert all((edge == 0xFF).all() for edge in edges), "a kernel wrote outside its buffer"

    # ------------------------------------------------------------------------------------ pycuda.driver

    def _pycuda(self) -> Any:
        gpu = self

        class Context:
            def push(self) -> None:
                assert gpu.retained
                gpu.depth += 1

            @staticmethod
            def pop() -> None:
                assert gpu.depth, "pop of an empty stack"
                gpu.depth -= 1

            def detach(self) -> None:
                gpu.retained -= 1

        class Device:
            def __init__(self, index: int) -> None:
                assert index == 0

            def name(self) -> str:
                gpu._do("cuDeviceGetName")
                return "Stand-in"

            def retain_primary_context(self) -> Context:
                gpu.retained += 1
                return Context()

        class Allocation:
            def __init__(self, nbytes: int) -> None:
                gpu._do("cuMemAlloc", unsafe=True)
                memory = np.full(nbytes + 3 * MARGIN, 0xFF, np.uint8)
                first = MARGIN + -memory.ctypes.data % MARGIN
                memory = memory[: first + nbytes + MARGIN]
                self.address = memory.ctypes.data + first
                gpu.memory[self.address] = memory

            def __int__(self) -> int:
                return self.address

            def free(self) -> None:
                gpu._do("cuMemFree", unsafe=True)
                del gpu.memory[self.address]

        class Stream:
            def __init__(self, flags: int = 0) -> None:
                gpu._do("cuStreamCreate", unsafe=True)
                assert flags == 1, "a stream that waits for the default one cannot be captured safely"
                self.handle = next(gpu._numbers)
                gpu.stream = gpu.stream or self.handle
                gpu.streams.append(self.handle)

            def synchronize(self) -> None:
                gpu._do("cuStreamSynchronize", unsafe=True)
                gpu._run_pending()

            def wait_for_event(self, event: Event) -> None:
                gpu._do("cuStreamWaitEvent")

        class Event:
            def __init__(self, flags: int = 0) -> None:
                gpu._do("cuEventCreate")

            def record(self, stream: Stream) -> None:
                gpu._do("cuEventRecord")

            def synchronize(self) -> None:
                gpu._do("cuEventSynchronize", unsafe=True)
                gpu._run_pending()

            def time_since(self, other: Event) -> float:
                return 1.0

        class Function:
            def __init__(self, name: str) -> None:
                self.name, letters = name, gpu.library.arguments_of(name.encode())
                assert letters is not None, f"the fatbin has no kernel {name}"
                self.letters = "".join(LETTERS[letter] for letter in letters.decode())

            def prepare(self, letters: str) -> None:
                assert letters == self.letters, f"{self.name} takes {self.letters}"

            def prepared_async_call(self, grid: Any, block: Any, stream: Stream, *arguments: Any) -> None:
                gpu._do("cuLaunchKernel")
                assert block == (256, 1, 1) and len(grid) == 2 and len(arguments) == len(self.letters)
                boxes = [TYPES[letter](value) for letter, value in zip(self.letters, arguments, strict=True)]
                pointers = (ctypes.c_void_p * len(boxes))(*(ctypes.addressof(box) for box in boxes))

                def work(boxes: Any = boxes) -> None:
                    assert gpu.library.launch_on_host(self.name.encode(), *grid, block[0], pointers) == 0

                gpu.put(stream.handle, work)

        class Pinned:
            def __init__(self, nbytes: int) -> None:
                gpu._do("cuMemHostAlloc", unsafe=True)
                self.memory = np.full(nbytes, 0xFF, np.uint8)
                self.__array_interface__ = self.memory.__array_interface__

            def free(self) -> None:
                gpu._do("cuMemFreeHost", unsafe=True)

        def copy_in(address: int, values: np.ndarray, stream: Stream) -> None:
            gpu._do("cuMemcpyHtoDAsync")
            assert gpu.capturing is None, "a copy from the host in a captured step would copy old values"
            gpu.put(stream.handle, lambda: np.copyto(gpu.view(address, values.shape, values.dtype), values))

        def copy_out(values: np.ndarray, address: int, stream: Stream) -> None:
            gpu._do("cuMemcpyDtoHAsync", unsafe=True)
            gpu.put(stream.handle, lambda: np.copyto(values, gpu.view(address, values.shape, values.dtype)))

        def copy(to: int, source: int, nbytes: int, stream: Stream) -> None:
            gpu._do("cuMemcpyDtoDAsync")
            shape = (nbytes,)
            gpu.put(stream.handle, lambda: np.copyto(gpu.view(to, shape, np.uint8), gpu.view(source, shape, np.uint8)))

        def fill(address: int, value: int, nbytes: int, stream: Stream) -> None:
            gpu._do("cuMemsetD8Async")
            gpu.put(stream.handle, lambda: gpu.view(address, (nbytes,), np.uint8).fill(value))

        return Module(
            Error=Error, Context=Context, Device=Device, Stream=Stream, Event=Event, init=lambda: gpu._do("cuInit"),
            mem_alloc=Allocation, memset_d8_async=fill, memcpy_htod_async=copy_in, memcpy_dtoh_async=copy_out,
            pagelocked_empty=lambda nbytes, dtype: np.asarray(Pinned(nbytes), dtype), memcpy_dtod_async=copy,
            module_from_file=lambda path: SimpleNamespace(get_function=Function),
        )  # fmt: skip

    # ------------------------------------------------------------------------------ cuda.bindings.driver

    def _cuda_bindings(self) -> Any:
        def made(work: list[Callable[[], None]]) -> Handle:
            handle = Handle(next(self._numbers))
            handle.work = work
            self.graphs.add(int(handle))
            return handle

        def begin(stream: int, mode: str) -> tuple[Any, ...]:
            code = self._enter("cuStreamBeginCapture")
            assert int(stream) == self.stream and mode == "thread local" and self.capturing is None
            assert not self._pending, "a capture was begun before the eager run was waited for"
            if not code:
                self.capturing, self.broken = [], False
            return (code,)

        def end(stream: int) -> tuple[Any, ...]:
            code, work = self._enter("cuStreamEndCapture"), self.capturing
            assert work is not None, "no capture to end"
            self.capturing = None
            if self.broken:
                return CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, Handle(0)
            return code, Handle(0) if code else made(work)

        def instantiate(graph: Handle, flags: int) -> tuple[Any, ...]:
            code = self._enter("cuGraphInstantiate")
            return code, None if code else made(graph.work)

        def launch(executable: Handle, stream: int) -> tuple[Any, ...]:
            code = self._enter("cuGraphLaunch")
            assert int(executable) in self.graphs and self.capturing is None
            if not code:
                for work in executable.work:
                    self.put(stream, work)
            return (code,)

        def destroy(handle: Handle, function: str) -> tuple[Any, ...]:
            code = self._enter(function)
            self.graphs.remove(int(handle))
            return (code,)

        return Module(
            CUresult=CUresult, CUstream=int,
            CUstreamCaptureMode=SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="thread local"),
            cuGetErrorString=lambda code: (CUresult.CUDA_SUCCESS, TEXTS[code]),
            cuStreamBeginCapture=begin, cuStreamEndCapture=end, cuGraphInstantiate=instantiate, cuGraphLaunch=launch,
            cuGraphDestroy=lambda graph: destroy(graph, "cuGraphDestroy"),
            cuGraphExecDestroy=lambda executable: destroy(executable, "cuGraphExecDestroy"),
        )  # fmt: skip
