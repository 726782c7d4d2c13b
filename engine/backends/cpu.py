"""What the backends of the CPU have in common."""

from __future__ import annotations

from ..cores import cores
from ..devices import Device, HostDevice
from ..errors import DegradeError
from ..spec import Precision
from .backend import Accepted, Backend


class OnCpu(Backend):
    """Answers that are the same whatever runs the networks on the CPU. It takes the bundle's FP32 files."""

    without_half: str
    """Why fp16 is computed in FP32: a clause."""

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        if target is not None:
            fact = f"--target {target} was given, and {self.title}'s engine is for the CPU it is built on"
            raise DegradeError(fact, mend="leave --target out, or build with --backend tensorrt-rtx")
        if precision == "fp16":
            note = f"fp16 was asked for, and this engine computes in FP32: {self.without_half}."
            return Accepted("fp32", "fp32", notes=(note,))
        return Accepted(precision, "fp32")

    def device(self, threads: int | None) -> Device:
        return HostDevice(threads or cores())
