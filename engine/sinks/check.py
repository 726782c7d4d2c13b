"""Can a trainer learn from a set of pairs? Every image is read back, decoded once and held against its partner.

A pair is looked at by itself (`look`, in several threads), then against the rest (`Whole`). Memory holds a few pairs'
pixels, and less than a kilobyte a pair for names, sizes, hashes and traces.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..artefact import parse_json, read_bytes
from ..cores import cores
from ..errors import DegradeError
from . import SinkKind, layouts, pairs
from .look import Doubt, Looked, hashed, look
from .owners import Owners
from .pairs import Problem, Sample, Say

SEARCHED = 10_000  # LQ whose picture is looked for among all GT: of a million, minutes


@dataclass(frozen=True)
class Report:
    """What came of a check. kind: of the sink, or "files" where no run made them; shared_gt: pairs whose GT is an
    earlier one's because the plan drew the same crop, or the folder has several LQ of it."""

    kind: SinkKind | Literal["files"]
    pairs: int
    shared_gt: int
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """The page of --json."""
        return {
            "format": "degrade-engine/check/1",
            "sink": self.kind,
            "pairs": self.pairs,
            "shared_gt": self.shared_gt,
            "ok": not self.problems,
            "by_check": dict(sorted(Counter(one.check for one in self.problems).items())),
            "problems": [asdict(one) for one in self.problems],
        }


def check(folder: Path, *, threads: int | None = None, say: Say = lambda problem: None) -> Report:
    """Read all pairs of `folder` back. threads: that decode (default: one a physical core); say: is called with each
    problem as it is found. Raises DegradeError where there are no pairs to check.
    """
    problems: list[Problem] = []

    def found(problem: Problem) -> None:
        problems.append(problem)
        say(problem)

    whole = Whole(found)
    kind: SinkKind | Literal["files"]
    if layouts.foreign(folder):
        kind, file_format, matches = "files", None, layouts.find(folder, found)
        whole.crops = {one.name: hashed(str(one.gt).encode()) for one in matches}
        samples = layouts.stream(matches)
    else:
        kind, file_format = pairs.kind_of(folder), pairs.format_of(folder)
        whole.read(folder, kind)
        samples = pairs.stream(folder, kind, found)
    with ThreadPoolExecutor(threads or cores(), thread_name_prefix="check") as pool:
        each = partial(look, scale=whole.scale, file_format=file_format)
        for looked in _in_order(pool, samples, each, 4 * (threads or cores())):
            whole.add(looked)
    whole.close()
    return Report(kind, whole.count, whole.shared_gt, tuple(problems))


class Whole:
    """What only the set shows: names, counts, sizes on record, what comes twice, and whose picture an LQ shows."""

    def __init__(self, say: Say) -> None:
        self._say, self.count, self.shared_gt = say, 0, 0
        self.scale: int | None = None
        self.crops: dict[str, bytes] = {}  # name -> hash of what its GT is made of
        self._made: int | None = None
        self._metas: list[pairs.Meta] = []
        self._rows: dict[str, bytes] | None = None  # stem -> hash of its line in the manifest
        self._seen: set[str] = set()
        self._first: dict[tuple[str, bytes], str] = {}
        self._owners = Owners()
        self._doubts: list[tuple[str, Doubt]] = []

    def read(self, folder: Path, kind: SinkKind) -> None:
        """What is on record about the pairs of a sink; what a run writes only if one made them."""
        say = self._say
        self._metas = pairs.metas(folder, kind, say)
        if not pairs.made_here(folder):
            return
        self.scale, self._made = _planned(folder, say)
        rows: dict[str, bytes] = {}
        for row, line in pairs.rows(folder, say):
            if row["name"] in rows:
                say(Problem(row["name"], "manifest", "one row", "two"))
            rows[row["name"]] = hashed(line)
            self.crops[row["name"]] = hashed(str(row.get("hr", row["name"])).encode())
        self._rows = rows if (folder / "manifest.jsonl").is_file() else None

    def add(self, looked: Looked) -> None:
        """The next pair."""
        stem = looked.stem
        self.count += 1
        for problem in looked.problems:
            self._say(problem)
        if stem in self._seen:
            self._say(Problem(stem, "pair", "each pair once", "twice"))
        self._seen.add(stem)
        for meta in self._metas:
            size, recorded = (looked.gt_size if meta.role == "gt" else looked.lq_size), meta.sizes.get(stem)
            if size and recorded and size != recorded:
                self._say(Problem(stem, "meta", f"{recorded} as {meta.name} says", f"{size}"))
        if looked.row and self._rows is not None and looked.row != self._rows.get(stem, looked.row):
            self._say(Problem(stem, "manifest", "the manifest's row beside the images", "another"))
        before = self._first.setdefault(("lq", looked.lq), stem)
        if before != stem:
            self._say(Problem(stem, "duplicate", "an LQ of its own", f"the bytes of {before}"))
        before = self._first.setdefault(("gt", looked.gt), stem)
        if before != stem and self._same_crop(stem, before):
            self.shared_gt += 1
        elif before != stem:
            self._say(Problem(stem, "duplicate", "a GT of its own", f"the bytes of {before}"))
        if looked.trace:
            self._owners.add(stem, looked.trace)
        if looked.doubt:
            self._doubts.append((stem, looked.doubt))

    def close(self) -> None:
        """No more pairs: whose picture the doubtful LQ show, what is on record and is not there, and the reverse."""
        self._foreign()
        lists = [(meta.name, set(meta.sizes)) for meta in self._metas]
        if self._rows is not None:
            lists.append(("manifest.jsonl", set(self._rows)))
        for name, listed in lists:
            for stem in sorted(listed - self._seen):
                self._say(Problem(stem, "count", f"a whole pair, since {name} names it", "none"))
            for stem in sorted(self._seen - listed):
                self._say(Problem(stem, "count", f"a line in {name}", "none"))
        if self._made is not None and self._made != self.count:
            self._say(Problem("run.json", "count", f"{self._made} pairs", f"{self.count}"))
        if not self.count:
            self._say(Problem("set", "count", "pairs", "not one"))

    def _foreign(self) -> None:
        wanted = "an LQ that shows its GT"
        doubts = sorted(self._doubts, key=lambda one: one[1].sure)  # those first that are named only if they are found
        searched = [(stem, doubt.trace) for stem, doubt in doubts[:SEARCHED]]
        owned = dict(zip((stem for stem, _ in searched), self._owners.find(searched), strict=True))
        for stem, doubt in self._doubts:
            if owner := owned.get(stem):
                self._say(Problem(stem, "picture", wanted, f"the picture of {owner}"))
            elif doubt.sure:
                self._say(Problem(stem, "picture", wanted, "another picture"))

    def _same_crop(self, stem: str, before: str) -> bool:
        crop = self.crops.get(stem)
        return crop is not None and crop == self.crops.get(before)


def _in_order(
    pool: ThreadPoolExecutor, samples: Iterable[Sample], each: Callable[[Sample], Looked], ahead: int
) -> Iterator[Looked]:
    waiting: deque[Future[Looked]] = deque()
    for sample in samples:
        waiting.append(pool.submit(each, sample))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _planned(folder: Path, say: Say) -> tuple[int | None, int | None]:
    """The scale of plan.json and the number of pairs of run.json; None where they are not said."""
    found: list[int | None] = []
    for name, key in (("plan.json", "scale"), ("run.json", "pairs")):
        value: Any = None
        if (folder / name).is_file():
            try:
                page = parse_json(read_bytes(folder / name), name)
                value = page.get(key) if isinstance(page, dict) else None
            except DegradeError as error:
                say(Problem(name, "run", "the page of a finished run", error.fact))
        else:
            say(Problem(name, "run", "the page of a finished run", "none"))
        found.append(value if isinstance(value, int) else None)
    return found[0], found[1]
