"""What an engine says about itself, `engine.json`, and whether it may be used here.

An engine is valid for one bundle, one LR size, batch and number of candidates, on one kind of machine with
one version of its runtime. All of that is the key. Opening compares the key with the files and the machine,
field by field, and refuses with the field's name and both values; an engine that did not pass its parity
gate, on this machine, is refused as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from . import backends, kinds
from .artefact import later, read_page, sha256_json
from .backends.tensorrt_plan import PlanProof
from .errors import DegradeError
from .kinds import ModelKind
from .schedule import Schedule
from .spec import FilterWeights, PartSpec, Precision, Preprocessing, Start, check_file, hr_scale, quantised

ENGINE_JSON = "engine.json"
REBUILD = "build it again, here, with `degrade-engine build BUNDLE -o ENGINE --rebuild`"
VERIFY = "run `degrade-engine verify ENGINE` on the machine that will use it"


@dataclass(frozen=True)
class EngineKey:
    """All that decides the engine. With the hashes of its files it names the engine in manifests (`seal`).

    backend        what runs it; target: "sm_89", the GPU's compute capability, None on a CPU
    runtime        the package that runs it, and its whole version
    settings       of the builder and of the session
    files          part -> hex SHA-256 of the bundle's ONNX file that it was made from
    machine        such as x86_64
    gpu            its name, and the versions of CUDA and of the driver; None where the engine was built ahead of
                   time or runs on the CPU: then they decide nothing
    """

    backend: str
    target: str | None
    runtime: str
    version: str
    settings: dict[str, str]
    bundle_sha256: str
    files: dict[str, str]
    precision_asked: Precision
    precision_computed: Precision
    lr_size: int
    batch: int
    candidates: int
    os: str
    machine: str
    gpu: str | None
    cuda: str | None
    driver: str | None


@dataclass(frozen=True)
class Bound:
    """The most that a comparison may be off: mean, 99th percentile and maximum of the absolute error."""

    mean: float
    p99: float
    max: float


Against = Literal["reference", "duplicate rows", "batch 1", "other neighbours"]
Unit = Literal["grey levels", "relative"]


@dataclass(frozen=True)
class Measure:
    """One comparison of the parity gate.

    part        a part's name, or "end to end"
    against     "reference" (FP32 ONNX Runtime, no optimisation), "duplicate rows", "batch 1", or where the batch is
                fixed "other neighbours"
    unit        "grey levels" of 0..255, or "relative" to the root mean square of what it is compared with
    error       what was found; a tolerance of just that would have passed
    not_finite  values that are NaN or infinite on either side; one is enough to fail
    """

    part: str
    against: Against
    unit: Unit
    error: Bound
    tolerance: Bound
    not_finite: int
    passed: bool


@dataclass(frozen=True)
class Parity:
    """The gate's report. Only "passed", on the GPU and driver that are here, lets an engine be opened.

    reason: why it was not run, "" if it was. gpu, driver: on which it was run, None for a CPU. probe: names of the
    photographs; tau, steps: of the end-to-end run.
    """

    state: Literal["passed", "failed", "not run"]
    reason: str = ""
    gpu: str | None = None
    driver: str | None = None
    probe: tuple[str, ...] = ()
    tau: int = 0
    steps: int = 0
    measures: tuple[Measure, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether it was run and nothing was off."""
        return self.state == "passed"


@dataclass(frozen=True)
class EngineSpec:
    """engine.json. licence, commercial: as in the bundle. parts: too, with one file each, "engine". plans: what was
    compiled, by part, with the proof of its precision; none on a CPU. key_sha256 seals the key and the files' hashes
    (`seal`).
    """

    kind: str
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
    plans: dict[str, PlanProof] = field(default_factory=dict)
    commercial: bool | None = later(None)
    format: Literal["degrade-engine/engine/2"] = "degrade-engine/engine/2"

    def __post_init__(self) -> None:
        self.model_kind.check(self.parts, ENGINE_JSON)

    @property
    def model_kind(self) -> ModelKind:
        """The page of its kind. DegradeError for one that does not exist."""
        return kinds.named(self.kind, ENGINE_JSON)

    @property
    def hr_scale(self) -> int | None:
        """HR over LR where the networks read the HR itself; None: any scale will do."""
        return hr_scale(self.parts)

    @property
    def terms(self) -> dict[str, Any]:
        """The licence of the weights, as run.json names it."""
        return {"licence": self.licence, "commercial": self.commercial}

    @property
    def lr_size(self) -> int:
        """Side of an LR image in pixels; HR is scale times that."""
        return self.key.lr_size

    @property
    def batch(self) -> int:
        """Pairs per batch, each with the number of candidates that it was built for."""
        return self.key.batch

    @property
    def candidates(self) -> int:
        """Candidates per pair that it was built for."""
        return self.key.candidates

    @property
    def rows(self) -> int:
        """R, candidates of all pairs that a step takes; so `rows // K` pairs with K candidates each."""
        return self.key.batch * self.key.candidates


def seal(key: EngineKey, parts: Mapping[str, PartSpec]) -> str:
    """Hex SHA-256 of the key and of the files. Two builds of one key are one engine only if the bytes agree."""
    return sha256_json({"key": key, "files": {name: part.files["engine"].sha256 for name, part in parts.items()}})


def sealed_engine_spec(folder: Path) -> EngineSpec:
    """Reads engine.json and checks its seal alone: what an engine is, on a machine that need not be able to use it."""
    path = Path(folder) / ENGINE_JSON
    if not path.is_file():
        raise DegradeError(
            f"{folder} holds no {ENGINE_JSON}", wanted="an engine made by `degrade-engine build`",
            mend="for a model's name: `generate --model`, or `degrade_engine.open_model`",
        )  # fmt: skip
    spec, _ = read_page(EngineSpec, path, REBUILD)
    if seal(spec.key, spec.parts) != spec.key_sha256:
        raise DegradeError(
            f"{path}: the key was changed after the build, or a file's hash (key_sha256 does not fit)", mend=REBUILD
        )
    return spec


def read_engine_spec(folder: Path) -> EngineSpec:
    """Reads engine.json and checks the seal, the files and the machine; whether it can run is not asked.

    DegradeError names what is off, with both values.
    """
    path, spec = Path(folder) / ENGINE_JSON, sealed_engine_spec(folder)
    key, runner = spec.key, backends.named(spec.key.backend)
    for name, part in spec.parts.items():
        file = part.files["engine"]
        check_file(path.parent, file)
        runner.check(path.parent / file.path)
        if not spec.plans and not quantised(key.precision_computed, part):  # the file is the bundle's own
            compare(f"{path}: files.{name}", key.files.get(name), file.sha256)
    for name, here in runner.here(key.target, key.precision_computed).items():
        built = getattr(key, name)
        if built is not None:  # None: built ahead of time, or for the CPU
            compare(f"{path}: {name}", built, here)
    return spec


def open_engine_spec(folder: Path) -> EngineSpec:
    """An engine that may be used here: in order, runnable, and through its parity gate on this machine."""
    spec = read_engine_spec(folder)
    runner = backends.named(spec.key.backend)
    if reason := runner.cannot_run(spec.key.target):
        raise DegradeError(f"{folder} cannot run here: {reason}", mend="build with --backend onnxruntime")
    parity = spec.parity
    if parity.state == "not run":
        raise DegradeError(f"{folder} has not been compared with its reference yet: {parity.reason}", mend=VERIFY)
    if parity.state == "failed":
        raise DegradeError(f"{folder} differs too much from its reference", mend=f"do not use it; {REBUILD}")
    here = runner.here(spec.key.target)
    for name in ("gpu", "driver"):
        if getattr(parity, name) != here[name]:
            raise DegradeError(
                f"{folder} was compared with its reference where {name} was {getattr(parity, name)!r}, and it is "
                f"{here[name]!r} here",
                mend=VERIFY,
            )
    return spec


def compare(name: str, built: object, here: object) -> None:
    """DegradeError with both values if a field of the key does not fit."""
    if built != here:
        raise DegradeError(f"{name} was {built!r} when the engine was built and is {here!r} here", mend=REBUILD)


def differing(old: EngineKey, new: EngineKey) -> list[str]:
    """Names of the fields in which two keys differ."""
    return [f.name for f in fields(EngineKey) if getattr(old, f.name) != getattr(new, f.name)]
