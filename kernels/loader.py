"""Finds the compiled kernels, or says plainly why there are none: the host library and the CUDA fatbin.

The package works without them: every public function of `degrade_engine.kernels` has a numpy twin with the
same bits. Library and fatbin lie beside this package. In an editable install that is a second folder of the
package's search path, so the whole path is looked at. The fatbin is found here and loaded by whoever has a
GPU; `grids.py` says how its kernels are called.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # doctor asks here where numpy may be broken
    from numpy.typing import NDArray

ABI, CUDA_ABI = 3, 4
"""DEGRADE_ABI and DEGRADE_CUDA_ABI of portable.h, raised with every change of a signature: a stale library or fatbin is
refused, not called with wrong arguments.
"""

LIBRARY_NAMES = ("libdegrade_host.so", "libdegrade_host.dylib", "degrade_host.dll")
FATBIN_NAME, FATBIN_SIDECAR = "degrade_cuda.fatbin", "degrade_cuda.json"
TWINS_VARIABLE = "DEGRADE_ENGINE_KERNELS"


class _pointer:
    """Where a numpy array's data is. The caller has seen to its dtype and layout."""

    @classmethod
    def from_param(cls, array: NDArray[Any]) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)


_int, _long, _word, _float = ctypes.c_int32, ctypes.c_int64, ctypes.c_uint32, ctypes.c_float
_SIGNATURES: dict[str, list[Any]] = {
    # counter, key low, key high, out, count
    "degrade_philox": [_pointer, _word, _word, _pointer, _long],
    # out, rows, elements, key low, key high, pairs, candidates, steps, threads
    "degrade_normals": [_pointer, _long, _long, _word, _word, _pointer, _pointer, _pointer, _int],
    # state, out, count
    "degrade_ziggurat": [_pointer, _pointer, _long],
    # x, eps, x0_prev, coefficients, clip, rows, elements, key low, key high, pairs, candidates, steps, threads
    "degrade_update": [_pointer] * 4 + [_int, _long, _long, _word, _word] + [_pointer] * 3 + [_int],
    # x, x_start, coefficients, rows, elements, key low, key high, pairs, candidates, threads
    "degrade_start": [_pointer, _pointer, _pointer, _long, _long, _word, _word, _pointer, _pointer, _int],
    # features, target, scores, rows, batch, elements, threads
    "degrade_squared_l2": [_pointer, _pointer, _pointer, _long, _long, _long, _int],
    # x, out, rows, elements, threads
    "degrade_finite": [_pointer, _pointer, _long, _long, _int],
    # degradation, content, finite, weight of each, out, count
    "degrade_score": [_pointer, _pointer, _pointer, _float, _float, _pointer, _long],
    # scores, kept, candidates, batch
    "degrade_choose": [_pointer, _pointer, _long, _long],
    # x, kept, out, batch, row bytes, threads
    "degrade_gather": [_pointer, _pointer, _pointer, _long, _long, _int],
    # source, out, tops, lefts, first, slots, images, channels, height, width, tile height, tile width, down, across,
    # threads
    "degrade_cut": [_pointer] * 4 + [_long] * 10 + [_int],
    # tiles, out, starts, cover and weights along y and x, images, channels, height, width, tile height, tile width,
    # down, across, threads
    "degrade_blend": [_pointer] * 8 + [_long] * 8 + [_int],
    # images, out, batch, pixels, threads
    "degrade_to_planar": [_pointer, _pointer, _long, _long, _int],
    "degrade_to_bytes": [_pointer, _pointer, _long, _long, _int],
    # image, out, spans and weights along x and y, height, width, height and width wanted, weights of a pixel along both
    "degrade_resize": [_pointer] * 6 + [_long] * 6,
    # rows, out, height, width, rows that were done
    "degrade_unfilter": [_pointer, _pointer, _long, _long, ctypes.POINTER(_long)],
    # image, out, height, width, size of what was written
    "degrade_png": [_pointer, _pointer, _long, _long, ctypes.POINTER(_long)],
}


@dataclass(frozen=True)
class Status:
    """What was found. path is None when nothing usable was; reason is one sentence either way, without a full
    stop, and says how to mend what is missing.
    """

    path: Path | None
    reason: str


def folders() -> list[Path]:
    """The folders of the package: the source folder and, in an editable install, the installed one."""
    return [Path(folder) for folder in sys.modules[__package__].__path__]


@lru_cache(maxsize=1)
def _load() -> tuple[ctypes.CDLL | None, Status]:
    if os.environ.get(TWINS_VARIABLE, "") == "numpy":
        return None, Status(None, f"numpy twins, because {TWINS_VARIABLE}=numpy is set")
    found = [folder / name for folder in folders() for name in LIBRARY_NAMES if (folder / name).is_file()]
    if not found:
        return None, Status(
            None,
            "numpy twins: no compiled library is installed; get a C++ compiler (g++, clang++) and install again",
        )
    path = found[0]
    try:
        library = ctypes.CDLL(str(path))
        library.degrade_abi.restype = _int
        abi = library.degrade_abi()
        if abi != ABI:
            return None, Status(
                None, f"numpy twins: {path} has interface {abi}, this release wants {ABI}; reinstall the package"
            )
        for name, arguments in _SIGNATURES.items():
            function = getattr(library, name)  # an older library may lack one
            function.argtypes, function.restype = arguments, None
    except (OSError, AttributeError) as error:
        return None, Status(None, f"numpy twins: {path} does not load ({error}); reinstall the package")
    return library, Status(path, f"compiled, {path}")


def library() -> ctypes.CDLL | None:
    """The loaded host library, or None when the numpy twins are to be used. Looked for once a process."""
    return _load()[0]


def available() -> bool:
    """Whether the compiled host kernels run."""
    return library() is not None


def status() -> Status:
    """Which implementation runs, from where, and why."""
    return _load()[1]


def cuda_binary() -> Path | None:
    """The fatbin that belongs to this release, or None when there is none; `cuda_status` says why."""
    return cuda_status().path


def cuda_status() -> Status:
    """Whether there is a fatbin, for which compute capabilities, and how to get one."""
    found = [folder / FATBIN_NAME for folder in folders() if (folder / FATBIN_NAME).is_file()]
    if not found:
        return Status(None, "no fatbin: none was built; put nvcc and a C++ compiler on PATH and install again")
    path = found[0]
    try:
        about = json.loads(path.with_name(FATBIN_SIDECAR).read_text(encoding="utf-8"))
        abi, nvcc, newest = int(about["abi"]), str(about["nvcc"]), _capability(about["ptx"])
        sass = ", ".join(_capability(number) for number in about["sass"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Status(None, f"no fatbin: {path.with_name(FATBIN_SIDECAR)} is unusable ({error!r}); install again")
    if abi != CUDA_ABI:
        return Status(None, f"no fatbin: {path} has interface {abi}, this release wants {CUDA_ABI}; install again")
    return Status(path, f"for SM {sass}, newer by PTX of {newest}, nvcc {nvcc}, {path}")


def _capability(number: int) -> str:
    """75 to "7.5", 120 to "12.0"."""
    return f"{number // 10}.{number % 10}"
