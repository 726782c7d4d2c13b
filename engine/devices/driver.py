"""The CUDA driver as CudaDevice calls it: the part of `pycuda.driver` that it uses, over cuda-bindings alone.

cuda-bindings comes as a wheel; pycuda has to be compiled, with CUDA's headers, beside nvcc. Where pycuda imports it is
taken, else the classes below. They have pycuda's names and meanings, and no more than CudaDevice needs. As there,
memory and the context are given back by `free` and `detach`, the rest when nobody has it any more: with the context
current, which CudaDevice sees to.
"""

from __future__ import annotations

import ctypes
import importlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    from cuda.bindings import driver as api
else:  # whoever imports this page has made sure of it
    api = importlib.import_module("cuda.bindings.driver")

T = TypeVar("T")
TYPES = {"P": ctypes.c_void_p, "i": ctypes.c_int32, "q": ctypes.c_int64, "I": ctypes.c_uint32, "f": ctypes.c_float}


class Error(Exception):
    """As pycuda's: the function and the driver's text."""


@overload
def done(function: str, answer: tuple[api.CUresult]) -> None: ...
@overload
def done(function: str, answer: tuple[api.CUresult, T]) -> T: ...
def done(function: str, answer: tuple[api.CUresult] | tuple[api.CUresult, T]) -> T | None:
    """The value of an answer of cuda-bindings: (code, value) or (code,)."""
    code, *values = answer
    if code != api.CUresult.CUDA_SUCCESS:
        _, text = api.cuGetErrorString(code)
        raise Error(f"{function} failed: {text.decode() if text else code}")
    return values[0] if values else None


def own(owner: object, function: Callable[[T], object], handle: T) -> T:
    """The handle, which goes back to the driver with its owner; not at the end of the process, which has no context."""
    weakref.finalize(owner, function, handle).atexit = False
    return handle


def init() -> None:
    done("cuInit", api.cuInit(0))


class Context:
    """A primary context that is held."""

    def __init__(self, device: api.CUdevice) -> None:
        self._device = device
        self._handle = done("cuDevicePrimaryCtxRetain", api.cuDevicePrimaryCtxRetain(device))

    def push(self) -> None:
        done("cuCtxPushCurrent", api.cuCtxPushCurrent(self._handle))

    @staticmethod
    def pop() -> None:
        done("cuCtxPopCurrent", api.cuCtxPopCurrent())

    def detach(self) -> None:
        """Gives it back, by the rules of a primary context: never by cuCtxDetach."""
        done("cuDevicePrimaryCtxRelease", api.cuDevicePrimaryCtxRelease(self._device))


class Device:
    def __init__(self, index: int) -> None:
        self._device = done("cuDeviceGet", api.cuDeviceGet(index))

    def name(self) -> str:
        name = done("cuDeviceGetName", api.cuDeviceGetName(256, self._device))
        return name.partition(b"\0")[0].decode()

    def retain_primary_context(self) -> Context:
        return Context(self._device)


class mem_alloc:
    """Device memory; as an integer its address."""

    def __init__(self, nbytes: int) -> None:
        self._address = done("cuMemAlloc", api.cuMemAlloc(nbytes))

    def __int__(self) -> int:
        return int(self._address)

    def free(self) -> None:
        done("cuMemFree", api.cuMemFree(self._address))


class PinnedMemory:
    """Memory of the host that the GPU copies from and to by itself."""

    def __init__(self, nbytes: int) -> None:
        self._address = done("cuMemHostAlloc", api.cuMemHostAlloc(nbytes, 0))
        self.__array_interface__ = {
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (int(self._address), False),
            "version": 3,
        }

    def free(self) -> None:
        done("cuMemFreeHost", api.cuMemFreeHost(self._address))


def pagelocked_empty(nbytes: int, dtype: Any) -> np.ndarray:
    """An array of bytes, whose base is the memory."""
    return np.asarray(PinnedMemory(nbytes), dtype)


class Stream:
    def __init__(self, flags: int = 0) -> None:
        self.of_cuda = own(self, api.cuStreamDestroy, done("cuStreamCreate", api.cuStreamCreate(flags)))
        self.handle = int(self.of_cuda)

    def synchronize(self) -> None:
        done("cuStreamSynchronize", api.cuStreamSynchronize(self.of_cuda))

    def wait_for_event(self, event: Event) -> None:
        done("cuStreamWaitEvent", api.cuStreamWaitEvent(self.of_cuda, event.of_cuda, 0))


class Event:
    """A place in a stream, with its time."""

    def __init__(self, flags: int = 0) -> None:
        self.of_cuda = own(self, api.cuEventDestroy, done("cuEventCreate", api.cuEventCreate(flags)))

    def record(self, stream: Stream) -> None:
        done("cuEventRecord", api.cuEventRecord(self.of_cuda, stream.of_cuda))

    def synchronize(self) -> None:
        done("cuEventSynchronize", api.cuEventSynchronize(self.of_cuda))

    def time_since(self, other: Event) -> float:
        milliseconds = done("cuEventElapsedTime", api.cuEventElapsedTime(other.of_cuda, self.of_cuda))
        return milliseconds


class Function:
    """A kernel. `prepare` says what its arguments are, by the letters of Python's struct."""

    def __init__(self, handle: api.CUfunction) -> None:
        self._handle = handle
        self._types: tuple[Any, ...] = ()

    def prepare(self, letters: str) -> None:
        self._types = tuple(TYPES[letter] for letter in letters)

    def prepared_async_call(
        self, grid: tuple[int, int], block: tuple[int, int, int], stream: Stream, *arguments: Any
    ) -> None:
        packed = (arguments, self._types)
        done("cuLaunchKernel", api.cuLaunchKernel(self._handle, *grid, 1, *block, 0, stream.of_cuda, packed, 0))


class module_from_file:
    def __init__(self, path: str) -> None:
        self._module = own(self, api.cuModuleUnload, done("cuModuleLoad", api.cuModuleLoad(path.encode())))

    def get_function(self, name: str) -> Function:
        return Function(done("cuModuleGetFunction", api.cuModuleGetFunction(self._module, name.encode())))


def memset_d8_async(address: int, value: int, nbytes: int, stream: Stream) -> None:
    done("cuMemsetD8Async", api.cuMemsetD8Async(address, value, nbytes, stream.of_cuda))


def memcpy_htod_async(address: int, values: np.ndarray, stream: Stream) -> None:
    done("cuMemcpyHtoDAsync", api.cuMemcpyHtoDAsync(address, values.ctypes.data, values.nbytes, stream.of_cuda))


def memcpy_dtoh_async(values: np.ndarray, address: int, stream: Stream) -> None:
    done("cuMemcpyDtoHAsync", api.cuMemcpyDtoHAsync(values.ctypes.data, address, values.nbytes, stream.of_cuda))


def memcpy_dtod_async(to: int, source: int, nbytes: int, stream: Stream) -> None:
    done("cuMemcpyDtoDAsync", api.cuMemcpyDtoDAsync(to, source, nbytes, stream.of_cuda))
