"""Tensors in files. Ours are safetensors, written whole or not at all; others' may be a .pth, of which nothing is ever
run: torch's `weights_only` reader knows tensors and plain containers, and refuses every other name in the pickle."""

from __future__ import annotations

import contextlib
import os
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from degrade_engine.engine.artefact import sha256_file
from degrade_engine.engine.errors import DegradeError


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> str:
    """Write PATH (.safetensors) aside, flush it to the disk, rename it. Returns its SHA-256. Raises DegradeError where
    that cannot be done; what was there stays."""
    aside = path.with_suffix(".tmp")
    whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        save_file(whole, aside, metadata=metadata)
        aside.chmod(0o644)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        digest = sha256_file(aside)
        os.replace(aside, path)
    except (OSError, SafetensorError) as e:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise DegradeError(f"{path} cannot be written ({e})") from e
    return digest


def read_tensors(path: Path) -> dict[str, Any]:
    """What a .safetensors file, or a .pth (.pt, .ckpt) of torch.save, holds: a state dict, also one that lies under a
    usual name such as "params". Raises DegradeError for any other file, and for a pickle that holds more."""
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # a file of unknown origin can make the readers raise anything
        why, mend = first_line(e), ""
        if isinstance(e, pickle.UnpicklingError) or "weights_only" in str(e):  # whose text advises to run the file
            why = "it is damaged, or holds more than tensors, and nothing of a file is run"
            mend = "save its state dict with torch.save, or as .safetensors"
        raise DegradeError(f"{path} cannot be read as weights ({why})", mend=mend) from e
    for name in ("model_state_dict", "state_dict", "params_ema", "params", "model"):
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise DegradeError(f"{path} holds a {type(found).__name__}", wanted="a state dict: tensors by their names")
    return found


def fill(model: nn.Module, tensors: Mapping[str, Any], path: Path) -> None:
    """Load a state dict; its names may all begin with "module." or "_orig_mod.", as wrapped models save theirs. Raises
    a DegradeError that names what is missing, unknown, of another shape or kind, or holds NaN or infinity."""
    for prefix in ("module.", "_orig_mod."):
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    wanted = model.state_dict()
    shared = {name: value for name, value in tensors.items() if name in wanted}
    misfits = [
        f"{name} ({_kind(value)} instead of {_kind(wanted[name])})"
        for name, value in shared.items()
        if not (isinstance(value, Tensor) and value.shape == wanted[name].shape)
        or value.is_floating_point() != wanted[name].is_floating_point()
    ]
    problems = {
        "it lacks": [name for name in wanted if name not in tensors],
        "the model knows no": [name for name in tensors if name not in wanted],
        "what does not fit is": misfits,
    }
    if not misfits:
        broken = [name for name, value in shared.items() if not torch.isfinite(value.float()).all()]
        problems["there are NaN or infinite values in"] = broken
    if told := [f"{problem} {_some(names)}" for problem, names in problems.items() if names]:
        fact = f"{path} does not hold this model: {'; '.join(told)}"
        raise DegradeError(fact, wanted="the weights of this kind and these sizes, all of them finite numbers")
    model.load_state_dict(dict(tensors))


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
