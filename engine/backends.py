"""What a backend is: six questions that `build`, `verify` and `Engine.open` ask, whatever runs the networks.

Each backend is a page of its own: `backend_onnxruntime.py`, `backend_tensorrt.py`. Nothing here or there
imports a runtime before it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from .errors import DegradeError
from .executor import Executor
from .spec import PartSpec, Precision
from .tensorrt import PlanProof

BackendName = Literal["onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt", "tensorrt-rtx"]
BACKENDS: tuple[str, ...] = ("auto", *get_args(BackendName))


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
    """The contract. Every refusal is a DegradeError of one sentence."""

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
        """Why an engine of that target cannot run here: one clause without a full stop; "" if it can."""
        ...

    def open(self, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None) -> Executor:
        """The executor of a part at that many rows."""
        ...


def named(name: str) -> Backend:
    """The backend of that name. DegradeError for one that does not exist or is not in this release."""
    from .backend_onnxruntime import OnnxRuntimeCpu
    from .backend_tensorrt import TensorRT
    from .tensorrt import CLASSIC, RTX

    if name not in BACKENDS:
        raise DegradeError(f"The backend is {name!r}", wanted=f"one of {', '.join(BACKENDS)}")
    made: dict[str, Callable[[], Backend]] = {
        # auto: the fastest that can run here. No GPU executor is in this release.
        "auto": OnnxRuntimeCpu,
        "onnxruntime": OnnxRuntimeCpu,
        "tensorrt": lambda: TensorRT(CLASSIC),
        "tensorrt-rtx": lambda: TensorRT(RTX),
    }
    if name not in made:
        raise DegradeError(
            f"This release does not contain the executor of the backend {name}",
            wanted="--backend onnxruntime (CPU), or auto",
            mend="build with --backend onnxruntime, or take a release that has it",
        )
    return made[name]()
