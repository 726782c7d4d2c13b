"""The end of a run: rows of all shards in pair order, in one pass and little memory, and run.json.

A shard holds pairs of like numbers of steps, from anywhere in the run, and the manifest is in pair order. Rows are
dealt out to files by ranges of pairs, and each range is then sorted by itself: memory holds one range, the disk the
manifest twice for a moment.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from ..errors import DegradeError
from ..faults import MISSING
from ..objects import Out, each
from ..pipeline import records
from ..plan import Plan

Row = Mapping[str, Any]
FORMAT = "degrade-engine/run/2"
LEAST_RANGE, MOST_RANGES = 4096, 256  # pairs of a range; files that are open at once
TIMELINE = 100  # points, at most
FLAT = ("flat_passed_over", "flat_references")  # of a row, where there are any
BINS = 20  # of scores, to a power of ten


@dataclass
class Tally:
    """What run.json says of rows and shards, counted as they pass."""

    pairs: int = 0
    rejects: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)
    taus: Counter[int] = field(default_factory=Counter)
    kept: Counter[int] = field(default_factory=Counter)  # scores, by `bin_of`
    others: Counter[int] = field(default_factory=Counter)
    flat: Counter[str] = field(default_factory=Counter)  # references: flat_passed_over, flat_references
    row_steps: int = 0
    executed_row_steps: int = 0
    timeline: list[dict[str, float]] = field(default_factory=list)  # shard by shard: pairs and seconds

    def shard(self, head: records.Head) -> None:
        """The next shard, in computing order."""
        self.row_steps += head.row_steps
        self.executed_row_steps += head.executed_row_steps
        self.timeline.append({"pairs": len(head.pairs), **{one: head.seconds[one] for one in records.SECONDS}})
        self.refused(head.rejects)

    def refused(self, rejects: Iterable[dict[str, str]]) -> None:
        """Inputs and pairs that were left out: each once, however many pairs had drawn it."""
        for one in rejects:
            self.rejects.setdefault((one["role"], one["path"], one["reason"]), one)

    def row(self, row: Row) -> None:
        """The next pair."""
        self.pairs += 1
        self.taus[row["tau"]] += 1
        for name in FLAT:
            self.flat[name] += row.get(name, 0)
        for at, candidate in enumerate(row["candidates"]):
            if (score := candidate["score"]) is not None:
                (self.kept if at == row["kept"] else self.others)[bin_of(score)] += 1

    def rejected(self) -> Iterator[dict[str, str]]:
        """Inputs by role and path, then pairs by number: those that are known when the first is asked for."""
        for key in sorted(self.rejects, key=lambda k: (k[0] == "pair", k[0], k[1].zfill(20), k[2])):
            yield self.rejects[key]


def bin_of(score: float) -> int:
    """Which of BINS bins to a power of ten a score lies in: bin b holds 10^(b / BINS) up to the next."""
    return math.floor(BINS * math.log10(score)) if score > 0 else -20 * BINS


def rows_in_order(plan: Plan, out: Out, scratch: Path, tally: Tally) -> Iterator[dict[str, Any]]:
    """The manifest rows of all shards by pair. scratch: a folder for files that are removed on the way.

    Raises DegradeError where a shard's record is not there, OSError.
    """
    span = max(LEAST_RANGE, -(-plan.options.pairs // MOST_RANGES))
    scratch.mkdir(parents=True, exist_ok=True)
    paths = [scratch / f"rows-{first}" for first in range(0, plan.options.pairs, span)]
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(open(path, "wb")) for path in paths]
            for found in each(out, partial(_read, plan, out), range(len(plan.shards))):
                _deal(*found, files, span, tally)
        for path in paths:
            lines = path.read_bytes().splitlines()
            path.unlink()
            lines.sort(key=lambda line: int(line[: line.index(b" ")]))
            for line in lines:
                row = json.loads(line[line.index(b" ") :])
                tally.row(row)
                yield row
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _read(plan: Plan, out: Out, shard: int) -> tuple[records.Head, list[bytes]]:
    found = records.read_rows(out, plan.names(shard), shard)
    if found is None:
        raise DegradeError(f"The record {records.shard_path(out, shard)} has gone or changed", mend="run again")
    return found


def _deal(head: records.Head, lines: list[bytes], files: Sequence[IO[bytes]], span: int, tally: Tally) -> None:
    tally.shard(head)
    for pair, line in zip(head.pairs, lines, strict=True):
        files[pair // span].write(b"%d %b\n" % (pair, line))


def page(plan: Plan, tally: Tally, terms: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """run.json: what was made, what was left out, how fast, and what a report draws. Seconds are summed over processes,
    so pairs_per_second and busy_share are those of one process. terms: the licence of the engine's weights."""
    seconds = {name: round(sum(one[name] for one in tally.timeline), 3) for name in records.SECONDS}
    useful, executed = tally.row_steps, tally.executed_row_steps
    left_out = Counter(f"{role}: {reason}" for role, _, reason in tally.rejects)
    return {
        "format": FORMAT,
        "plan": plan.sha256,
        "engine": plan.engine,
        **(terms or {}),
        "preset": plan.options.recipe.label,
        "pairs": tally.pairs,
        "pairs_asked": plan.options.pairs,
        "rejects": dict(sorted(left_out.items())),
        "missing": sum(role != "pair" and reason in MISSING for role, _, reason in tally.rejects),
        **{name: count for name, count in tally.flat.items() if count},
        "row_steps": useful,
        "executed_row_steps": executed,
        "useful_share": round(useful / executed, 4) if executed else 1.0,
        "seconds": seconds,
        "pairs_per_second": round(tally.pairs / seconds["wall"], 3) if seconds["wall"] else None,
        "busy_share": round(seconds["engine"] / seconds["wall"], 4) if seconds["wall"] else None,
        "timeline": thinned(tally.timeline),
        "taus": _counts(tally.taus),
        "scores": {"bins": BINS, "kept": _counts(tally.kept), "others": _counts(tally.others)},
    }


def thinned(timeline: list[dict[str, float]]) -> list[dict[str, float]]:
    """Neighbouring shards together, so that there are at most TIMELINE of them."""
    size = max(1, -(-len(timeline) // TIMELINE))
    together = (timeline[at : at + size] for at in range(0, len(timeline), size))
    return [{key: round(sum(one[key] for one in some), 3) for key in some[0]} for some in together]


def _counts(counter: Counter[int]) -> dict[str, int]:
    return {str(key): counter[key] for key in sorted(counter)}
