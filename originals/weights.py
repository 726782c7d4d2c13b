"""Tensors in files. Ours are safetensors, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

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
