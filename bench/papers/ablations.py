"""Table 5 without training anew: engines of a RealDGen whose F_deg or F_cont is zero wherever it is read.

The checkpoint's weights stay; its configuration names the extractor as ablated, and what follows it reads zeros, the
filter too, which then has nothing to compare by.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from degrade_engine.engine.artefact import write_json_atomic
from degrade_engine.engine.build import build
from degrade_engine.engine.engine_spec import EngineSpec
from degrade_engine.engine.errors import DegradeError

from .settings import Without


def ablated(checkpoint: Path, without: Without, like: EngineSpec, folder: Path) -> Path:
    """An engine folder below `folder`, of the size, batch and candidates of `like`."""
    from degrade_engine.export import export_checkpoint
    from degrade_engine.originals.checkpoint import read_sidecar
    from degrade_engine.originals.realdgen.config import RealDGenConfig

    record = read_sidecar(checkpoint)
    if not isinstance(record.config, RealDGenConfig):
        raise DegradeError(f"{checkpoint} holds a model of the kind {record.kind}", wanted="realdgen")
    lost = dataclasses.replace(record, config=dataclasses.replace(record.config, without=(without,)))
    folder.mkdir(parents=True)
    shutil.copyfile(checkpoint, folder / "ablated.safetensors")
    write_json_atomic(folder / "ablated.json", lost)
    export_checkpoint(folder / "ablated.safetensors", folder / "bundle", precisions=("fp32",))
    return build(folder / "bundle", folder / "engine", lr_size=like.lr_size, batch=like.batch,
                 candidates=like.candidates).folder  # fmt: skip
