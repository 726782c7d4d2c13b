"""calibration.json as frozen dataclasses: what was measured on a checkpoint, and what follows from it for its engines.

Made by `degrade-engine calibrate` (calib/), read by `export`. Strict, as every artefact: an unknown key is an error.
Numbers are finite; where a result was not, null stands for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .artefact import read_page, sha256_bytes
from .errors import DegradeError
from .schedule import Spacing

Reason = Literal["overflow", "not finite", "error"]
AGAIN = "calibrate again: `degrade-engine calibrate precision`"


@dataclass(frozen=True)
class Trajectory:
    """One way through the schedule, from tau down: solver, number of steps (None = every one), spacing. eta is 0."""

    solver: str
    tau: int
    steps: int | None
    spacing: Spacing


@dataclass(frozen=True)
class PrecisionOptions:
    """What was asked for.

    bound_grey    the mean pixel error must stay below it on every trajectory, grey levels of 0..255
    pairs         photographs of each kind
    lr_size       side of an LR image, pixels; scale: an HR crop is scale times as large
    seed          of the noise, the same in FP16 and FP32
    trajectories  what is generated
    start         the start image; Rec_lr, so that its own error counts too
    """

    bound_grey: float
    pairs: int
    lr_size: int
    scale: int
    seed: int
    trajectories: tuple[Trajectory, ...]
    start: Literal["reconstruction"] = "reconstruction"


@dataclass(frozen=True)
class PairOfInputs:
    """The photographs of one pair, by their paths within the two folders."""

    hr: str
    reference: str


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer, over every call and timestep, in the FP32 model.

    name          of the module in the model, such as "unet.middle.0.conv1"
    typed         what the FP16-typed graph makes of it without a calibration: "half", or a policy island: "enter"
                  (FP32, its output FP16), "exit" (FP32, its output FP32), "island" (FP32, as everything about it)
    input_max     largest |value| that comes in; output_max, output_rms: largest and root mean square of what goes out
    largest_at_t  the timestep at which the larger of the two came; None outside the denoiser
    fp16_error    of the layer alone, on FP32 inputs: RMS of FP16 - FP32 over RMS of FP32; None: it overflows
    own_grey      mean pixel error end to end when this layer alone is FP16, on the worst trajectory, grey levels; None:
                  not measured, since no search was needed or the layer is FP32 in any case
    """

    name: str
    typed: Literal["half", "enter", "exit", "island"]
    input_max: float
    output_max: float
    output_rms: float
    largest_at_t: int | None
    fp16_error: float | None
    own_grey: float | None


@dataclass(frozen=True)
class Island:
    """A layer that has to be FP32 beyond policy.

    reason        "overflow": its own input or output exceeds FP16's 65504; "not finite": what it feeds exceeds it (a
                  sum, a product); "error": the bound is broken without it
    without_grey  mean pixel error with this one island in FP16 again, grey levels; None: not finite
    """

    layer: str
    reason: Reason
    without_grey: float | None


@dataclass(frozen=True)
class PixelError:
    """|FP16 - FP32| of a trajectory's pixels, clipped to their range and not quantised, in grey levels of 0..255.
    not_finite: values that are no numbers and are left out of the rest."""

    mean: float
    p99: float
    max: float
    not_finite: int


@dataclass(frozen=True)
class Errors:
    """End to end, one entry a trajectory. everything_half: FP16 without any island; policy: with the islands that every
    FP16-typed graph has; chosen: with the calibration's as well."""

    everything_half: tuple[PixelError, ...]
    policy: tuple[PixelError, ...]
    chosen: tuple[PixelError, ...]


@dataclass(frozen=True)
class PrecisionCalibration:
    """calibration.json of `calibrate precision`.

    parent     {"checkpoint_sha256": …}
    inputs     the photographs, in order
    timesteps  that the denoiser was called with, ascending
    layers     in the order in which they first ran
    islands    the chosen set. Smallest in this sense: the bound holds, and with any one of those that are there for
               "error" or "not finite" in FP16 again it does not. That no other set is smaller is not claimed.
    runs       of the generator that the choice took
    """

    kind: Literal["precision"]
    parent: dict[str, str]
    options: PrecisionOptions
    inputs: tuple[PairOfInputs, ...]
    timesteps: tuple[int, ...]
    islands: tuple[Island, ...]
    errors: Errors
    layers: tuple[Layer, ...]
    runs: int
    tools: dict[str, str]
    format: Literal["degrade-engine/calibration/1"] = "degrade-engine/calibration/1"


def read_precision(path: Path, checkpoint_sha256: str) -> tuple[PrecisionCalibration, str]:
    """(the calibration, the file's SHA-256). DegradeError if it does not read, or is of another checkpoint."""
    found, data = read_page(PrecisionCalibration, path, AGAIN)
    of = found.parent.get("checkpoint_sha256")
    if of != checkpoint_sha256:
        raise DegradeError(f"{path} is of another checkpoint, with SHA-256 {of}", wanted=checkpoint_sha256, mend=AGAIN)
    return found, sha256_bytes(data)
