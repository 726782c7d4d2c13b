"""What an engine says about itself, `engine.json`, and whether it may be used here.

An engine is valid for one bundle, one LR size, batch and number of candidates, on one kind of machine with
one version of its runtime. All of that is the key. Opening compares the key with the files and the machine,
field by field, and refuses with the field's name and both values; an engine that did not pass its parity
gate is refused as well.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from .artefact import read_json, sha256_json, tool_versions
from .errors import DegradeError
from .executor import SESSION_SETTINGS, import_onnxruntime
from .schedule import Schedule
from .spec import FilterWeights, PartSpec, Precision, Preprocessing, Start, check_file, check_parts

ENGINE_JSON = "engine.json"
REBUILD = "build it again with `degrade-engine build`"


@dataclass(frozen=True)
class EngineKey:
    """All that the engine's bytes and results depend on. Its SHA-256 is the engine's name in manifests.

    files: part -> hex SHA-256. settings: of the runtime's session. machine: such as x86_64.
    """

    bundle_sha256: str
    files: dict[str, str]
    precision_asked: Precision
    precision_computed: Precision
    lr_size: int
    batch: int
    candidates: int
    backend: Literal["onnxruntime"]
    settings: dict[str, str]
    onnxruntime: str
    os: str
    machine: str


@dataclass(frozen=True)
class Bound:
    """The most that a comparison may be off: mean, 99th percentile and maximum of the absolute error."""

    mean: float
    p99: float
    max: float


Against = Literal["reference", "duplicate rows", "batch 1"]


@dataclass(frozen=True)
class Measure:
    """One comparison of the parity gate.

    part        a part's name, or "end to end"
    against     "reference" (FP32 ONNX Runtime, no optimisation), "duplicate rows" or "batch 1"
    unit        "grey levels" of 0..255, or "relative" to the root mean square of what it is compared with
    error       what was found; a tolerance of just that would have passed
    not_finite  values that are NaN or infinite on either side; one is enough to fail
    """

    part: str
    against: Against
    unit: Literal["grey levels", "relative"]
    error: Bound
    tolerance: Bound
    not_finite: int
    passed: bool


@dataclass(frozen=True)
class Parity:
    """The report that let the engine through. probe: names of the photographs; tau, steps: of the
    end-to-end run.
    """

    passed: bool
    probe: tuple[str, ...]
    tau: int
    steps: int
    measures: tuple[Measure, ...]
    seconds: float


@dataclass(frozen=True)
class EngineSpec:
    """engine.json. parts: as in the bundle, with one file each, "engine". key_sha256 seals the key."""

    kind: Literal["realdgen"]
    schedule: Schedule
    preprocessing: Preprocessing
    starts: tuple[Start, ...]
    filter: FilterWeights
    licence: str
    parts: dict[str, PartSpec]
    key: EngineKey
    key_sha256: str
    parity: Parity
    tools: dict[str, str]
    format: Literal["degrade-engine/engine/1"] = "degrade-engine/engine/1"

    def __post_init__(self) -> None:
        check_parts(self.parts, ENGINE_JSON)

    @property
    def lr_size(self) -> int:
        """Side of an LR image in pixels; HR is scale times that."""
        return self.key.lr_size

    @property
    def batch(self) -> int:
        """Pairs a batch."""
        return self.key.batch

    @property
    def candidates(self) -> int:
        """Candidates a pair."""
        return self.key.candidates


def machine_fields() -> dict[str, object]:
    """Those fields of the key that are this machine's and this release's."""
    import_onnxruntime()
    version = tool_versions().get("onnxruntime") or tool_versions().get("onnxruntime-gpu")
    if version is None:
        raise DegradeError("ONNX Runtime is here without its package's version", mend="install it again with pip")
    return {
        "settings": SESSION_SETTINGS,
        "onnxruntime": version,
        "os": platform.system(),
        "machine": platform.machine(),
    }


def open_engine_spec(folder: Path) -> EngineSpec:
    """Reads engine.json and checks the seal, the files, the machine and the gate. DegradeError names what
    is off.
    """
    path = Path(folder) / ENGINE_JSON
    if not path.is_file():
        raise DegradeError(f"{folder} holds no {ENGINE_JSON}", wanted="an engine made by `degrade-engine build`")
    spec = read_json(EngineSpec, path)
    if sha256_json(spec.key) != spec.key_sha256:
        raise DegradeError(f"{path}: the key was changed after the build (key_sha256 does not fit)", mend=REBUILD)
    for name, part in spec.parts.items():
        reference = part.files["engine"]
        check_file(path.parent, reference)
        compare(f"{path}: files.{name}", spec.key.files.get(name), reference.sha256)
    for name, here in machine_fields().items():
        compare(f"{path}: {name}", getattr(spec.key, name), here)
    if not spec.parity.passed:
        raise DegradeError(f"{folder} did not pass its parity gate", mend=f"do not use it; {REBUILD}")
    return spec


def compare(name: str, built: object, here: object) -> None:
    """DegradeError with both values if a field of the key does not fit."""
    if built != here:
        raise DegradeError(f"{name} was {built!r} when the engine was built and is {here!r} here", mend=REBUILD)


def differing(old: EngineKey, new: EngineKey) -> list[str]:
    """Names of the fields in which two keys differ."""
    return [f.name for f in fields(EngineKey) if getattr(old, f.name) != getattr(new, f.name)]
