"""What a run remembers: a manifest row a pair, a record a shard.

    shards/00000.json    one JSON object, laid out so that it can be read in parts:
                         a line of facts (`Head`), a line a manifest row, and last its own hash

A shard is done when its record is there, whole, and of this plan. The record is written last, by an atomic rename; a
torn or foreign one counts as none, and the shard is made again with the same bytes. Whether it is whole is seen from
its bytes alone, so that a million pairs are gone on with in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ..artefact import from_json, parse_json, sha256_bytes, to_json, write_bytes_atomic
from ..errors import DegradeError
from ..inputs.loading import Inputs
from ..objects import ObjectPath, Out
from ..plan import Plan
from ..sinks.contract import json_line, stem_of

SECONDS = ("wall", "decode", "degrade", "engine", "write", "starved", "blocked")
"""wall: from the shard's first batch to its last; decode, degrade and write: summed over threads; starved and blocked:
what the engine waited for inputs and for room to write."""
FORMAT: Literal["degrade-engine/shard/3"] = "degrade-engine/shard/3"
_ROWS, _END = b'"rows": [\n', b"],\n"


@dataclass(frozen=True)
class Head:
    """The facts of a shard, the first line of its record. pairs: those that were made, as their rows come; sizes: what
    the sink's `commit` returned, nothing in a record of an older release.
    """

    format: Literal["degrade-engine/shard/2", "degrade-engine/shard/3"] = field(default=FORMAT, kw_only=True)
    shard: int
    plan: str  # SHA-256 of the plan's page
    pairs: list[int]
    rejects: list[dict[str, str]]
    row_steps: int  # useful ones: of rows that move a pair
    executed_row_steps: int  # all that the engine ran, padding and late joiners included
    seconds: dict[str, float]
    sizes: dict[str, list[int]] = field(default_factory=dict)

    def stems(self, prefix: str = "") -> list[str]:
        """The names of its pairs. prefix: `Options.name_prefix`."""
        return [stem_of(pair, prefix) for pair in self.pairs]


@dataclass(frozen=True)
class Record:
    """A shard's facts and the manifest rows of its pairs, both in computing order."""

    head: Head
    rows: list[dict[str, Any]]

    def with_sizes(self, sizes: dict[str, list[int]]) -> Record:
        """The record of a shard that the sink has committed."""
        return replace(self, head=replace(self.head, sizes=sizes))

    def to_bytes(self) -> bytes:
        """The file."""
        facts = json.dumps(to_json(self.head), allow_nan=False)[:-1].encode() + b",\n"
        lines = b",\n".join(json_line(row).encode().rstrip() for row in self.rows)
        body = facts + _ROWS + lines + (b"\n" if lines else b"") + _END
        return body + b'"sha256": "' + sha256_bytes(body).encode() + b'"}\n'


def shard_path(out: Out, shard: int) -> Out:
    """Where the record of a shard lies."""
    return out / "shards" / f"{shard:05d}.json"


def write(out: Out, record: Record) -> None:
    """Commit a shard. In a store, whoever was taken for dead and was not leaves the record that its successor wrote."""
    path, head = shard_path(out, record.head.shard), record.head
    if isinstance(path, ObjectPath):
        if path.create(record.to_bytes()):
            return
        there = read(out, head.plan, head.shard)
        if there is not None and (there.pairs, there.sizes) == (head.pairs, head.sizes):
            return
    write_bytes_atomic(path, record.to_bytes())


def read(out: Out, plan: str | Collection[str], shard: int) -> Head | None:
    """The facts of a shard; None unless its record is there, whole and of this plan, or of one of these
    (`Plan.names`). Its images are the sink's to find. Raises MachineFault where a store does not answer.
    """
    found = _parts(out, plan, shard)
    return found and found[0]


def read_rows(out: Out, plan: str | Collection[str], shard: int) -> tuple[Head, list[bytes]] | None:
    """The same with its manifest rows, each the JSON of one line."""
    found = _parts(out, plan, shard)
    if found is None:
        return None
    head, body = found
    return head, [line.rstrip(b",") for line in body[body.index(_ROWS) + len(_ROWS) :].splitlines()[:-1]]


def _parts(out: Out, plan: str | Collection[str], shard: int) -> tuple[Head, bytes] | None:
    """Facts, and all bytes before the hash; what a killed run leaves is no mistake of the user's."""
    path = shard_path(out, shard)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    try:
        body, _, seal = data.rpartition(b'"sha256": "')
        if seal != sha256_bytes(body).encode() + b'"}\n':
            return None
        facts = parse_json(body.partition(b"\n")[0].rstrip(b",") + b"}", path.name)
        if isinstance(facts, dict) and facts.get("format") != FORMAT:
            facts = {"sizes": {}} | facts
        head = from_json(Head, facts, path.name)
    except DegradeError:
        return None
    named = head.plan == plan if isinstance(plan, str) else head.plan in plan
    return (head, body) if named and head.shard == shard else None


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
    draw, options, recipe = inputs.draw, plan.options, plan.options.recipe
    return {
        "pair": draw.pair,
        "name": stem_of(draw.pair, options.name_prefix),
        "hr": {"path": draw.hr.path, "crop": list(draw.hr_crop)},
        "reference": draw.reference
        and {
            "path": draw.reference.path,
            "crop": list(draw.reference_crop or ()),
            **({} if draw.cluster is None else {"cluster": draw.cluster}),
        },
        **(
            {"other_references": [{"path": one.path, "crop": list(crop)} for one, crop in draw.others]}
            if draw.others
            else {}
        ),
        **({"flat_passed_over": draw.passed_over} if draw.passed_over else {}),
        **({"flat_references": draw.flat} if draw.flat else {}),
        "scale": options.scale,
        "tau": plan.taus[draw.pair],
        "steps": plan.steps(draw.pair),
        "spacing": recipe.spacing,
        "solver": recipe.solver,
        "start": inputs.start_record,
        **({} if recipe.fusion_weight is None else {"fusion_weight": recipe.fusion_weight}),
        **({"noise": recipe.noise} if recipe.noise else {}),
        **({"variety": recipe.variety} if recipe.variety != 1 else {}),
        **({"temperature": recipe.temperature} if recipe.temperature != 1 else {}),
        **({} if options.tile_overlap is None else {"tile_overlap": options.tile_overlap}),
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
