"""A finished run, as the report reads it: of each page the fields that are shown, with their types and bounds checked,
so that nothing further on meets a number that is none, or a name that is a path."""

from __future__ import annotations

import re
import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..artefact import from_json, parse_json, read_bytes
from ..errors import DegradeError
from ..pipeline.records import SECONDS
from ..runners.books import FORMAT
from ..sinks.contract import check_stem
from ..sinks.merging import FORMAT as MERGED

SAMPLE = 450  # pairs whose rows are read, at least, where there are so many
MOST_COUNT, MOST_RATE, MOST_SIDE = 10**12, 1e9, 2**14
T = TypeVar("T")


@dataclass(frozen=True)
class Images:
    """What the plan says of its photographs."""

    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class PlanPage:
    """Of plan.json."""

    lr_size: int
    scale: int
    batch: int
    seed: int
    tau: str
    steps: int | Literal["full"]
    spacing: str
    solver: str
    eta: float
    start: str
    candidates: int
    filter: bool
    hr: Images
    reference: Images
    noise: float = 0.0
    variety: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _within("plan.json", {"lr_size": self.lr_size, "scale": self.scale}, MOST_SIDE)
        if not re.fullmatch(r"\d{1,5}:\d{1,5}", self.tau, re.ASCII):
            raise DegradeError(f"plan.json: tau is {self.tau[:20]!r}", wanted="1:30, for example")


@dataclass(frozen=True)
class Scores:
    """Of all candidates, counted by `books.bin_of`."""

    bins: int
    kept: dict[str, int]
    others: dict[str, int]

    def __post_init__(self) -> None:
        _within("run.json", {"bins": self.bins}, 1000, least=1)
        for counts in (self.kept, self.others):
            _counts("scores", counts, 300 * self.bins)


@dataclass(frozen=True)
class RunPage:
    """Of run.json."""

    engine: str
    preset: str
    pairs: int
    pairs_asked: int
    rejects: dict[str, int]
    useful_share: float
    seconds: dict[str, float]
    pairs_per_second: float | None
    busy_share: float | None
    timeline: list[dict[str, float]]
    taus: dict[str, int]
    scores: Scores
    licence: str | None = None  # of the engine's weights
    commercial: bool | None = None

    def __post_init__(self) -> None:
        _within("run.json", {"pairs": self.pairs, "pairs_asked": self.pairs_asked} | self.rejects, MOST_COUNT)
        rates = {name: getattr(self, name) or 0 for name in ("useful_share", "busy_share", "pairs_per_second")}
        _within("run.json", rates, MOST_RATE)
        _counts("taus", self.taus, 10**5)
        for one in (self.seconds, *self.timeline):
            if not one.keys() >= set(SECONDS):
                raise DegradeError("run.json: seconds are missing", wanted=", ".join(SECONDS))
            _within("run.json", one, MOST_COUNT)
        if self.pairs and not (self.taus and self.timeline and all("pairs" in one for one in self.timeline)):
            raise DegradeError("run.json: taus or timeline is empty", wanted="what a run with pairs has")


@dataclass(frozen=True)
class Source:
    """A photograph of a pair, and the crop: top, left, height, width."""

    path: str
    crop: tuple[int, int, int, int]

    def __str__(self) -> str:
        top, left, height, width = self.crop
        return f"{self.path}  {width}×{height} at {left}, {top}"


@dataclass(frozen=True)
class Candidate:
    """Its errors and score; None where nothing was scored."""

    degradation_error: float | None
    content_error: float | None
    score: float | None

    @property
    def scored(self) -> tuple[float, float, float] | None:
        """Score and errors, where all are there."""
        if self.score is None or self.degradation_error is None or self.content_error is None:
            return None
        return self.score, self.degradation_error, self.content_error


@dataclass(frozen=True)
class Row:
    """Of a line of manifest.jsonl."""

    name: str
    hr: Source
    reference: Source | None
    scale: int
    tau: int
    steps: int
    solver: str
    start: dict[str, Any]
    candidates: tuple[Candidate, ...]
    kept: int
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_stem(self.name)  # it becomes a file's name
        sizes = {"scale": self.scale, "candidates": len(self.candidates)}
        _within("manifest.jsonl", sizes, MOST_SIDE, least=1)
        _within("manifest.jsonl", {"kept": self.kept}, len(self.candidates) - 1)

    @property
    def kind(self) -> str:
        """Of the start."""
        return str(self.start.get("kind"))


@dataclass(frozen=True)
class Finished:
    """What a finished run left in its folder. Facts and figures of all pairs are in its page; of its rows it holds some
    from everywhere, in order, however long the manifest. facts: both pages as they are."""

    folder: Path
    plan: PlanPage
    page: RunPage
    sample: list[Row]
    facts: dict[str, Any]


def open_run(folder: Path, least: int = 24, named: Collection[str] | None = None) -> Finished:
    """Read a finished run with SAMPLE of its rows and `least` at least, where there are so many; or with those that
    are named. Raises DegradeError where there is no finished run."""
    for name, said in (("plan.json", "holds no run"), ("run.json", "holds a run that is not finished"),
                       ("manifest.jsonl", "holds a run that is not finished")):  # fmt: skip
        if not (folder / name).is_file():
            raise DegradeError(
                f"{folder} {said} ({name} is missing)",
                wanted="the --out folder of a finished `degrade-engine generate`",
                mend="repeat the generate command: it goes on where it stopped",
            )
    plan, page = (parse_json(read_bytes(folder / name), name) for name in ("plan.json", "run.json"))
    came = page.get("format") if isinstance(page, dict) else page
    if came == MERGED:
        raise DegradeError(f"{folder} is a merged set, without settings of its own", mend="`report` its parts")
    if came != FORMAT:
        raise DegradeError(f"run.json has the format {repr(came)[:80]}", wanted=FORMAT,
                           mend="repeat the generate command: it writes the page anew")  # fmt: skip
    shown = _some(RunPage, page, "run.json")
    rows = _rows(folder, max(SAMPLE, least), shown.pairs, named)
    return Finished(folder, _some(PlanPage, plan, "plan.json"), shown, rows, {"plan": plan, "run": page})


def _rows(folder: Path, least: int, pairs: int, named: Collection[str] | None) -> list[Row]:
    """Some rows from everywhere, or the named ones. Raises DegradeError unless there are as many as run.json says."""
    every, count, sample = max(1, pairs // max(1, least)), 0, list[Row]()
    try:
        with open(folder / "manifest.jsonl", "rb") as lines:
            for at, line in enumerate(lines):
                count += 1
                if named is not None or at % every == 0:
                    row = _some(Row, parse_json(line, "manifest.jsonl"), "manifest.jsonl")
                    sample += [row] if named is None or row.name in named else []
    except OSError as error:
        raise DegradeError(f"{error.filename} cannot be read ({error.strerror})") from error
    if count != pairs:
        raise DegradeError(f"manifest.jsonl has {count} rows, and run.json says {pairs}",
                           mend="repeat the generate command: it writes both anew")  # fmt: skip
    return sample


def _some(cls: type[T], page: Any, where: str) -> T:
    """The dataclass out of those keys of a page that it has: a page says more than a report shows."""
    if not isinstance(page, dict):
        raise DegradeError(f"{where} is {repr(page)[:80]}", wanted="an object")
    known = fields(typing.cast(Any, cls))
    usual = {one.name: one.default for one in known if one.default is not MISSING}
    return from_json(cls, usual | {one.name: page[one.name] for one in known if one.name in page}, where)


def _counts(name: str, counts: dict[str, int], most: float) -> None:
    """DegradeError unless the keys are whole numbers of at most that size."""
    if not all(re.fullmatch(r"-?\d{1,6}", key, re.ASCII) and abs(int(key)) <= most for key in counts):
        raise DegradeError(f"run.json: {name} has the keys {', '.join(counts)[:60]!r}", wanted="whole numbers")
    _within("run.json", counts, MOST_COUNT)


def _within(where: str, numbers: Mapping[str, float], most: float, least: float = 0) -> None:
    """DegradeError for the first of some numbers, by name, that is not least..most."""
    for name, value in numbers.items():
        if not least <= value <= most:
            raise DegradeError(f"{where}: {name[:40]} is {value}", wanted=f"{least:g} to {most:g}")
