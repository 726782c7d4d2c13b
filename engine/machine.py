"""What is on this machine: the processor, NVIDIA GPUs, packages. Each is looked for when it is asked for, and that
something is missing is an answer.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from .errors import DegradeError

CPU_FLAGS = {
    "amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX VNNI",
    "avx512f": "AVX-512", "avx2": "AVX2",
}  # fmt: skip
BF16 = ("AMX", "AVX-512 BF16")  # either multiplies in bf16
VNNI = ("AVX-512 VNNI", "AVX VNNI")  # either multiplies bytes


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as NVML names it. compute: "9.0"; memory_bytes: of the whole device, None where it has none of its
    own (unified memory)."""

    name: str
    compute: str
    memory_bytes: int | None

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


def two_onnxruntimes() -> str:
    """A sentence where both packages of ONNX Runtime are installed, else "". pip does not see it."""
    if not (version_of("onnxruntime") and version_of("onnxruntime-gpu")):
        return ""
    return (
        "onnxruntime and onnxruntime-gpu are both installed. They write to the same folder, and the one that came last "
        "is what runs. Mend it: pip uninstall -y onnxruntime onnxruntime-gpu, then pip install "
        "'degrade-engine[onnxruntime-cuda]' for a GPU, or 'degrade-engine[cpu]'."
    )


@cache
def trial(code: str) -> str:
    """Why this Python code does not run, in one line; "" if it does. In a process of its own, so that a library that
    crashes is a finding, and no GPU's memory stays taken. Once a process."""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "it has not answered for five minutes"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    library = re.search(r"\blib[\w.+-]+: cannot open shared object file", done.stderr)
    said = re.sub(r"^[\w.]*Error: ", "", lines[-1]) if lines else f"it ended with {done.returncode}"
    return f"{said} ({library[0]})" if library and library[0] not in said else said


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_text() -> str:
    """Cores that this process may use, and the processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.is_file() else []
    return f"{cpu_count()} cores, {names[0] if names else platform.machine()}"


def cpu_features() -> tuple[str, ...]:
    """The processor's instructions that matter here, the fastest first. None where the system does not tell."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^flags\s*:\s*(.+)$", info.read_text(), re.M) if info.is_file() else None
    flags = set(found[1].split()) if found else set()
    return tuple(name for flag, name in CPU_FLAGS.items() if flag in flags)


def nvidia() -> Gpus:
    """The NVIDIA GPUs of this machine, through the driver's own library (what nvidia-smi asks). A call that is refused
    ends the listing and is named in `reason`."""
    try:
        import pynvml
    except ImportError:  # `doctor` runs where packages are missing
        return Gpus(reason="the package nvidia-ml-py is not installed")
    devices: list[Gpu] = []
    try:
        pynvml.nvmlInit()
        driver, cuda = pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetCudaDriverVersion()
        for index in range(pynvml.nvmlDeviceGetCount()):
            gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(gpu)
            try:
                memory = pynvml.nvmlDeviceGetMemoryInfo(gpu).total
            except pynvml.NVMLError_NotSupported:
                memory = None
            devices.append(Gpu(pynvml.nvmlDeviceGetName(gpu), f"{major}.{minor}", memory))
        pynvml.nvmlShutdown()
    except pynvml.NVMLError_LibraryNotFound:
        return Gpus(reason="no NVIDIA driver is installed")
    except pynvml.NVMLError as error:
        return Gpus(tuple(devices), reason=f"the NVIDIA driver does not answer ({error})")
    reason = "" if devices else "the NVIDIA driver finds no device"
    return Gpus(tuple(devices), driver, f"{cuda // 1000}.{cuda % 1000 // 10}", reason)
