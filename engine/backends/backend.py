"""What a backend is: facts about it, and the questions that `build`, `verify`, `Engine.open` and `doctor` ask.

Each backend is a page of its own: `onnxruntime.py`, `openvino.py`, `tensorrt.py`; `cpu.py` and `gpu.py` hold what those
of a CPU and of a GPU share. None of them imports a runtime before it is asked.
"""

from __future__ import annotations

import os
import platform
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import machine
from ..devices import Device
from ..executors import Executor
from ..spec import PartSpec, Precision
from .int8 import Feed
from .tensorrt_plan import PlanProof


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
    folder: where the file goes; rows, lr_size: the batch and the side of an LR image in pixels; feeds: makes what the
    part reads on photographs, row by row, for a backend that calibrates it.
    """

    name: str
    part: PartSpec
    source: Path
    folder: Path
    rows: int
    lr_size: int
    accepted: Accepted
    feeds: Callable[[], Sequence[Feed]] = tuple


@dataclass(frozen=True)
class Made:
    """A file of the engine, within its folder. proof: of the plan's precision, None where nothing was compiled."""

    file: str
    proof: PlanProof | None = None


@dataclass(frozen=True)
class Runtime:
    """The package that runs the networks, its whole version, and the settings that change what it computes."""

    package: str
    version: str
    settings: dict[str, str]


class Backend(ABC):
    """The facts stand first in each backend's page, once. Every refusal is a DegradeError of one sentence."""

    name: str
    """As `--backend` and engine.json have it."""
    title: str
    """As sentences have it."""
    extra: str
    """`pip install 'degrade-engine[EXTRA]'` installs all that it needs to run."""
    needs: Mapping[str, str] = {}
    """Packages that it needs to run, each with the module that has to load; "" where installed is enough."""
    precisions: tuple[Precision, ...]
    """Those that `build` may ask it for."""
    special: Mapping[Precision, dict[str, str]] = {}
    """Settings of engines that compute in a precision, beyond those of `runtime`."""
    gpu = False
    """Whether it runs on an NVIDIA GPU."""
    builds_with: tuple[str, ...] = ()
    """Those of `needs` with which it builds for a GPU that need not be here; () where it builds only here."""
    fixed_batch = False
    """Whether a part can be opened only at the number of rows that it was made for."""

    @abstractmethod
    def accept(self, precision: Precision, target: str | None) -> Accepted:
        """Whether an engine can be built here for the target (None: this machine), and how. precision: one of
        `precisions`."""

    @abstractmethod
    def runtime(self) -> Runtime:
        """What would run here. DegradeError where it is not installed."""

    @abstractmethod
    def device(self, threads: int | None) -> Device:
        """The device that its executors read and write; the caller closes it. threads: of the host's kernels."""

    @abstractmethod
    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        """The executor of a part at that many rows, on that device. precision: the engine's, for a backend that does
        not read it from the file."""

    def make(self, order: Order) -> Made:
        """Writes the part's file into the folder; unless a backend compiles, it is the bundle's own, as it is."""
        file = f"{order.name}.onnx"
        with open(order.source, "rb") as reader, open(order.folder / file, "wb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
        return Made(file)

    def check(self, path: Path) -> None:  # noqa: B027  # the hash is the bundle's, which engine_spec compares
        """DegradeError unless a file of the engine is of the backend's kind."""

    def here(self, target: str | None, precision: Precision = "fp32") -> dict[str, object]:
        """The fields of EngineKey that this machine and its runtime decide, for an engine that computes in the
        precision. Those of a GPU are null for an engine of the CPU, and where the target's GPU is not here."""
        runtime, gpus = self.runtime(), machine.nvidia() if self.gpu else machine.Gpus()
        gpu = next((gpu for gpu in gpus.devices if gpu.sm == target), None)
        return {
            "runtime": runtime.package,
            "version": runtime.version,
            "settings": runtime.settings | self.special.get(precision, {}),
            "os": platform.system(),
            "machine": platform.machine(),
            "gpu": gpu and gpu.name,
            "cuda": gpus.cuda if gpu else None,
            "driver": gpus.driver if gpu else None,
        }

    def missing(self) -> Iterator[str]:
        """Every reason why it does not run on this machine, one clause each without a full stop."""
        yield from self._unusable(self.needs)

    def cannot_run(self, target: str | None) -> str:
        """Why an engine of that target (None: of this machine) cannot run here: the first reason; "" if it can."""
        return next(self.missing(), "")

    def builds_ahead(self) -> bool:
        """Whether it builds on this machine for a GPU that need not be here."""
        return bool(self.builds_with) and not any(self._unusable(self.builds_with))

    def _unusable(self, names: Collection[str]) -> Iterator[str]:
        """What is wrong with these of its packages."""
        absent = [name for name in names if machine.version_of(name) is None]
        if absent:
            yield f"{', '.join(absent)} not installed: {self.install}"
        for name in names:
            if self.needs[name] and name not in absent and (error := machine.load_error(self.needs[name])):
                yield f"{name} does not load: {error}"

    @property
    def install(self) -> str:
        """The command that installs what it needs."""
        return f"pip install 'degrade-engine[{self.extra}]'"
