"""What a run remembers: a manifest row a pair, a record a shard.

A shard is done when its record is there, whole, and of this plan. The record is written last, by an atomic
rename, and holds its own hash: a torn or foreign record counts as none, and the shard is made again with the
same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .artefact import from_json, parse_json, sha256_json, write_json_atomic
from .errors import DegradeError
from .inputs import Inputs
from .plan import Plan
from .sink import stem_of

SECONDS = ("wall", "decode", "engine", "write")  # wall of the shard; decode and write are summed over threads


@dataclass(frozen=True)
class Record:
    """shards/00000.json. rows and rejects are plain JSON objects, in computing order."""

    shard: int
    plan: str  # SHA-256 of the plan's page
    rows: list[dict[str, Any]]
    rejects: list[dict[str, str]]
    row_steps: int  # useful ones: of rows that move a pair
    executed_row_steps: int  # all that the engine ran, padding and late joiners included
    seconds: dict[str, float]
    sha256: str = ""  # of everything above
    format: Literal["degrade-engine/shard/1"] = field(default="degrade-engine/shard/1")

    @property
    def stems(self) -> list[str]:
        """The names of its pairs."""
        return [row["name"] for row in self.rows]

    def sealed(self) -> Record:
        """The same record with its hash."""
        return replace(self, sha256=sha256_json(replace(self, sha256="")))


def shard_path(out: Path, shard: int) -> Path:
    """Where the record of a shard lies."""
    return out / "shards" / f"{shard:05d}.json"


def write(out: Path, record: Record) -> None:
    """Commit a shard."""
    write_json_atomic(shard_path(out, record.shard), record.sealed())


def read(out: Path, plan: str, shard: int) -> Record | None:
    """The record of a shard; None unless it is there, whole and of this plan. Its images are the sink's to find."""
    path = shard_path(out, shard)
    try:
        record = from_json(Record, parse_json(path.read_bytes(), path.name), path.name)
    except (OSError, DegradeError):
        return (
            None  # not a mistake of the user's: a killed run leaves this, and the shard is simply made again
        )
    if record != record.sealed() or record.plan != plan or record.shard != shard:
        return None
    return record


def row(
    plan: Plan,
    inputs: Inputs,
    degradation: Sequence[float],
    content: Sequence[float],
    score: Sequence[float],
    kept: int,
) -> dict[str, Any]:
    """The manifest row of a pair: enough to make it again. degradation, content, score: one number a
    candidate.
    """
    draw, options = inputs.draw, plan.options
    return {
        "pair": draw.pair,
        "name": stem_of(draw.pair),
        "hr": {"path": draw.hr.path, "crop": list(draw.hr_crop)},
        "reference": draw.reference and {"path": draw.reference.path, "crop": list(draw.reference_crop or ())},
        "scale": options.scale,
        "tau": plan.taus[draw.pair],
        "steps": plan.steps(draw.pair),
        "spacing": options.spacing,
        "solver": options.solver,
        "start": inputs.start_record,
        **({} if options.fusion_weight is None else {"fusion_weight": options.fusion_weight}),
        "seed": options.seed,
        "candidates": [
            {"degradation_error": number(d), "content_error": number(c), "score": number(s)}
            for d, c, s in zip(degradation, content, score, strict=True)
        ],
        "kept": kept,
        "engine": plan.engine,
    }


def number(value: float) -> float | None:
    """Six significant digits of a float32 figure; null for NaN and infinity, which JSON cannot say."""
    return float(f"{float(value):.6g}") if np.isfinite(value) else None
