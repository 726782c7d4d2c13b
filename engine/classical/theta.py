"""The parameters of one second-order degradation, as plain numbers: a manifest keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..artefact import from_json
from ..errors import DegradeError

BlurKind = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"]
Mode = Literal["area", "bilinear", "bicubic", "antialias"]
NoiseKind = Literal["gaussian", "poisson"]


@dataclass(frozen=True)
class Blur:
    """One kernel (`kernels.py`). `sinc` uses size and cutoff only; the other kinds all but cutoff."""

    kind: BlurKind
    size: int  # odd, pixels
    sigma_x: float = 0.0  # pixels of the image that is blurred
    sigma_y: float = 0.0  # equal to sigma_x for the iso kinds
    rotation: float = 0.0  # radians
    beta: float = 1.0  # 1 for iso and aniso
    cutoff: float = 0.0  # radians a pixel


@dataclass(frozen=True)
class Resize:
    """Resize by `factor`: relative to the HR size in stage 1, to the LR size in stage 2."""

    factor: float
    mode: Mode


@dataclass(frozen=True)
class Noise:
    """`level`: sigma in grey levels (gaussian) or factor on the shot noise; `gray`: one plane for all."""

    kind: NoiseKind
    level: float
    gray: bool


@dataclass(frozen=True)
class SecondOrder:
    """Everything drawn for one sample but the noise's realisation. None: the operation is left out."""

    blur1: Blur | None
    resize1: Resize | None
    noise1: Noise | None
    jpeg1: int | None  # quality, 1..100
    blur2: Blur | None
    resize2: Resize | None
    noise2: Noise | None
    jpeg2: int | None
    final_mode: Mode  # of the resize to the LR size
    final_sinc: Blur | None
    jpeg_last: bool  # True: resize, sinc, JPEG. False: JPEG, resize, sinc

    def __post_init__(self) -> None:
        for name in ("jpeg1", "jpeg2"):
            quality = getattr(self, name)
            if quality is not None and not 1 <= quality <= 100:
                raise DegradeError(f"{name} of a degradation is {quality}", wanted="a quality of 1 to 100")

    @property
    def has_noise(self) -> bool:
        return any(noise is not None and noise.level > 0 for noise in (self.noise1, self.noise2))

    def to_json(self) -> dict[str, Any]:
        """A JSON object; through a file and `from_json` it comes back equal, float for float."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SecondOrder:
        """The inverse of `to_json`. Raises DegradeError that names a missing, unknown or ill-typed field."""
        return from_json(cls, record, "degradation")
