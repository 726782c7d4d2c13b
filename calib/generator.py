"""The generator with PyTorch networks, through the runtime's own sampler; and what its layers see on the way.

The FP16 model is the very module tree that `export` writes, each FP16 layer computed as a tensor core does
(`export.half.TensorCore`): factors rounded to FP16, products summed in FP32, the result rounded once. What lies
between the layers (activations, residual sums) is computed by PyTorch in the type that the tree gives it. PyTorch's own
half convolutions take fifty times as long on a CPU without FP16 arithmetic. Kernels that sum in FP16 are not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..engine import sampling
from ..engine.calibration_spec import PrecisionOptions
from ..engine.devices import HostDevice
from ..engine.kinds import KINDS, ModelKind
from ..engine.sampling.batch import Batch
from ..engine.schedule import Schedule, table
from ..engine.spec import FilterWeights, PartSpec
from .photographs import Pairs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..export.parts import Part
    from ..originals.realdgen.model import RealDGen

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class InTorch:
    """A model as `sampling.open` takes it."""

    model_kind: ModelKind
    parts: dict[str, PartSpec]
    schedule: Schedule
    filter: FilterWeights = FilterWeights()


class TorchExecutor:
    """One part of a model as the sampler runs it (engine.executor.Executor), on numpy buffers."""

    def __init__(self, part: Part, *, batch: int, height: int, width: int) -> None:
        self._part = part
        self.shapes = {t.name: t.resolve(batch, height, width) for t in (*part.inputs, *part.outputs)}
        self._bound: dict[str, NDArray[Any]] = {}

    def bind(self, name: str, buffer: NDArray[Any]) -> None:
        self._bound[name] = buffer

    def enqueue(self, stream: Any = None) -> None:
        import torch

        with torch.inference_mode():
            inputs = (torch.from_numpy(self._bound[tensor.name]) for tensor in self._part.inputs)
            self._bound[self._part.outputs[0].name][...] = self._part.module(*inputs).numpy()


def generate(model: RealDGen, pairs: Pairs, options: PrecisionOptions) -> Float32:
    """float32 [trajectories, n, 3, s, s]: every pair along every trajectory, before quantisation. The noise depends
    on the seed, the pair and the timestep alone, so it is the same for every model."""
    from ..export.kinds.realdgen import parts as parts_of

    schedule, count, side = model.config.diffusion, len(pairs.content), options.lr_size
    kind, parts = KINDS["realdgen"], parts_of(model)
    executors = {name: TorchExecutor(part, batch=count, height=side, width=side) for name, part in parts.items()}
    specs = {name: PartSpec(kind.parts[name], part.inputs, part.outputs, {}) for name, part in parts.items()}
    sampler = sampling.open(HostDevice(), executors, InTorch(kind, specs, schedule), candidates=1)
    made = []
    with np.errstate(all="ignore"):  # a model that overflows is an answer here
        for way in options.trajectories:
            tables = [table(schedule, way.solver, way.tau, way.steps, spacing=way.spacing)] * count
            numbers = np.arange(count, dtype=np.uint32)
            batch = Batch(pairs.content, pairs.reference, numbers, tables, seed=options.seed)
            sampler.run(batch, filter=False)
            made.append(sampler.x.copy())
    return np.stack(made)


# ------------------------------------------------------------------------------------------- what layers see


@dataclass
class Seen:
    """Of one layer, over all its calls; see calibration_spec.Layer. squares: of the output, of its error in FP16."""

    input_max: float = 0.0
    output_max: float = 0.0
    largest_at_t: int | None = None
    count: int = 0
    squares: float = 0.0
    error_squares: float = 0.0

    @property
    def output_rms(self) -> float:
        return math.sqrt(self.squares / max(1, self.count))

    @property
    def fp16_error(self) -> float:
        """Relative to the output; 0 for a layer that says nothing, infinite or NaN for one that overflows."""
        return math.sqrt(self.error_squares / self.squares) if self.squares else self.error_squares


@dataclass
class Watch:
    """layers: in the order in which they first ran; timesteps: that the denoiser was called with."""

    layers: dict[str, Seen] = field(default_factory=dict)
    timesteps: set[int] = field(default_factory=set)


@contextmanager
def watched(model: RealDGen) -> Iterator[Watch]:
    """While it is open, every call of a layer of the FP32 model is measured, against the same layer in FP16."""
    from ..export.half import TensorCore, layer_names

    found = Watch()
    now: list[int] = []  # the timestep of the denoiser's call, within it

    def enter(_: nn.Module, args: tuple[Any, ...]) -> None:
        now[:] = args[1].unique().tolist()
        found.timesteps.update(now)

    def leave(*_: Any) -> None:
        now.clear()

    def measure(name: str, half: nn.Module) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            seen = found.layers.setdefault(name, Seen())
            came, went = float(args[0].abs().max()), float(output.abs().max())
            if max(came, went) > max(seen.input_max, seen.output_max):
                seen.largest_at_t = now[0] if now else None
            seen.input_max, seen.output_max = max(seen.input_max, came), max(seen.output_max, went)
            seen.count += output.numel()
            seen.squares += float(output.double().square().sum())
            seen.error_squares += float((half(args[0]).double() - output.double()).square().sum())

        return hook

    handles = [
        model.unet.register_forward_pre_hook(enter),
        model.unet.register_forward_hook(leave),
        *(layer.register_forward_hook(measure(name, TensorCore(layer)))
          for name, layer in ((name, model.get_submodule(name)) for name in layer_names(model))),
    ]  # fmt: skip
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


class _NotFinite(Exception):
    """Ends a run at the first layer that read or wrote a value that is no number."""


def first_overflow(typed: RealDGen, names: Sequence[str], run: Callable[[RealDGen], Float32]) -> list[str]:
    """The layers that ran until a typed model first left the numbers, the newest first.

    A layer that turned numbers into none is the newest itself. One that already read none is left out: a sum or product
    before it overflowed, made of what the layers before it said.
    """
    import torch

    ran: list[str] = []

    def hook(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def check(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            if torch.isfinite(args[0]).all():
                ran.append(name)
                if torch.isfinite(output).all():
                    return
            raise _NotFinite

        return check

    for name in names:
        typed.get_submodule(name).register_forward_hook(hook(name))
    with suppress(_NotFinite):
        run(typed)
    return list(dict.fromkeys(reversed(ran)))
