"""What this machine can run, and why not the rest.

`look` collects facts, `diagnose` turns them into lines; between them lies a plain `Machine`, so that every
finding can be tested on any machine. Nothing here may fail because something is missing: missing is the
finding. For the same reason the file imports no image library and no network runtime before it looks for
them.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from ..kernels import loader
from .errors import DegradeError

State = Literal["ok", "missing", "broken"]
DISTRIBUTION = "degrade-engine"

# The base packages that come with a library of their own: installed is not enough, they must load.
LOADS = {"numpy": "numpy", "opencv-python-headless": "cv2", "pyvips": "pyvips", "pillow": "PIL.Image"}
# Likewise of backends that not everyone has; looked at only where they are installed.
LOADS_IF_INSTALLED = {
    "openvino": "openvino", "pycuda": "pycuda.driver", "cuda-bindings": "cuda.bindings.driver", "tensorrt": "tensorrt",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One finding. section: machine, package, kernels or backend; text: one clause, no full stop."""

    section: str
    name: str
    state: State
    text: str


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


@dataclass(frozen=True)
class Machine:
    """The facts. required: extra ("" is the base) to its packages; installed: package to version; failures:
    package to the first line of the error when it was loaded; providers: ONNX Runtime's, None where it does
    not load.
    """

    python: str
    cpu: str
    gpus: Gpus
    kernels: loader.Status
    fatbin: loader.Status
    required: Mapping[str, tuple[str, ...]]
    installed: Mapping[str, str]
    failures: Mapping[str, str]
    providers: tuple[str, ...] | None


@dataclass(frozen=True)
class Backend:
    """What a backend of `build` needs to run. provider: of ONNX Runtime. ahead: the module that builds for it without
    a GPU, with the packages `builds_with`; "" where none does.
    """

    name: str
    extra: str
    packages: tuple[str, ...]
    provider: str = ""
    gpu: bool = True
    ahead: str = ""
    builds_with: tuple[str, ...] = ()


CUDA = ("pycuda", "cuda-bindings")
BACKENDS = (
    Backend("onnxruntime", "cpu", (), "CPUExecutionProvider", gpu=False),
    Backend("openvino", "openvino", ("openvino",), gpu=False),
    Backend("onnxruntime-cuda", "gpu", ("onnxruntime-gpu", *CUDA), "CUDAExecutionProvider"),
    Backend("onnxruntime-tensorrt", "gpu", ("onnxruntime-gpu", "tensorrt", *CUDA), "TensorrtExecutionProvider"),
    Backend("tensorrt", "gpu", ("tensorrt", "polygraphy", *CUDA)),
    Backend(
        "tensorrt-rtx", "rtx,cuda", ("tensorrt-rtx", "polygraphy", *CUDA), ahead="tensorrt_rtx",
        builds_with=("tensorrt-rtx", "polygraphy"),
    ),
)  # fmt: skip


def look() -> Machine:
    """The facts of this machine. Imports ONNX Runtime and the image libraries, not torch."""
    required = packages_by_extra(metadata.requires(DISTRIBUTION) or [])
    installed = {name: found for names in required.values() for name in names if (found := version_of(name))}
    failures = {name: error for name, module in LOADS.items() if (error := load_error(module))}
    providers: tuple[str, ...] | None = None
    if error := load_error("onnxruntime"):
        failures["onnxruntime"] = error
    else:
        providers = tuple(importlib.import_module("onnxruntime").get_available_providers())
    for backend in BACKENDS:
        if backend.ahead and set(backend.builds_with) <= set(installed) and (error := load_error(backend.ahead)):
            failures[backend.packages[0]] = error
    for name, module in LOADS_IF_INSTALLED.items():
        if name in installed and (error := load_error(module)):
            failures[name] = error
    return Machine(
        platform.python_version(),
        cpu_text(),
        nvidia(),
        loader.status(),
        loader.cuda_status(),
        required,
        installed,
        failures,
        providers,
    )


def diagnose(machine: Machine) -> list[Line]:
    """All findings, in the order in which they are printed."""
    gpus = machine.gpus
    lines = [
        Line("machine", "Python", "ok", machine.python),
        Line("machine", "CPU", "ok", machine.cpu),
        *(
            Line("machine", "GPU", "ok", f"{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, SM {gpu.compute}")
            for gpu in gpus.devices
        ),
    ]
    if gpus.devices:
        lines.append(Line("machine", "driver", "ok", f"{gpus.driver}, CUDA up to {gpus.cuda}"))
    else:
        lines.append(Line("machine", "GPU", "missing", f"none that can be used: {gpus.reason}"))
    for extra, names in machine.required.items():
        lines += [package_line(machine, extra, name) for name in names]
    for name, found in (("host", machine.kernels), ("CUDA", machine.fatbin)):
        lines.append(Line("kernels", name, "ok" if found.path else "missing", found.reason))
    return lines + [backend_line(machine, backend) for backend in BACKENDS]


def works(lines: list[Line]) -> bool:
    """Whether at least one backend runs here."""
    return any(line.section == "backend" and line.state == "ok" for line in lines)


def package_line(machine: Machine, extra: str, name: str) -> Line:
    label = f"{name} [{extra}]" if extra else name
    if name not in machine.installed:
        wanted = f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
        return Line("package", label, "missing", f"not installed: pip install '{wanted}'")
    if name in machine.failures:
        return Line("package", label, "broken", f"{machine.installed[name]} does not load: {machine.failures[name]}")
    return Line("package", label, "ok", machine.installed[name])


def backend_line(machine: Machine, backend: Backend) -> Line:
    """Runs here, or every reason why not."""
    reasons = []
    if backend.gpu and not machine.gpus.devices:
        reasons.append("no NVIDIA GPU")
    if backend.gpu and machine.fatbin.path is None:
        reasons.append(machine.fatbin.reason)
    broken = [name for name in backend.packages if name in machine.failures]
    if broken:
        reasons.append(f"{broken[0]} does not load: {machine.failures[broken[0]]}")
    absent = [name for name in backend.packages if name not in machine.installed]
    if absent:
        reasons.append(f"{', '.join(absent)} missing: pip install '{DISTRIBUTION}[{backend.extra}]'")
    elif backend.provider and machine.providers is None:
        failure = machine.failures.get("onnxruntime", "not installed")
        mend = f"pip install '{DISTRIBUTION}[{backend.extra}]'"
        reasons.append(f"ONNX Runtime does not load ({failure}): {mend}")
    elif backend.provider and backend.provider not in (machine.providers or ()):
        reasons.append(f"this ONNX Runtime has no {backend.provider}")
    if reasons:
        text = "; ".join(reasons)
        builds = set(backend.builds_with) <= set(machine.installed) - set(machine.failures)
        if backend.ahead and builds:
            text = f"builds ahead of time (build --target); does not run here: {text}"
        return Line("backend", backend.name, "missing", text)
    device = machine.gpus.devices[0].name if backend.gpu else "the CPU"
    return Line("backend", backend.name, "ok", f"runs on {device}")


# ---------------------------------------------------------------------------------------------- looking


def packages_by_extra(requirements: list[str]) -> dict[str, tuple[str, ...]]:
    """Requirement lines of the package's metadata, as extra ("" is the base) to package names, in their
    order.
    """
    found: dict[str, list[str]] = {}
    for line in requirements:
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", line)
        if name:
            found.setdefault(extra.group(1) if extra else "", []).append(name.group(0).lower())
    return {extra: tuple(names) for extra, names in found.items()}


def version_of(name: str) -> str | None:
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
