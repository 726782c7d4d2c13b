"""`calibrate camera`: synthetic cameras fitted to photographs of one camera, without a network and without pairs.

1. Of the user's LR every third is held out (held_out.py).
2. Synthetic cameras are fitted to the others (camera.py).
3. LR that the fitted cameras make are compared with the held-out photographs, beside those of unfitted cameras and of
   plain bicubic, on the same content and by the same measures.

`tune` begins with the first two.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..engine.artefact import tool_versions
from ..engine.classical.camera import Camera
from ..engine.classical.camera_degrader import CameraDegrader, FittedCameras, OneOf
from ..engine.classical.degrader import Degrader
from ..engine.errors import BadImage, DegradeError
from ..engine.images import photographs_in, read_rgb, resize_bicubic
from . import camera
from .held_out import Judge, Photograph, Pixels, Standing, crops, medians, sharp_crops, side_of, split

Say = Callable[[str], None]
Progress = Callable[[float], None]  # of the fit, 0..1
LEAST = 64  # LR pixels a side of a photograph
LONGEST = 1024  # LR are cut to their central square of this size
SHARP = 48  # crops that the fitted cameras are tried on


@dataclass(frozen=True)
class Material:
    """Photographs, read and divided. tuned: those to fit to; held: those held out; hr: the sharp ones."""

    tuned: list[Photograph]
    held: list[Photograph]
    hr: list[Pixels]

    def judge(self, references: int, seed: int) -> Judge:
        """Of LR with so many references each."""
        return Judge(self.held, self.tuned, self.hr, references, seed)


@dataclass(frozen=True)
class Compared:
    """LR of the fitted cameras, of cameras drawn from all ranges, and of bicubic, on the same content; real: the
    medians of the photographs held out."""

    fitted: Standing
    unfitted: Standing
    bicubic: Standing
    real: dict[str, float]

    @property
    def nearer(self) -> bool:
        """Whether the fitted cameras are nearer than both others, by measures and in fine detail."""
        others = (self.unfitted, self.bicubic)
        return all(self.fitted.distance < one.distance and self.fitted.detail < one.detail for one in others)


def calibrate(
    lr: Sequence[Path], hr: Sequence[Path], *, minutes: float, tries: int | None, seed: int, workers: int, say: Say,
    progress: Progress = lambda done: None,
) -> tuple[FittedCameras, Compared]:  # fmt: skip
    """Cameras fitted to the photographs in `lr`, with the sharp ones in `hr` (none: those of `lr` at half their size).

    tries: so many cameras are tried, however long it takes, and the result is the same on every machine with these
    libraries; None: as many as there is time for. Raises DegradeError for photographs that do not do.
    """
    material = read(lr, hr, say)
    say(f"{len(material.tuned)} LR photographs to fit to, {len(material.held)} held out; {len(material.hr)} sharp ones")
    seconds = 60 * minutes if tries is None else math.inf
    found = fit(material, seconds=seconds, seed=seed, workers=workers, most=tries, progress=progress)
    compared = compare(found.cameras, material, seed)
    names = ("fitted", "unfitted", "bicubic")
    standings = {name: getattr(compared, name) for name in names}
    fitted = FittedCameras(
        cameras=found.cameras,
        distance=found.distance,
        held_out={name: {"distance": one.distance, "detail": one.detail} for name, one in standings.items()},
        tried=found.tried,
        lr={"fitted_to": len(material.tuned), "held_out": len(material.held),
            "sha256": seal([pixels for _, pixels in (*material.tuned, *material.held)])},
        hr={"photographs": len(material.hr), "given": bool(hr), "sha256": seal(material.hr)},
        seed=seed,
        tools=tool_versions(),
    )  # fmt: skip
    return fitted, compared


def read(lr: Sequence[Path], hr: Sequence[Path], say: Say) -> Material:
    """The photographs, those that cannot be used named. Without `hr` the LR at half their size are the sharp ones."""
    tuned, held = split(usable(lr, LEAST, LONGEST, say))
    if hr:
        return Material(tuned, held, [pixels for _, pixels in usable(hr, LEAST, 4096, say)])
    halves = [resize_bicubic(pixels, (pixels.shape[0] // 2, pixels.shape[1] // 2)) for _, pixels in tuned
              if min(pixels.shape[:2]) >= 2 * LEAST]  # fmt: skip
    if not halves:
        fact = f"--lr has no photograph of {2 * LEAST} px on both sides, and --hr was not given"
        raise DegradeError(fact, wanted="sharp photographs", mend="give --hr")
    say("no --hr: the LR that are not held out, at half their size, are the sharp photographs; others would be better")
    return Material(tuned, held, halves)


def usable(folders: Sequence[Path], least: int, longest: int, say: Say) -> list[Photograph]:
    """What can be read and is large enough; of a larger one the middle."""
    found = []
    for path in photographs_in(folders):
        try:
            pixels = read_rgb(path)
        except BadImage as bad:
            say(f"left out: {bad}")
            continue
        height, width = pixels.shape[:2]
        if min(height, width) < least:
            say(f"left out: {path.name}: {width}x{height} is smaller than {least}")
            continue
        top, left = (max(0, (n - longest) // 2) for n in (height, width))
        found.append((path, np.ascontiguousarray(pixels[top : top + longest, left : left + longest])))
    return found


def fit(
    material: Material, *, seconds: float, seed: int, workers: int, progress: Progress, most: int | None = None
) -> camera.Fitted:
    """Synthetic cameras like that of the photographs to fit to."""
    side = side_of(material.tuned)
    real = crops(material.tuned, side, SHARP, seed)
    sharp = sharp_crops(material.hr, real, SHARP, seed)
    at = time.monotonic()

    def on_camera(tried: int) -> None:
        progress(min(0.99, max((time.monotonic() - at) / seconds, tried / (most or camera.MOST))))

    found = camera.fit(real, sharp, len(material.tuned), seconds=seconds, seed=seed, workers=workers, most=most,
                       on_camera=on_camera)  # fmt: skip
    progress(1.0)
    return found


def compare(cameras: tuple[Camera, ...], material: Material, seed: int) -> Compared:
    """On content that the fit did not see. Raises DegradeError where the photographs held out tell nothing."""
    judge = material.judge(1, seed + 1)

    def standing(degrader: Degrader) -> Standing:
        made = (degrader.degrade(one.pixels, scale=one.scale, seed=seed + 1, pair=pair, noise_seed=pair)[0]
                for pair, one in enumerate(judge.sharp))  # fmt: skip
        return judge.standing(list(made))

    found = Compared(standing(CameraDegrader(OneOf(cameras))), standing(CameraDegrader.open()),
                     judge.standing(judge.contents), medians(judge.measured))  # fmt: skip
    if not all(math.isfinite(one.distance) for one in (found.fitted, found.unfitted, found.bicubic)):
        fact = "neither sharpness nor noise can be measured in the photographs held out"
        raise DegradeError(fact, wanted="photographs with some texture", mend="give more photographs of this camera")
    return found


def seal(images: Sequence[Pixels]) -> str:
    """Hex SHA-256 of the images' sizes and pixels, in order."""
    found = hashlib.sha256()
    for one in images:
        found.update(f"{one.shape}".encode() + one.tobytes())
    return found.hexdigest()
