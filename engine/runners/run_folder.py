"""A run's folder: made or gone on with, and which of its shards are done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..artefact import parse_json, read_bytes, write_json_atomic
from ..errors import DegradeError
from ..objects import Listing, ObjectPath, Out, each
from ..pipeline import records
from ..pipeline.generate import Draft
from ..plan import Plan
from ..plan_page import difference, pages_of
from ..planning import Begun
from ..sinks import Output, open_sink_at, require
from ..sinks.durable import sync
from ..sinks.objects import ObjectSink
from ..sinks.sink import Sink
from .claims import FOLDER as CLAIMS
from .claims import LEASE_S, Claims
from .object_claims import claiming

PLAN_JSON = "plan.json"
RUN_JSON = "run.json"
Identity = tuple[int | str, float]


@dataclass(frozen=True)
class RunFolder:
    """A run's folder, open. done: the shards that were found done; they are not looked for again. closed: which
    run.json lay there (`identity`). new: the shards that had no record.
    """

    plan: Plan
    out: Out
    sink: Sink | ObjectSink
    done: set[int]
    output: Output = Output()
    closed: Identity | None = None
    recorded: Listing | None = None  # the records in a store
    new: set[int] = field(default_factory=set)  # on a file system

    def missing(self) -> list[int]:
        """The shards that are not done, in order."""
        return [shard for shard in range(len(self.plan.shards)) if shard not in self.done]

    def look(self, shard: int, sure: bool = False) -> bool:
        """Whether a shard is done: its record is whole and of this plan, and its pairs are there. Remembered. sure: as
        of now, where a store's listing may be some seconds old."""
        if shard not in self.done:
            if self.recorded and not sure and records.shard_path(self.out, shard).name not in self.recorded.names():
                return False
            head = records.read(self.out, self.plan.names(shard), shard)
            stems = head.stems(self.plan.options.name_prefix) if head else []
            if head is None or not self.sink.holds(shard, stems, head.sizes):
                return False
            self.done.add(shard)
        return True

    def glance(self, shard: int, sure: bool = False) -> bool:
        """As `look`, but of a shard that had no record when the folder was opened its name is enough: a process of this
        run has put it there, last and by a rename. With many workers each sees nearly all shards made by others."""
        if shard not in self.new or shard in self.done:
            return self.look(shard, sure)
        if records.shard_path(self.out, shard).is_file():
            self.done.add(shard)
        return shard in self.done

    def commit(self, draft: Draft) -> None:
        """Keeps the pairs of a shard and its record; done from then on."""
        record = draft.record()
        sizes = self.sink.commit(draft.shard, record.rows)
        records.write(self.out, record.with_sizes(sizes))
        self.done.add(draft.shard)


def begun(out: Out) -> Begun | None:
    """What the run in `out` has settled; None where there is none. Raises DegradeError."""
    path = out / PLAN_JSON
    page = parse_json(read_bytes(path), PLAN_JSON) if path.is_file() else None
    if not isinstance(page, dict):
        return None
    facts = {name: page.get(name) for name in ("batch", "pairs", "shard_pairs", "save_candidates")}
    batch, pairs, shard_pairs = (n if type(n) is int and n > 0 else None for n in list(facts.values())[:3])
    if batch is None or pairs is None or shard_pairs is None:
        return None
    grown = page.get("grown", [])
    known = isinstance(grown, list) and all(type(one) is int for one in grown)
    whole = tuple(grown) if known else ()
    return Begun(batch, pairs, shard_pairs, facts["save_candidates"] is True, whole, page.get("pass_flat") is True)


@contextmanager
def opening(
    out: Out, plan: Plan, output: Output, lease_s: float = LEASE_S, *, only_asked: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:  # fmt: skip
    """Puts the plan's page into `out`; in the block no other process does. only_asked: a set that is there does not
    grow. warn: takes a sentence. Raises DegradeError."""
    check_output(out, output)
    with refused_by_the_disk(out), claiming(out, lease_s) as claims, claims.alone("plan"):
        if claims.warning:
            warn(claims.warning)
        open_folder(out, plan, output, only_asked=only_asked)
        yield


def open_run(plan: Plan, out: Out, output: Output, claims: Claims) -> RunFolder:
    """The folder of a run, made or gone on with, and which of its shards are done. Raises DegradeError."""
    with refused_by_the_disk(out):
        with claims.alone("plan"):
            output = open_folder(out, plan, output)
        there = identity(out / RUN_JSON)
        recorded = Listing(out / "shards") if isinstance(out, ObjectPath) else None
        opened = RunFolder(plan, out, open_sink_at(output, out, claims.others), set(), output, there, recorded)
        if recorded:
            recorded.names(afresh=True)
        for _ in each(out, opened.look, range(len(plan.shards))):
            pass
        if isinstance(out, Path):
            opened.new.update(shard for shard in opened.missing() if not records.shard_path(out, shard).exists())
    return opened


def check_output(out: Out, output: Output) -> None:
    """DegradeError where a library is missing, or for a folder that holds something and no run."""
    require(output.kind, out)
    if isinstance(out, ObjectPath):
        strange = any(name.partition("/")[0] != CLAIMS for name in out.listed(most=1000))
    elif not out.exists():
        return
    else:
        strange = not out.is_dir() or any(not one.name.startswith(".") and one.name != CLAIMS for one in out.iterdir())
    if strange and not (out / PLAN_JSON).is_file():  # in this order: another process's plan comes before its files
        raise DegradeError(
            f"{out} exists but is not a degrade-engine run", mend="choose another output folder, or empty it"
        )


def open_folder(out: Out, plan: Plan, output: Output, *, only_asked: bool = False) -> Output:
    """Make `out` and put the plan's page there, or make sure that the page that lies there is this plan's, or that of
    the set that this plan lets grow; then it takes its place. only_asked: it does not. Returns the output with what it
    left open as the page says it.

    The output stands on the page and not in the plan: it decides how pairs are kept, not which they are.
    """
    path = out / PLAN_JSON
    if path.is_file():
        before = parse_json(read_bytes(path), PLAN_JSON)
        before = before if isinstance(before, dict) else {}
        output = output.settled(before)
        page = plan.to_json() | output.to_json()
        usual = Output.first().facts() | {"grown": [], "name_prefix": "", "pass_flat": False}  # which a page leaves out
        known = begun(out)
        grows = known is not None and len(plan.options.grown) > len(known.grown)
        now = pages_of(page)[-2] if grows else page
        said = difference(usual | before, now | (usual | now))
        if said:
            raise DegradeError(
                f"{out} holds a run with other settings: {said}", mend=_MENDS.get(said.partition(" ")[0], _MENDS[""])
            )
        if grows and output.kind == "lmdb":
            fact = f"{out} holds {before['pairs']} pairs as LMDB, whose databases are made in one go and do not grow"
            raise DegradeError(fact, mend=_APART)
        if grows and not only_asked:
            (out / RUN_JSON).unlink(missing_ok=True)  # the set is not finished any more
            write_json_atomic(path, page)
            sync(out)
        _make_shards(out)
        return output
    check_output(out, output)
    output = output.settled()
    if isinstance(out, Path):
        out.mkdir(parents=True, exist_ok=True)
    write_json_atomic(path, plan.to_json() | output.to_json())  # first: a run killed right after it is known for ours
    sync(out)
    _make_shards(out)
    return output


def _make_shards(out: Out) -> None:
    if isinstance(out, Path):
        (out / "shards").mkdir(exist_ok=True)


_APART = "make the others in another folder with another --seed and --name-prefix, and `merge` both"
_MENDS = {
    "pairs": "a set grows, unless a --pair-list made it, and does not shrink: give more --pairs, or another --out",
    "hr": f"other photographs make other pairs: give those of that run, or {_APART}",
    "format": "another release or `merge` made it: choose another output folder",
    "": "use the settings of that run to continue it, or choose another output folder",
}
"""By the field that differs."""


def identity(path: Out) -> Identity | None:
    """Tells a file from what replaces it; None where there is none."""
    if not isinstance(path, Path):
        return None if (there := path.found()) is None else (there.tag, there.changed)
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


@contextmanager
def refused_by_the_disk(out: Out) -> Iterator[None]:
    """An OSError of the block as a DegradeError: full, read-only, gone."""
    there = False
    try:
        there = isinstance(out, Path) and out.exists()
        yield
    except OSError as error:
        if there and isinstance(error, FileNotFoundError) and not os.path.exists(str(out)):
            fact = f"{out} was removed while pairs were written to it"
            raise DegradeError(
                fact, mend="bring it back and run the same command to continue; otherwise the run begins again"
            ) from error
        raise DegradeError(
            f"{error.filename or out} cannot be written ({error.strerror or error})",
            mend="make room or choose another folder; then run the same command to continue",
        ) from error
