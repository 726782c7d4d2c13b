"""Checkpoints: weights as safetensors, everything else in a JSON file of the same stem. Nothing is ever unpickled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import types
import typing
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from degrade_engine.engine.errors import DegradeError

from .realdgen.config import RealDGenConfig
from .realdgen.model import RealDGen

FORMAT = "degrade-engine/checkpoint/1"
KEYS = {"format", "kind", "config", "weights_sha256", "training", "card", "tools"}


def save_realdgen(
    state: dict[str, Tensor], config: RealDGenConfig, path: Path, training: list[dict], card: dict[str, Any]
) -> None:
    """Write PATH (.safetensors) and its JSON: config, the options of each stage, the card (data, figures, limits)."""
    aside = path.with_suffix(".tmp")
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in state.items()}, aside)
    digest = hashlib.sha256(aside.read_bytes()).hexdigest()
    sidecar = {
        "format": FORMAT,
        "kind": "realdgen",
        "config": dataclasses.asdict(config),
        "weights_sha256": digest,
        "training": training,
        "card": card,
        "tools": {"torch": torch.__version__, "python": platform.python_version()},
    }
    os.replace(aside, path)
    aside.write_text(json.dumps(sidecar, indent=1) + "\n")
    os.replace(aside, path.with_suffix(".json"))


def read_sidecar(path: Path) -> dict[str, Any]:
    """The JSON of a checkpoint, strict: an unknown or a missing key is an error."""
    sidecar = path.with_suffix(".json")
    if not path.is_file() or not sidecar.is_file():
        raise DegradeError(
            f"{path if not path.is_file() else sidecar} does not exist",
            wanted="a .safetensors checkpoint with its .json beside it",
            mend="train one with `degrade-engine train`",
        )
    try:
        record = json.loads(sidecar.read_text())
    except json.JSONDecodeError as e:
        raise DegradeError(
            f"{sidecar} is not JSON ({e})", wanted="the file that training wrote", mend="copy it again"
        ) from e
    if record.get("format") != FORMAT or set(record) != KEYS:
        raise DegradeError(
            f"{sidecar} has format {record.get('format')!r} and keys {sorted(record)}",
            wanted=f"{FORMAT} with exactly {sorted(KEYS)}",
            mend="use the file that training wrote",
        )
    return record


def load_realdgen(path: Path) -> tuple[RealDGen, dict[str, Any]]:
    """(the model in eval mode, its sidecar)."""
    record = read_sidecar(path)
    if record["kind"] != "realdgen":
        raise DegradeError(
            f"{path} is a checkpoint of kind {record['kind']!r}", wanted="kind realdgen", mend="give another one"
        )
    config = build(RealDGenConfig, record["config"])
    if hashlib.sha256(path.read_bytes()).hexdigest() != record["weights_sha256"]:
        raise DegradeError(
            f"{path} does not have the SHA-256 that {path.with_suffix('.json').name} names",
            wanted="the weights that the record was written for",
            mend="copy both files again",
        )
    model = RealDGen(config)
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as e:
        raise DegradeError(f"{path} does not hold this model ({e})", wanted="its weights", mend="copy it again") from e
    return model.eval(), record


def build(kind: type, record: dict[str, Any]) -> Any:
    """A frozen dataclass from parsed JSON, strict about keys, lists to tuples, nested dataclasses too."""
    hints = typing.get_type_hints(kind)
    if unknown := set(record) - set(hints):
        raise DegradeError(
            f"unknown key {sorted(unknown)[0]!r} of {kind.__name__}",
            wanted=f"only {sorted(hints)}",
            mend="use a matching version of degrade-engine",
        )
    values: dict[str, Any] = {}
    for key, value in record.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            value = build(hint, value)
        elif typing.get_origin(hint) in (tuple, types.UnionType) and isinstance(value, list):
            value = tuple(value)
        values[key] = value
    return kind(**values)
