"""Checkpoints: weights as safetensors, everything else in a JSON file of the same stem. Nothing is ever unpickled.

One record a kind, so that each reads its own sizes strictly; the functions at the end are what others call.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from degrade_engine.engine.artefact import read_json, sha256_file, to_json, tool_versions, write_json_atomic
from degrade_engine.engine.errors import DegradeError

from .lway.config import LWayConfig
from .lway.model import LWay
from .realdgen.config import RealDGenConfig
from .realdgen.model import RealDGen
from .srresnet import SRResNet, SRResNetConfig

Kind = Literal["realdgen", "lway", "srresnet"]
History = list[dict[str, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The JSON beside the weights. training: each stage's options in order; card: data, limits, licence."""

    kind: Kind
    config: Any
    weights_sha256: str
    training: tuple[dict[str, Any], ...]
    card: dict[str, Any]
    tools: dict[str, str] = field(default_factory=tool_versions)
    format: Literal["degrade-engine/checkpoint/1"] = "degrade-engine/checkpoint/1"


@dataclass(frozen=True)
class RealDGenCheckpoint(Checkpoint):
    kind: Literal["realdgen"]
    config: RealDGenConfig


@dataclass(frozen=True)
class LWayCheckpoint(Checkpoint):
    kind: Literal["lway"]
    config: LWayConfig


@dataclass(frozen=True)
class SRResNetCheckpoint(Checkpoint):
    kind: Literal["srresnet"]
    config: SRResNetConfig


Record = TypeVar("Record", bound=Checkpoint)
Model = TypeVar("Model", bound=nn.Module)


def read_sidecar(path: Path, record: type[Record] = RealDGenCheckpoint) -> Record:  # type: ignore[assignment]
    """The JSON of a checkpoint, strict: an unknown or a missing key is an error, and so is another kind than
    `record`'s."""
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            raise DegradeError(
                f"{file} does not exist",
                wanted="a .safetensors checkpoint with its .json beside it",
                mend="train one with `degrade-engine train`",
            )
    return read_json(record, path.with_suffix(".json"))


def save_realdgen(state: dict[str, Tensor], config: RealDGenConfig, path: Path, training: History,
                  card: dict[str, Any]) -> None:  # fmt: skip
    """Write PATH (.safetensors) and its JSON, each aside and renamed."""
    _save(state, path, lambda sha256: RealDGenCheckpoint("realdgen", config, sha256, _entries(training), card))


def save_lway(state: dict[str, Tensor], config: LWayConfig, path: Path, training: History,
              card: dict[str, Any]) -> None:  # fmt: skip
    """The same of an LWay reconstruction network."""
    _save(state, path, lambda sha256: LWayCheckpoint("lway", config, sha256, _entries(training), card))


def save_srresnet(state: dict[str, Tensor], config: SRResNetConfig, path: Path, training: History,
                  card: dict[str, Any]) -> None:  # fmt: skip
    """The same of an SRResNet."""
    _save(state, path, lambda sha256: SRResNetCheckpoint("srresnet", config, sha256, _entries(training), card))


def load_realdgen(path: Path) -> tuple[RealDGen, RealDGenCheckpoint]:
    """(the model in eval mode, its sidecar)."""
    record = read_sidecar(path, RealDGenCheckpoint)
    return _filled(RealDGen(record.config), record, path), record


def load_lway(path: Path) -> tuple[LWay, LWayCheckpoint]:
    """(the model in eval mode, its sidecar)."""
    record = read_sidecar(path, LWayCheckpoint)
    return _filled(LWay(record.config), record, path), record


def load_srresnet(path: Path) -> tuple[SRResNet, SRResNetCheckpoint]:
    """(the model in eval mode, its sidecar)."""
    record = read_sidecar(path, SRResNetCheckpoint)
    return _filled(SRResNet(record.config), record, path), record


def _entries(training: History) -> tuple[dict[str, Any], ...]:
    return tuple(to_json(entry) for entry in training)


def _save(state: dict[str, Tensor], path: Path, record: Callable[[str], Checkpoint]) -> None:
    aside = path.with_suffix(".tmp")
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in state.items()}, aside)
    aside.chmod(0o644)
    page = record(sha256_file(aside))
    os.replace(aside, path)
    write_json_atomic(path.with_suffix(".json"), page)


def _filled(model: Model, record: Checkpoint, path: Path) -> Model:
    """The model with the weights of `path`, which must be those that the record was written for."""
    if sha256_file(path) != record.weights_sha256:
        raise DegradeError(
            f"{path} does not have the SHA-256 that {path.with_suffix('.json').name} names",
            wanted="the weights that the record was written for",
            mend="copy both files again",
        )
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as e:
        raise DegradeError(f"{path} does not hold this model ({e})", wanted="its weights", mend="copy it again") from e
    return model.eval()
