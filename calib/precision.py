"""`calibrate precision`: which layers of a checkpoint must stay FP32 for its FP16 engine to make the same pixels.

    1  The FP32 model generates real pairs along trajectories that cover the schedule; every layer's largest values and
       its error in FP16 are taken down on the way (`generator.watched`).
    2  A layer whose input or output exceeds 65504 becomes an island. While the FP16 model still gives a value that is
       no number, so does the layer before the place where that happens.
    3  The smallest set that keeps the mean pixel error below the bound on every trajectory (`search.py`).

The islands that every FP16-typed graph has (docs/design.md, section 5) are policy: they are few, small, and at the
borders, where a mistake would be felt most; the calibration adds to them and drops none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..engine.artefact import sha256_file, tool_versions
from ..engine.calibration_spec import (
    Errors,
    Island,
    Layer,
    PairOfInputs,
    PixelError,
    PrecisionCalibration,
    PrecisionOptions,
    Reason,
    Trajectory,
)
from ..engine.errors import DegradeError
from ..engine.kinds import KINDS
from .generator import Float32, Watch, first_overflow, generate, watched
from .photographs import Pairs, read_pairs
from .search import Smallest, finite_or_none, smallest

if TYPE_CHECKING:
    from ..originals.realdgen.model import RealDGen

HALF_MAX = 65504.0  # the largest FP16 number
GREY = 127.5  # grey levels of a unit: the networks' pixels are in [-1, 1]
THROUGH_THE_SCHEDULE_STEPS = 8
Say = Callable[[str], None]


def trajectories(T: int) -> tuple[Trajectory, ...]:
    """What `generate` does by each preset, from its largest tau; and one through the whole schedule, from T."""
    presets = (KINDS["realdgen"].recipes[name] for name in ("paper", "recommended"))
    ways = (Trajectory(one.solver, min(one.tau[1], T), one.steps, one.spacing) for one in presets)
    return (*ways, Trajectory("ddim", T, THROUGH_THE_SCHEDULE_STEPS, "quadratic"))


def calibrate(
    checkpoint: Path,
    hr: Path,
    reference: Path,
    *,
    bound_grey: float = 0.5,
    pairs: int = 4,
    lr_size: int = 64,
    scale: int = 4,
    seed: int = 0,
    ways: tuple[Trajectory, ...] | None = None,
    threads: int | None = None,
    say: Say = lambda line: None,
) -> PrecisionCalibration:
    """Calibrates the precision of a checkpoint of any preset on photographs of two folders.

    lr_size: side of the LR images in pixels, a multiple of the model's; ways: the trajectories (None: `trajectories`);
    threads: of this process's PyTorch (None: as it is set).
    Raises DegradeError for a checkpoint that does not read, folders without usable photographs, a size that does not
    fit, or a model that gives no numbers in FP32 either.
    """
    import torch

    from ..originals.checkpoint import load
    from ..originals.realdgen.model import RealDGen

    if threads:
        torch.set_num_threads(threads)
    model, _ = load(checkpoint, RealDGen)
    if lr_size < 1 or lr_size % model.config.lr_multiple:
        raise DegradeError(f"The LR size is {lr_size}", wanted=f"a multiple of {model.config.lr_multiple}, the model's")
    if not 0 < bound_grey < math.inf:
        raise DegradeError(f"The bound is {bound_grey:g} grey levels", wanted="a number above 0")
    options = PrecisionOptions(bound_grey, pairs, lr_size, scale, seed, ways or trajectories(model.config.diffusion.T))
    inputs = read_pairs(hr, reference, pairs, lr_size=lr_size, scale=scale)
    return Precision(model, inputs, options, say).calibrate(sha256_file(checkpoint))


class Precision:
    """One calibration: an FP32 model, the pairs, what the FP32 model made of them."""

    def __init__(self, model: RealDGen, inputs: Pairs, options: PrecisionOptions, say: Say = lambda line: None) -> None:
        from ..export.half import layer_names
        from ..export.kinds.realdgen import HALF

        self.model, self.inputs, self.options, self.say = model, inputs, options, say
        say(f"{len(inputs.names)} pairs along {len(options.trajectories)} trajectories in FP32")
        with watched(model) as watch:
            self.exact = generate(model, inputs, options)
        if not np.isfinite(self.exact).all():
            raise DegradeError("the model gives values that are no numbers in FP32 already", mend="train it again")
        self.watch: Watch = watch
        self._known: dict[frozenset[str], tuple[PixelError, ...]] = {}
        self.typed = {name: HALF.policy(name) for name in layer_names(model) if name in watch.layers}
        self.free = [name for name in watch.layers if self.typed[name] in ("half", "enter")]  # policy leaves them FP16

    def calibrate(self, checkpoint_sha256: str) -> PrecisionCalibration:
        """Steps 2 and 3 of the module's docstring, as calibration.json."""
        reasons: dict[str, Reason] = {name: "overflow" for name in self.free if self.overflows(name)}
        forced = list(reasons)
        for name in self.until_finite(forced):
            reasons[name] = "not finite"
        found = smallest(
            self.mean_grey, self.free, self.options.bound_grey, forced=forced, first=list(reasons), say=self.say
        )
        islands = [
            Island(name, reasons.get(name, "error"), finite_or_none(value)) for name, value in found.islands.items()
        ]
        errors = Errors(self.compare(self.run(self.everything_half())), self.errors(()), self.errors(found.islands))
        return PrecisionCalibration(
            kind="precision",
            parent={"checkpoint_sha256": checkpoint_sha256},
            options=self.options,
            inputs=tuple(PairOfInputs(a, b) for a, b in self.inputs.names),
            timesteps=tuple(sorted(self.watch.timesteps)),
            islands=tuple(islands),
            errors=errors,
            layers=self.layers(found),
            runs=len(self._known),
            tools=tool_versions(),
        )

    def overflows(self, name: str) -> bool:
        """Whether FP16 cannot hold what the layer reads or writes."""
        seen = self.watch.layers[name]
        return max(seen.input_max, seen.output_max) > HALF_MAX

    def until_finite(self, forced: Collection[str]) -> list[str]:
        """Layers that must be FP32 too before the FP16 model gives numbers everywhere."""
        more: list[str] = []
        while not math.isfinite(self.mean_grey(fixed := [*forced, *more])):
            ran = first_overflow(self.half(fixed), list(self.watch.layers), self.run)
            # Where nothing before that place is FP16, what comes after it must be.
            guilty = next(name for name in [*ran, *self.free] if name in self.free and name not in fixed)
            self.say(f"{guilty} in FP16 leads to values that are no numbers")
            more.append(guilty)
        return more

    def mean_grey(self, islands: Collection[str]) -> float:
        """Mean pixel error on the worst trajectory, grey levels, with these islands beyond policy; infinite with values
        that are no numbers."""
        found = self.errors(islands)
        return math.inf if any(e.not_finite for e in found) else max(e.mean for e in found)

    def errors(self, islands: Collection[str]) -> tuple[PixelError, ...]:
        """Of each trajectory, with these islands beyond policy. A set is run once, however often asked for."""
        key = frozenset(islands)
        if key not in self._known:
            self._known[key] = self.compare(self.run(self.half(key)))
        return self._known[key]

    def compare(self, pixels: Float32) -> tuple[PixelError, ...]:
        """Against the FP32 model's. Clipped, as a pixel is: what lies beyond white is white."""
        found = []
        for made, exact in zip(pixels, self.exact, strict=True):
            good = np.isfinite(made)
            off = np.abs(np.clip(made, -1, 1).astype(np.float64) - np.clip(exact, -1, 1))[good] * GREY
            off = off if off.size else np.zeros(1)
            p99 = float(np.percentile(off, 99))
            found.append(PixelError(float(off.mean()), p99, float(off.max()), int(made.size - good.sum())))
        return tuple(found)

    def run(self, model: RealDGen) -> Float32:
        return generate(model, self.inputs, self.options)

    def half(self, islands: Collection[str]) -> RealDGen:
        """The module tree that `export` would write, FP16 layers computed as tensor cores do."""
        from ..export.half import half_typed, on_tensor_cores
        from ..export.kinds.realdgen import HALF

        return on_tensor_cores(half_typed(self.model, HALF, islands))

    def everything_half(self) -> RealDGen:
        """The model with every layer FP16 and no island, for comparison."""
        from copy import deepcopy

        from ..export.half import TensorCore

        plain = deepcopy(self.model)
        for name in self.typed:
            parent, _, leaf = name.rpartition(".")
            setattr(plain.get_submodule(parent), leaf, TensorCore(plain.get_submodule(name)))
        return plain.eval()

    def layers(self, found: Smallest) -> tuple[Layer, ...]:
        """Every layer that ran, with what was measured."""
        return tuple(
            Layer(
                name=name,
                typed=self.typed[name],
                input_max=seen.input_max,
                output_max=seen.output_max,
                output_rms=seen.output_rms,
                largest_at_t=seen.largest_at_t,
                fp16_error=finite_or_none(seen.fp16_error),
                own_grey=finite_or_none(found.own[name]) if name in found.own else None,
            )
            for name, seen in self.watch.layers.items()
        )
