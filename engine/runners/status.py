"""How far a run is, by its plan, its shard records and the heartbeats of its workers. Only reads, so that it may be
asked of a run at work.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..artefact import from_json, parse_json, read_bytes, sha256_json
from ..errors import DegradeError
from ..objects import Out, each
from ..pipeline import records
from ..plan import FORMAT, Options, Plan
from ..plan_page import pages_of
from ..sinks import Output
from .claims import Process
from .object_claims import at_work
from .run_folder import PLAN_JSON, RUN_JSON

RATE_S = 900.0
_RECORD = re.compile(r"[0-9]{5,9}\.json")


@dataclass(frozen=True)
class Failed:
    """A pair that its shard could not make."""

    pair: int
    reason: str  # one machine word
    detail: str


@dataclass(frozen=True)
class Status:
    """A run's shards and pairs. torn: shards whose record exists but is incomplete or of another plan; they count as
    missing and are made again. What is missing is listed when it is asked for: a plan may be long."""

    plan: Plan
    sink: str
    done: frozenset[int]  # shards
    torn: tuple[int, ...]
    made: int  # pairs
    failed: tuple[Failed, ...]
    finished: bool  # every shard is done, and manifest and meta files are written
    workers: tuple[Process, ...] = ()
    pairs_per_second: float | None = (
        None  # over the shards of the last RATE_S; None where fewer than two are that young
    )

    @property
    def shards(self) -> int:
        """How many there are."""
        return self.plan.shard_count

    @property
    def pairs(self) -> int:
        """How many were asked for."""
        return self.plan.options.pairs

    @property
    def missing_shards(self) -> tuple[int, ...]:
        """The shards that are to be made, in order."""
        return tuple(shard for shard in range(self.shards) if shard not in self.done)

    @property
    def missing_pairs(self) -> tuple[int, ...]:
        """Their pairs, in order."""
        return tuple(sorted(pair for shard in self.missing_shards for pair in self.plan.shard_pairs(shard)))

    @property
    def missing(self) -> int:
        """How many pairs those are."""
        ranges = (self.plan.shard_range(shard) for shard in self.done)
        return self.pairs - sum(last - first for first, last in ranges)

    @property
    def seconds_left(self) -> float | None:
        """At that rate; 0 where nothing is missing."""
        if not self.missing:
            return 0.0
        return self.missing / self.pairs_per_second if self.pairs_per_second else None

    def to_json(self) -> dict[str, Any]:
        """The page of --json."""
        return {
            "format": "degrade-engine/status/1",
            "finished": self.finished,
            "pairs_per_second": self.pairs_per_second,
            "seconds_left": self.seconds_left,
            "workers": [
                {"name": one.name, "host": one.host, "pid": one.pid, "silent_s": round(one.silent_s, 1),
                 "shards": list(one.shards)}
                for one in self.workers
            ],
            "sink": self.sink,
            "shards": {
                "all": self.shards,
                "done": len(self.done),
                "missing": list(self.missing_shards),
                "torn": list(self.torn),
            },
            "pairs": {
                "asked": self.pairs,
                "made": self.made,
                "failed": [{"pair": one.pair, "reason": one.reason, "detail": one.detail} for one in self.failed],
                "missing": list(self.missing_pairs),
            },
        }  # fmt: skip

    def to_metrics(self) -> str:
        """The same as Prometheus's text format 0.0.4 has it. What is not known has no line."""
        gauges: list[tuple[str, str, list[tuple[str, float | None]]]] = [
            ("finished", "1 when the set is complete", [("", float(self.finished))]),
            ("shards", "Shards, by state", [
                ('state="done"', len(self.done)), ('state="missing"', self.shards - len(self.done)),
                ('state="torn"', len(self.torn)),
            ]),
            ("pairs", "Pairs, by state", [
                ('state="asked"', self.pairs), ('state="made"', self.made), ('state="failed"', len(self.failed)),
                ('state="missing"', self.missing),
            ]),
            ("pairs_per_second", f"Rate over the last {RATE_S:.0f} s", [("", self.pairs_per_second)]),
            ("seconds_left", "Seconds left at that rate", [("", self.seconds_left)]),
            ("workers", "Processes with a heartbeat in the folder", [("", len(self.workers))]),
            ("worker_silent_seconds", "Seconds since a worker's last heartbeat", [
                (f'host="{one.host}",pid="{one.pid}",worker="{one.name}"', round(one.silent_s, 1))
                for one in self.workers
            ]),
        ]  # fmt: skip
        lines = []
        for name, about, values in gauges:
            known = [(labels, value) for labels, value in values if value is not None]
            if known:
                lines += [f"# HELP degrade_engine_{name} {about}.", f"# TYPE degrade_engine_{name} gauge"]
            for labels, value in known:
                lines.append(f"degrade_engine_{name}{f'{{{labels}}}' if labels else ''} {value:g}")
        return "".join(line + "\n" for line in lines)


def status(out: Out) -> Status:
    """Of the run in `out`. Raises DegradeError where there is none."""
    if not (out / PLAN_JSON).is_file():
        raise DegradeError(f"{out} holds no run ({PLAN_JSON} is missing)", wanted="the --out folder of `generate`")
    page = parse_json(read_bytes(out / PLAN_JSON), PLAN_JSON)
    plan, names, sink = _plan(page)
    done, torn, failed, made = set[int](), list[int](), list[Failed](), 0
    ends: list[tuple[float, int]] = []
    recorded = _recorded(out, plan)
    heads = each(out, lambda shard: records.read(out, names, shard), recorded)
    for (shard, changed), head in zip(recorded.items(), heads, strict=True):
        try:
            bad = [one for one in head.rejects if one["role"] == "pair"] if head else []
            lost = [Failed(int(one["path"]), one["reason"], one["detail"]) for one in bad]
        except (KeyError, ValueError):  # no record of ours
            head = None
        if head is None:
            torn.append(shard)
            continue
        done.add(shard)
        ends.append((changed, len(head.pairs)))
        made += len(head.pairs)
        failed += lost
    return Status(
        plan, sink, frozenset(done), tuple(torn), made, tuple(sorted(failed, key=lambda one: one.pair)),
        finished=len(done) == plan.shard_count and (out / RUN_JSON).is_file(),
        workers=tuple(at_work(out)), pairs_per_second=_rate(ends),
    )  # fmt: skip


def _rate(ends: list[tuple[float, int]]) -> float | None:
    """Pairs per second, from when each shard was committed (seconds) and its pairs: those after the first of the
    last RATE_S, over the time since then. None where nothing was committed in that time."""
    ends = sorted(ends)
    now = time.time()
    young = [one for one in ends if now - one[0] <= RATE_S]
    if len(young) < 2:
        return None
    return sum(pairs for _, pairs in young[1:]) / max(now - young[0][0], 1e-3)


def _recorded(out: Out, plan: Plan) -> dict[int, float]:
    """The shards of the plan that have a record, of whatever content, in order, and when it was written."""
    times: dict[str, float] = {}
    if isinstance(out, Path):
        with suppress(FileNotFoundError, NotADirectoryError):
            for one in (out / "shards").iterdir():
                with suppress(FileNotFoundError):  # it is made again at this moment
                    times[one.name] = one.stat().st_mtime
    else:
        times = {name: found.changed for name, found in (out / "shards").listed().items()}
    numbers = {int(name[:-5]): when for name, when in times.items() if _RECORD.fullmatch(name)}
    return {shard: numbers[shard] for shard in sorted(numbers) if shard < plan.shard_count}


def _plan(page: Any) -> tuple[Plan, set[str], str]:
    """The plan of plan.json without its photographs, the hashes that name it in records, and the sink."""
    if not isinstance(page, dict) or page.get("format") != FORMAT:
        came = page.get("format") if isinstance(page, dict) else page
        fact = f"{PLAN_JSON} has the format {repr(came)[:80]}"
        raise DegradeError(fact, wanted=FORMAT, mend="use the version that made it; a merged set has no run")
    settings, output = Output.split(page)
    for key in ("format", "hr", "reference", "pair_list", "start_sha256"):
        settings.pop(key, None)
    found = from_json(_Sizes, {one.name: settings.pop(one.name) for one in fields(_Sizes) if one.name in settings},
                      PLAN_JSON)  # fmt: skip
    if not 1 <= found.batch <= 2**16:
        raise DegradeError(f"{PLAN_JSON}: batch is {found.batch}", wanted="a whole number such as 16")
    options = Options.from_json(settings, PLAN_JSON)
    names = set(map(sha256_json, pages_of(Output.split(page)[0])))
    return Plan(options, found.lr_size, found.batch, found.engine, (), ()), names, output.kind


@dataclass(frozen=True)
class _Sizes:
    """What stands in plan.json beside the options."""

    lr_size: int
    batch: int
    engine: str
