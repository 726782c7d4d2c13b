"""Finds the compiled host kernels, or says plainly why there are none.

The package works without them: every public function of `degrade_engine.kernels` has a numpy twin with the
same bits. The library lies beside this package. In an editable install that is a second folder of the
package's search path, so the whole path is looked at.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ABI = 1
"""Raised with every change of a C signature: a stale library is refused, not called with wrong arguments."""

LIBRARY_NAMES = ("libdegrade_host.so", "libdegrade_host.dylib", "degrade_host.dll")
TWINS_VARIABLE = "DEGRADE_ENGINE_KERNELS"

_pointer, _int, _long, _word = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_uint32
_SIGNATURES: dict[str, list] = {
    # counter, key low, key high, out, count
    "degrade_philox": [_pointer, _word, _word, _pointer, _long],
    # out, rows, elements, key low, key high, pairs, candidates, steps, threads
    "degrade_normals": [_pointer, _long, _long, _word, _word, _pointer, _pointer, _pointer, _int],
    # x, eps, x0_prev, coefficients, clip, rows, elements, key low, key high, pairs, candidates, steps,
    # threads
    "degrade_update": [
        _pointer,
        _pointer,
        _pointer,
        _pointer,
        _int,
        _long,
        _long,
        _word,
        _word,
        _pointer,
        _pointer,
        _pointer,
        _int,
    ],
    # x, x_start, coefficients, rows, elements, key low, key high, pairs, candidates, threads
    "degrade_start": [_pointer, _pointer, _pointer, _long, _long, _word, _word, _pointer, _pointer, _int],
    # features, target, scores, rows, batch, elements, threads
    "degrade_squared_l2": [_pointer, _pointer, _pointer, _long, _long, _long, _int],
    # images, out, batch, pixels, threads
    "degrade_to_planar": [_pointer, _pointer, _long, _long, _int],
    "degrade_to_bytes": [_pointer, _pointer, _long, _long, _int],
}


@dataclass(frozen=True)
class Status:
    """Which implementation runs. path is None when the numpy twins do; reason is one sentence either way."""

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
            "numpy twins: no compiled library is installed; `pip install .` builds it with a C++ compiler",
        )
    path = found[0]
    try:
        library = ctypes.CDLL(str(path))
        library.degrade_abi.restype = _int
        abi = library.degrade_abi()
    except (OSError, AttributeError) as error:
        return None, Status(None, f"numpy twins: {path} does not load ({error}); reinstall the package")
    if abi != ABI:
        return None, Status(
            None, f"numpy twins: {path} has interface {abi}, this release wants {ABI}; reinstall the package"
        )
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
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
