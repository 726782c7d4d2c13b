"""What goes through a sampler: a batch of pairs in, a result out; and the checks of both kinds of sampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import DegradeError
from ..schedule import Schedule, SolverTable
from ..spec import FilterWeights, PartSpec, hr_scale, makes_image
from .noise import check_noise

if TYPE_CHECKING:
    from ..kinds import ModelKind

Bytes = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """n pairs, 1 <= n <= B; the rows up to B are padding.

    content    u8 [n, h, w, 3]: the HR brought to LR size
    reference  u8 [n, h, w, 3]: the crop whose degradation is wanted, or [n, m, h, w, 3]: m crops of one camera; None
               for a kind that reads none
    pairs      uint32 [n]: numbers of the pairs within the run, the noise counters
    tables     n SolverTables; their number of steps may differ, clip is common
    start      u8 [n, h, w, 3], or None for Rec_lr, the model's own reconstruction (float, not quantised)
    seed       of the run, 0..2^64-1
    valid      bool [n], None = all: a pair that failed keeps its place, so that its neighbours' bytes do not
               change; its pixels may be anything and its result is meaningless
    hr         u8 [n, r·h, r·w, 3]: the HR itself, for a kind that reads it; else None
    fusion_weight  w of UDDM's eq. 1, 0..1, for a kind that fuses; else None
    noise      standard deviation of the white noise that the LR gets at the end, grey levels; 0 = none
    variety, temperature  factors on the draw of F_deg and on the noise of x_tau, for a kind that draws; else 1
    """

    content: Bytes
    reference: Bytes | None
    pairs: NDArray[np.uint32]
    tables: Sequence[SolverTable]
    start: Bytes | None = None
    seed: int = 0
    valid: NDArray[np.bool_] | None = None
    hr: Bytes | None = None
    fusion_weight: float | None = None
    noise: float = 0.0
    variety: float = 1.0
    temperature: float = 1.0


@dataclass(frozen=True, eq=False)
class BatchResult:
    """Of n pairs. Errors and scores have no unit; without the filter they are NaN.

    lr                  u8 [n, h, w, 3]: the kept candidates, with the batch's noise
    start               u8 [n, h, w, 3]: the start image, quantised; no row unless inspected
    candidates          u8 [K, n, h, w, 3], without that noise; no row unless inspected
    degradation_error   float32 [K, n]: ||f_deg - target||² / ||target||²
    content_error       float32 [K, n]: the same of f_cont
    score               float32 [K, n]: their weighted sum; infinite for a candidate with a pixel that is no number
    kept                int32 [n]: which candidate
    finite              bool [n]: whether the kept candidate is all numbers; if not, the pair failed
    row_steps           network rows that moved a valid pair
    executed_row_steps  all network rows of the denoiser, padding and waiting included
    calls               how often each part ran
    """

    lr: Bytes
    start: Bytes
    candidates: Bytes
    degradation_error: Float32
    content_error: Float32
    score: Float32
    kept: NDArray[np.int32]
    finite: NDArray[np.bool_]
    row_steps: int
    executed_row_steps: int
    calls: dict[str, int]


class Model(Protocol):
    """What a sampler asks of a model; a bundle's page and an engine's both have it."""

    @property
    def model_kind(self) -> ModelKind: ...
    @property
    def parts(self) -> dict[str, PartSpec]: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def filter(self) -> FilterWeights: ...


@dataclass(frozen=True, eq=False)
class Begun:
    """A batch that was begun. ready: whether its result is there, as it is on a CPU; result: gives it, and waits for it
    where it is not."""

    ready: bool
    result: Callable[[], BatchResult]


class Runner(Protocol):
    """What runs batches, for one number of candidates. batch: pairs a run takes at most; height, width: of the LR, in
    pixels; x: float32 [R, 3, height, width], the LR before quantisation."""

    batch: int
    height: int
    width: int
    x: Any

    def bind(self) -> None:
        """Points the networks at its own buffers; needed again where another sampler has run them."""
        ...

    def begin(self, batch: Batch, *, filter: bool = True, inspect: bool = True) -> Callable[[], BatchResult]:
        """Has the device run a batch, and gives what waits for the result. filter=False keeps candidate 0;
        inspect=False leaves start image and candidates on the device. Further batches may be begun before. Raises
        DegradeError for shapes that do not fit the engine."""
        ...

    def run(self, batch: Batch, *, filter: bool = True, inspect: bool = True) -> BatchResult:
        """The result of a batch."""
        return self.begin(batch, filter=filter, inspect=inspect)()


def check_batch(batch: Batch, model: Model, runner: Runner, filter: bool) -> NDArray[np.bool_]:
    """bool [n]: which pairs are valid. Raises DegradeError for a batch that this kind of model cannot run."""
    kind, n, w = model.model_kind, len(batch.content), batch.fusion_weight
    if filter and not kind.can_filter:
        raise DegradeError("This kind of engine cannot filter", mend="run it with filter=False")
    if not 1 <= n <= runner.batch:
        raise DegradeError(f"A batch of {n} pairs came", wanted=f"1 to {runner.batch} pairs, the engine's batch")
    _check_images(batch, model, (runner.height, runner.width))
    if len(batch.tables) != n or batch.pairs.shape != (n,) or batch.pairs.dtype != np.uint32:
        fact = f"{n} images, {len(batch.tables)} tables, pairs {batch.pairs.dtype} {batch.pairs.shape} came"
        raise DegradeError(fact, wanted="one table and one uint32 number a pair")
    if not kind.has_steps and (taus := {table.tau for table in batch.tables} - {0}):
        raise DegradeError(f"tau is {max(taus)}, and this kind of engine has no steps", wanted="tau 0")
    if (w is None) == kind.fuses or w is not None and not 0 <= w <= 1:
        wanted = "a number from 0 to 1" if kind.fuses else "None: this kind of engine fuses nothing"
        raise DegradeError(f"The fusion weight is {w}", wanted=wanted)
    check_noise(batch.noise)
    if (batch.variety, batch.temperature) != (1, 1) and not kind.draws:
        fact = f"variety and temperature are {batch.variety:g} and {batch.temperature:g}"
        raise DegradeError(fact, wanted="1: this kind of engine has no use for them")
    valid = np.ones(n, np.bool_) if batch.valid is None else batch.valid
    if valid.shape != (n,) or valid.dtype != np.bool_:
        raise DegradeError(f"valid is {valid.dtype} {valid.shape}", wanted=f"bool ({n},)")
    return valid


def _check_images(batch: Batch, model: Model, size: tuple[int, int]) -> None:
    kind, scale, n = model.model_kind, hr_scale(model.parts), len(batch.content)
    makes_start = any(makes_image(part) for part in model.parts.values())
    if batch.hr is not None and scale is None:
        raise DegradeError("A batch came with HR images", wanted="none: this kind of engine reads no HR")
    if batch.start is not None and not kind.has_steps:
        raise DegradeError("A start image came to an engine without steps", wanted="start reconstruction")
    for name, images, needed in (
        ("content", batch.content, True),
        ("reference", batch.reference, kind.reads_reference),
        ("start", batch.start, not makes_start),
        ("hr", batch.hr, scale is not None),
    ):
        height, width = (side * (scale or 1) for side in size) if name == "hr" else size
        several = images.shape[1:-3] if name == "reference" and images is not None and images.ndim == 5 else ()
        if images is None and needed:
            name = "HR" if name == "hr" else name
            raise DegradeError(f"A batch came without {name} images", wanted=f"{name} images, which this engine needs")
        if images is not None and (images.shape != (n, *several, height, width, 3) or images.dtype != np.uint8):
            raise DegradeError(f"{name} is {images.dtype} {images.shape}", wanted=f"uint8 {(n, height, width, 3)}")
