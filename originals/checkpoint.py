"""Checkpoints: weights as safetensors, everything else in a JSON file of the same stem. Nothing is ever unpickled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import Tensor, nn

from degrade_engine.engine.artefact import read_json, sha256_file, to_json, tool_versions, write_json_atomic
from degrade_engine.engine.errors import DegradeError

from .lway.config import LWayConfig
from .lway.model import LWay
from .realdgen.config import RealDGenConfig
from .realdgen.model import RealDGen
from .srresnet import SRResNet, SRResNetConfig
from .syndiff.config import SynDiffConfig
from .syndiff.model import SynDiff
from .uddm.config import DDMConfig, PDDMConfig, UDDMConfig
from .uddm.ddm import DDM
from .uddm.model import UDDM
from .uddm.pddm import PDDM
from .weights import fill, read_tensors, write_tensors

CheckpointKind = Literal["realdgen", "syndiff", "uddm", "ddm", "pddm", "lway", "srresnet"]
Config = RealDGenConfig | SynDiffConfig | UDDMConfig | DDMConfig | PDDMConfig | LWayConfig | SRResNetConfig
KINDS: dict[CheckpointKind, tuple[type, type[nn.Module]]] = {
    "realdgen": (RealDGenConfig, RealDGen),
    "syndiff": (SynDiffConfig, SynDiff),
    "uddm": (UDDMConfig, UDDM),
    "ddm": (DDMConfig, DDM),  # either branch of a UDDM, trained alone
    "pddm": (PDDMConfig, PDDM),
    "lway": (LWayConfig, LWay),
    "srresnet": (SRResNetConfig, SRResNet),
}
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """The JSON beside the weights. training: each stage's options in order; card: data, limits, licence."""

    kind: CheckpointKind
    config: Config
    weights_sha256: str
    training: tuple[dict[str, Any], ...]
    card: dict[str, Any]
    tools: dict[str, str] = field(default_factory=tool_versions)
    format: Literal["degrade-engine/checkpoint/1"] = "degrade-engine/checkpoint/1"

    def __post_init__(self) -> None:
        wanted = KINDS[self.kind][0]
        if not isinstance(self.config, wanted):
            raise DegradeError(
                f"A checkpoint of the kind {self.kind!r} has the sizes of another", wanted=wanted.__name__
            )


def save(
    state: dict[str, Tensor], config: Config, path: Path, training: list[dict[str, Any]], card: dict[str, Any]
) -> bool:
    """Write PATH (.safetensors) and its JSON, each aside and renamed. The kind is the configuration's. Returns False
    where both were there already: the JSON then goes on naming the tools that they were made with."""
    kind = next(kind for kind, (sizes, _) in KINDS.items() if isinstance(config, sizes))
    try:
        before = read_sidecar(path)
    except DegradeError:  # none, or a damaged one
        before = None
    digest = write_tensors(state, path)
    record = Checkpoint(kind, config, digest, tuple(to_json(entry) for entry in training), card)
    if before is not None and replace(before, tools=record.tools) == record:
        return False
    write_json_atomic(path.with_suffix(".json"), record)
    return True


def read_sidecar(path: Path) -> Checkpoint:
    """The JSON of a checkpoint, strict: an unknown or a missing key is an error."""
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            fact = f"{file} does not exist"
            wanted = "a .safetensors checkpoint with its .json beside it"
            raise DegradeError(fact, wanted=wanted, mend="train one with `degrade-engine train`")
    return read_json(Checkpoint, path.with_suffix(".json"))


def load(path: Path, wanted: type[M]) -> tuple[M, Checkpoint]:
    """(the model in eval mode, its sidecar). wanted: RealDGen, SynDiff, …, or nn.Module for whatever it is.
    DegradeError for a checkpoint of another kind, for weights that are not those that the record was written for, and
    for such as do not fit or are not finite. path: a .safetensors file, or a .pth, with its .json beside it."""
    record = read_sidecar(path)
    make = KINDS[record.kind][1]
    if not issubclass(make, wanted):
        names = ", ".join(kind for kind, (_, model) in KINDS.items() if issubclass(model, wanted))
        raise DegradeError(f"{path} holds a model of the kind {record.kind!r}", wanted=names)
    if sha256_file(path) != record.weights_sha256:
        fact = f"{path} does not have the SHA-256 that {path.with_suffix('.json').name} names"
        raise DegradeError(fact, wanted="the weights that the record was written for", mend="copy both files again")
    model = make(record.config)
    fill(model, read_tensors(path), path)
    return model.eval(), record
