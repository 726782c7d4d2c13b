"""What a backend is: seven questions that `build`, `verify` and `Engine.open` ask, whatever runs the networks.

Each backend is a page of its own: `onnxruntime.py`, `openvino.py`, `tensorrt.py`. Nothing here
or there imports a runtime before it is asked.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from ...kernels import loader
from .. import doctor
from ..devices import Device
from ..errors import DegradeError
from ..executors import Executor
from ..spec import PartSpec, Precision
from .tensorrt_plan import PlanProof

BackendName = Literal["onnxruntime", "openvino", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt", "tensorrt-rtx"]
BACKENDS: tuple[str, ...] = ("auto", *get_args(BackendName))
ON_A_GPU: tuple[BackendName, ...] = ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda")
"""What `auto` tries on a machine with a GPU, in this order, before the CPU."""


@dataclass(frozen=True)
class Accepted:
    """What a backend will do with a request. computed: the precision in which it computes; source: that of the
    bundle's files it takes; target: "sm_89", None on a CPU; notes: sentences for the user.
    """

    computed: Precision
    source: Precision
    target: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """One part to be made. source: the bundle's ONNX file in the accepted precision, checked against its hash;
    folder: where the file goes; rows, lr_size: the batch and the side of an LR image in pixels.
    """

    name: str
    part: PartSpec
    source: Path
    folder: Path
    rows: int
    lr_size: int
    accepted: Accepted


@dataclass(frozen=True)
class Made:
    """A file of the engine, within its folder. proof: of the plan's precision, None where nothing was compiled."""

    file: str
    proof: PlanProof | None = None


class Backend(Protocol):
    """The contract. Every refusal is a DegradeError of one sentence. fixed_batch: a part can be opened only at the
    number of rows it was made for.
    """

    @property
    def fixed_batch(self) -> bool: ...

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        """Whether an engine can be built here for the target (None: this machine), and how."""
        ...

    def here(self, target: str | None) -> dict[str, object]:
        """The fields of EngineKey that this machine and its runtime decide, for an engine of that target."""
        ...

    def make(self, order: Order) -> Made:
        """Writes the part's file into the folder."""
        ...

    def check(self, path: Path) -> None:
        """DegradeError unless a file of the engine is of the backend's kind."""
        ...

    def cannot_run(self, target: str | None) -> str:
        """Why an engine of that target (None: of this machine) cannot run here: one clause without a full stop; "" if
        it can.
        """
        ...

    def device(self, threads: int | None) -> Device:
        """The device that its executors read and write; the caller closes it. threads: of the host's kernels."""
        ...

    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        """The executor of a part at that many rows, on that device. precision: the engine's, for a backend that does
        not read it from the file."""
        ...


def copy(order: Order) -> Made:
    """The bundle's own file, as it is."""
    file = f"{order.name}.onnx"
    with open(order.source, "rb") as reader, open(order.folder / file, "wb") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())
    return Made(file)


def refuse_bf16(name: str, precision: Precision) -> None:
    """DegradeError where a backend without bf16 is asked for it."""
    if precision == "bf16":
        raise DegradeError(f"The backend {name} does not compute in bf16", wanted="--backend openvino, or another "
                           "precision")  # fmt: skip


def gpu_key(target: str | None) -> dict[str, object]:
    """The fields of EngineKey that say on which machine and GPU; null where the target's GPU is not here."""
    gpus = doctor.nvidia()
    gpu = next((gpu for gpu in gpus.devices if gpu.sm == target), None)
    return {
        "os": platform.system(),
        "machine": platform.machine(),
        "gpu": gpu and gpu.name,
        "cuda": gpus.cuda if gpu else None,
        "driver": gpus.driver if gpu else None,
    }


def best(precision: Precision) -> BackendName:
    """What `auto` is here: the first of ON_A_GPU that can build and run, else the CPU's. `doctor` has the reasons."""
    if precision == "bf16":
        return "openvino"
    for name in ON_A_GPU if doctor.nvidia().devices else ():
        try:
            accepted = named(name).accept(precision, None)
        except DegradeError:
            continue
        if not named(name).cannot_run(accepted.target):
            return name
    return "onnxruntime"


def gpu_refusal(title: str, packages: tuple[str, ...], extra: str, target: str | None) -> str:
    """Why what needs these packages and CudaDevice cannot run on that target here, as `Backend.cannot_run`."""
    gpus = doctor.nvidia()
    if not gpus.devices:
        return f"{title} needs an NVIDIA GPU, and there is none here: {gpus.reason}"
    if target is not None and target not in [gpu.sm for gpu in gpus.devices]:
        return f"the engine is for {target} and the GPU here is {gpus.devices[0].name}, {gpus.devices[0].sm}"
    absent = [name for name in (*packages, "pycuda", "cuda-bindings") if doctor.version_of(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed: pip install 'degrade-engine[{extra}]'"
    fatbin = loader.cuda_status()
    return "" if fatbin.path else fatbin.reason


def named(name: str) -> Backend:
    """The backend of that name. DegradeError for one that does not exist."""
    from .onnxruntime import OnnxRuntimeCpu, OnnxRuntimeGpu
    from .openvino import OpenVino
    from .tensorrt import TensorRT
    from .tensorrt_plan import CLASSIC, RTX

    made: dict[str, Callable[[], Backend]] = {
        "onnxruntime": OnnxRuntimeCpu,
        "openvino": OpenVino,
        "onnxruntime-cuda": lambda: OnnxRuntimeGpu("onnxruntime-cuda", "CUDAExecutionProvider"),
        "onnxruntime-tensorrt": lambda: OnnxRuntimeGpu("onnxruntime-tensorrt", "TensorrtExecutionProvider"),
        "tensorrt": lambda: TensorRT(CLASSIC),
        "tensorrt-rtx": lambda: TensorRT(RTX),
    }
    if name not in made:
        raise DegradeError(f"The backend is {name!r}", wanted=f"one of {', '.join(BACKENDS)}")
    return made[name]()
