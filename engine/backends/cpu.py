"""What the backends of the CPU have in common: an engine's files are the bundle's own, and every CPU can be asked."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from ..cores import cores
from ..devices import Device, HostDevice
from ..errors import DegradeError
from . import Made, Order, copy


@dataclass(frozen=True)
class OnCpu:
    """Answers of a backend on the CPU that are the same whatever runs the networks; see backends.Backend."""

    fixed_batch: bool = False

    def make(self, order: Order) -> Made:
        return copy(order)

    def check(self, path: Path) -> None:
        pass  # its hash is the bundle's, which engine_spec compares

    def cannot_run(self, target: str | None) -> str:
        return ""

    def device(self, threads: int | None) -> Device:
        return HostDevice(threads or cores())


def refuse_target(title: str, target: str | None) -> None:
    """DegradeError where a CPU's backend is asked for a GPU's engine."""
    if target is not None:
        raise DegradeError(
            f"--target {target} was given, and {title}'s engine is for the CPU it is built on",
            mend="leave --target away, or build with --backend tensorrt-rtx",
        )


def cpu_key(runtime: str, version: str, settings: dict[str, str]) -> dict[str, object]:
    """The fields of EngineKey that this machine and its runtime decide; settings: those that change the result."""
    return {
        "runtime": runtime,
        "version": version,
        "settings": settings,
        "os": platform.system(),
        "machine": platform.machine(),
        "gpu": None,
        "cuda": None,
        "driver": None,
    }
