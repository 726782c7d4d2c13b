"""What is on this machine: the processor, NVIDIA GPUs, packages. Each is looked for when it is asked for, and that
something is missing is an answer.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import DegradeError


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as NVML names it. compute: "9.0"; memory_bytes: of the whole device."""

    name: str
    compute: str
    memory_bytes: int

    @property
    def sm(self) -> str:
        """The name of a target: "8.9" as "sm_89"."""
        return "sm_" + self.compute.replace(".", "")


@dataclass(frozen=True)
class Gpus:
    """What NVML says. reason: why there are none, "" when there are; cuda: the newest CUDA that the driver
    runs.
    """

    devices: tuple[Gpu, ...] = ()
    driver: str = ""
    cuda: str = ""
    reason: str = ""


def version_of(name: str) -> str | None:
    """Of an installed package; None where it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def target_of(text: str) -> str:
    """The target, "sm_89", that "sm_89", "SM89", "8.9" or "89" means. DegradeError for anything else."""
    match = re.fullmatch(r"(?:sm_?)?(\d{1,2})\.?(\d)", text.strip().lower())
    if match is None:
        raise DegradeError(f"The target is {text!r}", wanted="the GPU's compute capability, such as sm_89")
    return f"sm_{match.group(1)}{match.group(2)}"


def load_error(module: str) -> str:
    """Why the module cannot be imported, in one line; "" when it can."""
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken native library may raise anything; that it does is the finding
        lines = str(error).strip().splitlines()
        return lines[0] if lines else type(error).__name__
    return ""


def cpu_text() -> str:
    """Cores that this process may use, and the processor's name where the system tells it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.is_file() else []
    return f"{cores} cores, {names[0] if names else platform.machine()}"


def nvidia() -> Gpus:
    """The NVIDIA GPUs of this machine, through the driver's own library (what nvidia-smi asks)."""
    try:
        nvml = ctypes.CDLL("nvml.dll" if os.name == "nt" else "libnvidia-ml.so.1")
    except OSError:
        return Gpus(reason="no NVIDIA driver is installed")
    return read_nvml(nvml)


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_uint64), ("free", ctypes.c_uint64), ("used", ctypes.c_uint64)]


def read_nvml(nvml: Any) -> Gpus:
    """What a loaded NVML says. A call that is refused ends the listing and is named in `reason`."""

    def call(function: str, *arguments: Any) -> None:
        code = getattr(nvml, function)(*arguments)
        if code != 0:
            raise OSError(f"{function} answered {code}")

    devices: list[Gpu] = []
    text, number, other = ctypes.create_string_buffer(128), ctypes.c_int(), ctypes.c_int()
    count, memory = ctypes.c_uint(), _Memory()
    try:
        call("nvmlInit_v2")
        call("nvmlSystemGetDriverVersion", text, 128)
        driver = text.value.decode()
        call("nvmlSystemGetCudaDriverVersion", ctypes.byref(number))
        cuda = f"{number.value // 1000}.{number.value % 1000 // 10}"
        call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        for index in range(count.value):
            handle = ctypes.c_void_p()
            call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
            call("nvmlDeviceGetName", handle, text, 128)
            call("nvmlDeviceGetCudaComputeCapability", handle, ctypes.byref(number), ctypes.byref(other))
            call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
            devices.append(Gpu(text.value.decode(), f"{number.value}.{other.value}", memory.total))
        call("nvmlShutdown")
    except (OSError, AttributeError) as error:
        return Gpus(tuple(devices), reason=f"the NVIDIA driver does not answer ({error})")
    return Gpus(tuple(devices), driver, cuda, "" if devices else "the NVIDIA driver finds no device")
