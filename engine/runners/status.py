"""How far a run is, by its plan and its shard records. Only reads, so that it may be asked of a run at work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artefact import from_json, parse_json, read_bytes, sha256_json
from ..errors import DegradeError
from ..pipeline import records
from ..plan import FORMAT, Options, Plan
from ..sinks import Output
from .run_folder import PLAN_JSON, RUN_JSON


@dataclass(frozen=True)
class Failed:
    """A pair that its shard could not make."""

    pair: int
    reason: str  # one machine word
    detail: str


@dataclass(frozen=True)
class Status:
    """A run's shards and pairs. torn: shards whose record is there and is not whole or not this plan's; they are among
    the missing ones and will be made again."""

    sink: str
    shards: int
    pairs: int  # asked for
    missing_shards: tuple[int, ...]
    torn: tuple[int, ...]
    made: int
    failed: tuple[Failed, ...]
    missing_pairs: tuple[int, ...]
    finished: bool  # every shard is done, and manifest and meta files are written

    def to_json(self) -> dict[str, Any]:
        """The page of --json."""
        return {
            "format": "degrade-engine/status/1",
            "finished": self.finished,
            "sink": self.sink,
            "shards": {
                "all": self.shards,
                "done": self.shards - len(self.missing_shards),
                "missing": list(self.missing_shards),
                "torn": list(self.torn),
            },
            "pairs": {
                "asked": self.pairs,
                "made": self.made,
                "failed": [{"pair": one.pair, "reason": one.reason, "detail": one.detail} for one in self.failed],
                "missing": list(self.missing_pairs),
            },
        }


def status(out: Path) -> Status:
    """Of the run in `out`. Raises DegradeError where there is none."""
    if not (out / PLAN_JSON).is_file():
        raise DegradeError(f"{out} holds no run ({PLAN_JSON} is missing)", wanted="the --out folder of `generate`")
    page = parse_json(read_bytes(out / PLAN_JSON), PLAN_JSON)
    plan, name, sink = _plan(page)
    missing_shards, torn, failed, missing_pairs, made = [], [], list[Failed](), list[int](), 0
    for shard in range(len(plan.shards)):
        head = records.read(out, name, shard)
        if head is None:
            missing_shards.append(shard)
            missing_pairs += plan.shard_pairs(shard)
            if records.shard_path(out, shard).exists():
                torn.append(shard)
            continue
        made += len(head.pairs)
        failed += [
            Failed(int(one["path"]), one["reason"], one["detail"]) for one in head.rejects if one["role"] == "pair"
        ]
    return Status(
        sink, len(plan.shards), plan.options.pairs, tuple(missing_shards), tuple(torn), made,
        tuple(sorted(failed, key=lambda one: one.pair)), tuple(sorted(missing_pairs)),
        finished=not missing_shards and (out / RUN_JSON).is_file(),
    )  # fmt: skip


def _plan(page: Any) -> tuple[Plan, str, str]:
    """The plan of plan.json without its photographs, the hash that names it in records, and the sink."""
    if not isinstance(page, dict) or page.get("format") != FORMAT:
        came = page.get("format") if isinstance(page, dict) else page
        raise DegradeError(f"{PLAN_JSON} has the format {came!r}", wanted=FORMAT, mend="use the version that made it")
    settings, output = Output.split(page)
    name = sha256_json(settings)
    for key in ("format", "hr", "reference", "pair_list"):
        settings.pop(key, None)
    lr_size, batch, engine, tau = (settings.pop(key, None) for key in ("lr_size", "batch", "engine", "tau"))
    low, _, high = str(tau).partition(":")
    if not isinstance(batch, int) or batch < 1 or not low.isdecimal() or not high.isdecimal():
        raise DegradeError(f"{PLAN_JSON}: batch is {batch!r} and tau is {tau!r}", wanted="16 and 1:30, for example")
    settings |= {"tau_low": int(low), "tau_high": int(high)}
    if settings.get("steps") == "full":
        settings["steps"] = None
    settings = Options.defaults() | settings  # the page leaves out what is as usual
    return Plan(from_json(Options, settings, PLAN_JSON), lr_size, batch, engine, (), ()), name, output.kind
