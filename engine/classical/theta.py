"""The parameters of one second-order degradation, as plain numbers: a manifest keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

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

    @property
    def has_noise(self) -> bool:
        return any(noise is not None and noise.level > 0 for noise in (self.noise1, self.noise2))

    def to_json(self) -> dict[str, Any]:
        """A JSON object; through a file and `from_json` it comes back equal, float for float."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SecondOrder:
        """The inverse of `to_json`. Raises DegradeError that names a missing, unknown or ill-typed field."""
        _same_keys(cls, record, "degradation")
        parts = {"blur": Blur, "resize": Resize, "noise": Noise, "final_sinc": Blur}
        values: dict[str, Any] = {}
        for name, value in record.items():
            part = parts.get(name.rstrip("12"))
            values[name] = value if part is None or value is None else _part(part, value, name)
        for name in ("jpeg1", "jpeg2"):
            _check(
                values[name] is None or _is(values[name], int) and 1 <= values[name] <= 100,
                name,
                values[name],
            )
        _check(values["final_mode"] in get_args(Mode), "final_mode", values["final_mode"])
        _check(isinstance(values["jpeg_last"], bool), "jpeg_last", values["jpeg_last"])
        return cls(**values)


_WORDS = {"BlurKind": get_args(BlurKind), "Mode": get_args(Mode), "NoiseKind": get_args(NoiseKind)}


def _part(part: type[Blur | Resize | Noise], record: Any, where: str) -> Blur | Resize | Noise:
    if not isinstance(record, Mapping):
        raise DegradeError(f"{where} is {record!r}", wanted="a JSON object or null")
    _same_keys(part, record, where)
    for field in fields(part):
        value, kind = record[field.name], str(field.type)
        right = (
            value in _WORDS[kind] if kind in _WORDS else _is(value, {"int": int, "float": float, "bool": bool}[kind])
        )
        _check(right, f"{where}.{field.name}", value)
    return part(**record)


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _check(right: bool, where: str, value: Any) -> None:
    if not right:
        raise DegradeError(f"{where} of a recorded degradation cannot be {value!r}")


def _same_keys(cls: type[Any], record: Mapping[str, Any], where: str) -> None:
    wanted = {field.name for field in fields(cls)}
    if missing := sorted(wanted - set(record)):
        raise DegradeError(f"{where} has no {', '.join(missing)}")
    if unknown := sorted(set(record) - wanted):
        raise DegradeError(f"{where} has the unknown field {', '.join(unknown)}")
