"""TensorRT and TensorRT-RTX as backends: what can be built where, the proof of Half, and the plan on a CudaDevice.

TensorRT-RTX compiles ahead of time, on a machine without a GPU, for a named target; the classic TensorRT
compiles on the GPU that will run the plan. A plan has one batch size. No GPU has run one yet.
"""

from __future__ import annotations

import re
from pathlib import Path

from .. import machine
from ..artefact import cache_folder, sha256_file, write_bytes_atomic
from ..devices import Device
from ..errors import DegradeError
from ..executors import Executor
from ..executors.tensorrt import TensorRTExecutor
from ..spec import QUANTISED, PartSpec, Precision, source_of
from .backend import Accepted, Made, Order, Runtime
from .gpu import CUDA, OnGpu
from .tensorrt_plan import (
    CLASSIC,
    OPTIMISATION_LEVEL,
    RTX,
    Flavour,
    PlanProof,
    compile_plan,
    largest,
    load,
    parse,
    prove,
    targets,
)

MOST_ELEMENTS = 2**31
"""Of one tensor: TensorRT counts them in 32 bits with a sign."""
POLYGRAPHY = {"polygraphy": ""}
"""As `Backend.needs`. It is not loaded to see whether it loads: that would settle the flavour of this process."""


class TensorRT(OnGpu):
    """The classic TensorRT."""

    flavour: Flavour = CLASSIC
    name, title, extra = CLASSIC.package, CLASSIC.title, CLASSIC.extra
    needs = {CLASSIC.package: CLASSIC.module, **POLYGRAPHY, **CUDA}
    precisions = ("fp32", "fp16", *QUANTISED)
    fixed_batch = True

    def runtime(self) -> Runtime:
        settings = {
            "network": "strongly typed",
            "profile": "min = opt = max",
            "tf32": "false",
            "max_aux_streams": "0",
            "optimisation_level": str(OPTIMISATION_LEVEL),
            "polygraphy": machine.version_of("polygraphy") or "not installed",
        }
        return Runtime(self.flavour.package, self._installed(), settings)

    def make(self, order: Order) -> Made:
        flavour, precision = self.flavour, source_of(order.accepted.computed, order.part)
        parsed = parse(flavour, order.source)
        shapes = {i.name: i.resolve(order.rows, order.lr_size, order.lr_size) for i in order.part.inputs}
        if set(shapes) != set(parsed.inputs()):
            fact = f"{order.source.name} has the inputs {sorted(parsed.inputs())}"
            raise DegradeError(fact, wanted=str(sorted(shapes)), mend="export the bundle again")
        # The FP32 islands alone make no FP16 network: refused before minutes of compilation.
        counts = prove(parsed, b"", 0)
        check_typing(order, counts)
        check_size(order, largest(parse(flavour, order.source), shapes))
        plan = compile_plan(parsed, flavour, shapes, self._ahead_for(order), self._timing_cache())
        proof = prove(parsed, plan, order.source.stat().st_size)
        # The classic builder may store kernels reordered, in whatever form its tactics want: there the typing of the
        # parsed network is the proof, and what was found is kept beside it.
        unproved = precision == "fp16" and proof.half and not (proof.smaller or proof.found)
        if flavour is RTX and unproved:
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
            fact = f"{path} is no plan of {self.flavour.title}: it begins with {begins!r}"
            raise DegradeError(fact, wanted=repr(self.flavour.magic), mend="build the engine again")

    def open(
        self, device: Device, path: Path, part: PartSpec, rows: int, lr_size: int, threads: int | None,
        precision: Precision = "fp32",
    ) -> Executor:  # fmt: skip
        self.check(path)
        trt = load(self.flavour)
        return TensorRTExecutor(
            trt, trt.Logger(trt.Logger.ERROR), path, part, batch=rows, height=lr_size, width=lr_size,
            device=device, cache=self._kernels_of(path),
        )  # fmt: skip

    def _kernels_of(self, path: Path) -> Path | None:
        """The file of what is compiled when the plan is run; None for a builder that compiles all of it."""
        return None

    def _ahead_for(self, order: Order) -> str | None:
        """The GPU that is compiled for; None: the one that is here."""
        return None

    def _timing_cache(self) -> Path | None:
        """One file a GPU and version, in the user's cache folder; None for a builder that times nothing."""
        gpus = machine.nvidia()
        name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{gpus.devices[0].name} {self._installed()} {gpus.driver}")
        return cache_folder() / f"timing-{name}.cache"

    def _installed(self) -> str:
        """The full version. DegradeError with the extra if the package is not there."""
        version = machine.version_of(self.flavour.package)
        if version is None:
            fact = f"The backend {self.name} needs the package {self.flavour.package}, which is not installed"
            raise DegradeError(fact, mend=f"pip install 'degrade-engine[{self.flavour.extra}]'")
        return version


class TensorRTRTX(TensorRT):
    """TensorRT-RTX, which builds on any machine for the GPU that is named."""

    flavour = RTX
    name, title, extra = RTX.package, RTX.title, RTX.extra
    needs = {RTX.package: RTX.module, **POLYGRAPHY, **CUDA}
    builds_with = (RTX.package, *POLYGRAPHY)

    def accept(self, precision: Precision, target: str | None) -> Accepted:
        version, gpus, known = self._installed(), machine.nvidia(), targets(load(RTX))
        if target is None and not gpus.devices:
            raise DegradeError(
                "There is no GPU here to build for, and no --target was given", wanted=f"one of {', '.join(known)}"
            )
        chosen = machine.target_of(target) if target is not None else gpus.devices[0].sm
        if chosen not in known:
            hopper = " (Hopper is no RTX card: build with --backend tensorrt there)" if chosen == "sm_90" else ""
            raise DegradeError(
                f"{RTX.title} {version} does not build for {chosen}{hopper}", wanted=f"one of {', '.join(known)}"
            )
        note = f"Built ahead of time for {chosen}: run `degrade-engine verify` on the machine that will use it."
        here = chosen in [gpu.sm for gpu in gpus.devices]
        return Accepted(precision, precision, chosen, () if here else (note,))

    def _ahead_for(self, order: Order) -> str | None:
        return order.accepted.target

    def _kernels_of(self, path: Path) -> Path | None:
        gpus = machine.nvidia()
        name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{gpus.devices[0].name} {self._installed()} {gpus.driver}")
        return cache_folder() / f"kernels-{name}-{sha256_file(path)[:16]}.cache"

    def _timing_cache(self) -> Path | None:
        return None


def check_size(order: Order, elements: int) -> None:
    """DegradeError if a tensor within the network has more elements than TensorRT can count."""
    if elements >= MOST_ELEMENTS:
        rows = order.rows * (MOST_ELEMENTS - 1) // elements
        fact = f"{order.name} at {order.rows} rows of {order.lr_size} pixels has a tensor of {elements} elements within"
        mend = "a smaller --batch (rows are pairs times candidates), or a smaller --lr-size"
        raise DegradeError(fact, wanted=f"fewer than {MOST_ELEMENTS}, which {rows} rows have", mend=mend)


def check_typing(order: Order, counts: PlanProof) -> None:
    """DegradeError if the parsed network's convolutions are not what the precision says."""
    asked, source = source_of(order.accepted.computed, order.part), order.source.name
    if asked in QUANTISED and not counts.quantised:
        raise DegradeError(
            f"{order.name}: {asked} was asked for, and none of the {counts.convolutions} convolutions of {source} has "
            "Q/DQ nodes",
            mend=f"export the bundle again with --precision {asked}",
        )
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
