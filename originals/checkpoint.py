"""Checkpoints: weights as safetensors, everything else in a JSON file of the same stem. Nothing is ever unpickled."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from degrade_engine.engine.artefact import read_json, sha256_file, to_json, tool_versions, write_json_atomic
from degrade_engine.engine.errors import DegradeError

from .realdgen.config import RealDGenConfig
from .realdgen.model import RealDGen
from .syndiff.config import SynDiffConfig
from .syndiff.model import SynDiff

Kind = Literal["realdgen", "syndiff"]
Model = RealDGen | SynDiff
Config = RealDGenConfig | SynDiffConfig
MODELS: dict[type, Kind] = {RealDGenConfig: "realdgen", SynDiffConfig: "syndiff"}

@dataclass(frozen=True)
class Checkpoint:
    """The JSON beside the weights. training: each stage's options in order; card: data, limits, licence."""

    kind: Kind
    config: Config
    weights_sha256: str
    training: tuple[dict[str, Any], ...]
    card: dict[str, Any]
    tools: dict[str, str] = field(default_factory=tool_versions)
    format: Literal["degrade-engine/checkpoint/1"] = "degrade-engine/checkpoint/1"


def save(
    state: dict[str, Tensor], config: Config, path: Path, training: list[dict[str, Any]], card: dict[str, Any]
) -> None:
    """Write PATH (.safetensors) and its JSON, each aside and renamed."""
    aside = path.with_suffix(".tmp")
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in state.items()}, aside)
    aside.chmod(0o644)
    history = tuple(to_json(entry) for entry in training)
    record = Checkpoint(MODELS[type(config)], config, sha256_file(aside), history, card)
    os.replace(aside, path)
    write_json_atomic(path.with_suffix(".json"), record)


def read_sidecar(path: Path) -> Checkpoint:
    """The JSON of a checkpoint, strict: an unknown or a missing key is an error."""
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            raise DegradeError(
                f"{file} does not exist",
                wanted="a .safetensors checkpoint with its .json beside it",
                mend="train one with `degrade-engine train`",
            )
    return read_json(Checkpoint, path.with_suffix(".json"))


def load(path: Path) -> tuple[Model, Checkpoint]:
    """(the model of whatever kind in eval mode, its sidecar)."""
    record = read_sidecar(path)
    if MODELS[type(record.config)] != record.kind:
        raise DegradeError(f"{path.with_suffix('.json')} is of the kind {record.kind!r}, its config of another")
    if sha256_file(path) != record.weights_sha256:
        raise DegradeError(
            f"{path} does not have the SHA-256 that {path.with_suffix('.json').name} names",
            wanted="the weights that the record was written for",
            mend="copy both files again",
        )
    config = record.config
    model = RealDGen(config) if isinstance(config, RealDGenConfig) else SynDiff(config)
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as e:
        raise DegradeError(f"{path} does not hold this model ({e})", wanted="its weights", mend="copy it again") from e
    return model.eval(), record


def load_realdgen(path: Path) -> tuple[RealDGen, Checkpoint]:
    """(the model in eval mode, its sidecar); DegradeError for a checkpoint of another kind."""
    model, record = load(path)
    if not isinstance(model, RealDGen):
        raise DegradeError(f"{path} holds a model of the kind {record.kind!r}", wanted="one of RealDGen")
    return model, record
