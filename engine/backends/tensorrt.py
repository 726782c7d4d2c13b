"""TensorRT and TensorRT-RTX as backends: what can be built where, the proof of Half, and the plan on a CudaDevice.

TensorRT-RTX compiles ahead of time, on a machine without a GPU, for a named target; the classic TensorRT
compiles on the GPU that will run the plan. A plan has one batch size. No GPU has run one yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .. import doctor
from ..artefact import cache_folder, write_bytes_atomic
from ..devices import Device
from ..doctor import Gpus, target_of, version_of
from ..errors import DegradeError
from ..executors import Executor
from ..executors.tensorrt import TensorRTExecutor
from ..spec import PartSpec, Precision
from . import Accepted, Made, Order, gpu_key, gpu_refusal, refuse_bf16
from .tensorrt_plan import (
    CLASSIC,
    OPTIMISATION_LEVEL,
    RTX,
    Flavour,
    PlanProof,
    compile_plan,
    load,
    parse,
    prove,
    targets,
)


@dataclass(frozen=True)
class TensorRT:
    """The backends `tensorrt` and `tensorrt-rtx`; see backends.Backend for what each answers."""

    flavour: Flavour
    fixed_batch: bool = True

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        refuse_bf16(self.flavour.package, precision)
        self._installed()
        gpus = doctor.nvidia()
        if self.flavour is CLASSIC:
            if not gpus.devices:
                raise DegradeError(
                    f"TensorRT builds on the GPU that will run the engine, and there is none here: {gpus.reason}",
                    mend="build on that machine; --backend tensorrt-rtx builds for RTX cards without one",
                )
            if target is not None and target_of(target) != gpus.devices[0].sm:
                raise DegradeError(
                    f"--target {target} was given and the GPU here is {gpus.devices[0].sm}",
                    wanted="none: TensorRT builds for the GPU that is here",
                )
            return Accepted(precision, precision, gpus.devices[0].sm)
        known = targets(load(RTX))
        if target is None and not gpus.devices:
            raise DegradeError(
                "There is no GPU here to build for, and no --target was given", wanted=f"one of {', '.join(known)}"
            )
        chosen = target_of(target) if target is not None else gpus.devices[0].sm
        if chosen not in known:
            hopper = " (Hopper is no RTX card: build with --backend tensorrt there)" if chosen == "sm_90" else ""
            raise DegradeError(
                f"TensorRT-RTX {version_of(RTX.package)} does not build for {chosen}{hopper}",
                wanted=f"one of {', '.join(known)}",
            )
        return Accepted(precision, precision, chosen, self._ahead(chosen, gpus))

    def _ahead(self, target: str, gpus: Gpus) -> tuple[str, ...]:
        if any(gpu.sm == target for gpu in gpus.devices):
            return ()
        return (f"Built ahead of time for {target}: run `degrade-engine verify` on the machine that will use it.",)

    def here(self, target: str | None) -> dict[str, object]:
        runtime = {"runtime": self.flavour.package, "version": self._installed(), "settings": self._settings()}
        return runtime | gpu_key(target)

    def make(self, order: Order) -> Made:
        flavour, precision = self.flavour, order.accepted.computed
        parsed = parse(flavour, order.source)
        shapes = {i.name: i.resolve(order.rows, order.lr_size, order.lr_size) for i in order.part.inputs}
        if set(shapes) != set(parsed.inputs()):
            raise DegradeError(
                f"{order.source.name} has the inputs {sorted(parsed.inputs())}",
                wanted=str(sorted(shapes)),
                mend="export the bundle again",
            )
        # The FP32 islands alone make no FP16 network: refused before minutes of compilation.
        counts = prove(parsed, b"", 0)
        check_typing(order, counts)
        target = order.accepted.target if flavour is RTX else None
        plan = compile_plan(parsed, flavour, shapes, target, self._timing_cache())
        proof = prove(parsed, plan, order.source.stat().st_size)
        if precision == "fp16" and proof.half and not (proof.smaller or proof.found):
            raise DegradeError(
                f"{order.name}: the plan cannot be shown to be FP16: of {proof.half_kernel_bytes} bytes of Half "
                f"kernels it holds {proof.found_bytes}, and it has {proof.plan_bytes} bytes",
                wanted=f"the kernels themselves, or less than the {2 * proof.half_kernel_bytes} bytes of them in FP32",
                mend=f"report it with the version of {flavour.package}",
            )
        file = f"{order.name}.plan"
        write_bytes_atomic(order.folder / file, plan)
        self.check(order.folder / file)
        return Made(file, proof)

    def check(self, path: Path) -> None:
        with open(path, "rb") as file:
            begins = file.read(len(self.flavour.magic))
        if begins != self.flavour.magic:
            raise DegradeError(
                f"{path} is no plan of {self.flavour.title}: it begins with {begins!r}",
                wanted=repr(self.flavour.magic),
                mend="build the engine again",
            )

    def cannot_run(self, target: str | None) -> str:
        extra = "gpu" if self.flavour is CLASSIC else f"{self.flavour.extra},cuda"
        return gpu_refusal(self.flavour.title, (self.flavour.package, "polygraphy"), extra, target)

    def device(self, threads: int | None) -> Device:
        from ..devices.cuda import CudaDevice

        return CudaDevice.open()

    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        self.check(path)
        trt = load(self.flavour)
        return TensorRTExecutor(
            trt, trt.Logger(trt.Logger.ERROR), path, part, batch=rows, height=lr_size, width=lr_size,
            scratch=device.scratch,  # type: ignore[attr-defined]  # a CudaDevice, from `device` above
        )  # fmt: skip

    def _installed(self) -> str:
        """The full version. DegradeError with the extra if the package is not there."""
        version = version_of(self.flavour.package)
        if version is None:
            raise DegradeError(
                f"The backend {self.flavour.name} needs the package {self.flavour.package}, which is not installed",
                mend=f"pip install 'degrade-engine[{self.flavour.extra}]'",
            )
        return version

    def _settings(self) -> dict[str, str]:
        return {
            "network": "strongly typed",
            "profile": "min = opt = max",
            "tf32": "false",
            "max_aux_streams": "0",
            "optimisation_level": str(OPTIMISATION_LEVEL),
            "polygraphy": version_of("polygraphy") or "not installed",
        }

    def _timing_cache(self) -> Path | None:
        """One file a GPU and version, in the user's cache folder; None for TensorRT-RTX, which times nothing."""
        gpus = doctor.nvidia()
        if self.flavour is RTX or not gpus.devices:
            return None
        name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{gpus.devices[0].name} {self._installed()} {gpus.driver}")
        return cache_folder() / f"timing-{name}.cache"


def check_typing(order: Order, counts: PlanProof) -> None:
    """DegradeError if the parsed network's convolutions are not what the precision says."""
    asked, source = order.accepted.computed, order.source.name
    if asked == "fp16" and counts.convolutions and not counts.half:
        raise DegradeError(
            f"{order.name}: fp16 was asked for, and none of the {counts.convolutions} convolutions of {source} is Half",
            wanted="an FP16-typed network: no builder flag makes one of an FP32 network",
            mend="export the bundle again with fp16, or build with --precision fp32",
        )
    if asked == "fp32" and counts.half:
        raise DegradeError(
            f"{order.name}: fp32 was asked for, and {counts.half} of the {counts.convolutions} convolutions of "
            f"{source} are Half",
            mend="export the bundle again",
        )
