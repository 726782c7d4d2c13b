"""The degrader camera: another camera for each pair, or one of a few that were fitted to photographs.

`calibrate camera` (calib/fitting.py) writes the file that the fitted ones come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from ..artefact import from_json, parse_json, read_bytes
from ..errors import DegradeError
from .camera import Camera, apply, draw, shot
from .camera_ranges import CameraRanges
from .degrader import Degrader
from .dice import throw


@dataclass(frozen=True)
class FittedCameras:
    """cameras.json: what `calibrate camera` found."""

    cameras: tuple[Camera, ...]  # the nearest first
    distance: tuple[float, ...]  # of each, from the photographs that it was fitted to
    held_out: dict[str, dict[str, float]]  # from the photographs held out: of LR of fitted, unfitted, bicubic
    tried: int  # cameras
    lr: dict[str, Any]  # the camera's photographs: how many were fitted to and held out, sha256 of their pixels
    hr: dict[str, Any]  # the sharp ones, likewise
    seed: int
    tools: dict[str, str]
    format: Literal["degrade-engine/fitted-cameras/1"] = field(default="degrade-engine/fitted-cameras/1")

    def __post_init__(self) -> None:
        if len(self.cameras) != len(self.distance):
            fact = f"{len(self.cameras)} cameras and {len(self.distance)} distances came"
            raise DegradeError(fact, wanted="a distance for each camera")


@dataclass(frozen=True)
class OneOf:
    """Fitted cameras to draw from, all alike."""

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise DegradeError("no camera came", wanted="one or more", mend="make them with `calibrate camera`")


def read_cameras(path: Path) -> OneOf:
    """The cameras of a file that `calibrate camera` wrote, or of the .json beside a model that `tune` made. Raises
    DegradeError if it is missing, broken or of another kind."""
    page = parse_json(read_bytes(path), path.name)
    if isinstance(page, dict) and "training" in page:
        return OneOf(tuple(map(Camera.from_json, _of_tuned(page, path))))
    return OneOf(from_json(FittedCameras, page, path.name).cameras)


def _of_tuned(page: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    """The records of cameras in a model's page."""
    try:
        found = page["training"][-1]["data"]["cameras"]
    except (KeyError, IndexError, TypeError):
        found = None
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    raise DegradeError(f"{path.name} is the page of a model without fitted cameras",
                       wanted="a file of `calibrate camera`, or the page of a model that `tune` made")  # fmt: skip


class CameraDegrader(Degrader):
    """`--degrader camera`: ranges are a CameraRanges, or with a file of cameras a OneOf."""

    kind, title, fitted = "camera", "synthetic camera", "cameras"
    settings_of, theta = CameraRanges, Camera
    apply = staticmethod(apply)

    @classmethod
    def open(cls, options: Path | None = None, fitted: Path | None = None) -> Self:
        if fitted is None:
            return super().open(options)
        if options is not None:
            raise DegradeError("both cameras and options were given", wanted="one: fitted cameras have no ranges")
        return cls(read_cameras(fitted))

    def draw(self, seed: int, pair: int, scale: int) -> Camera:
        if isinstance(self.ranges, CameraRanges):
            return draw(seed, pair, self.ranges)
        dice, some = throw(seed, pair), self.ranges.cameras
        return shot(some[int(dice.integers(len(some)))], dice)
