"""One system call fails: the run says so or goes on, and the next run ends with the bytes of one that nothing befell.

A row a configuration, side and error. A first run, in which nothing fails, is watched for every system call on files of
either side. Which calls fail is drawn from the seed, kinds of calls and files in turn, so that none is left out before
another has its second. How calls are made to fail is said in injection.py.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import click

from degrade_engine.engine.sinks import SinkKind

from ..machine import machine
from ..options import FOLDER, HR, REFERENCE, ROWS_APPENDED, SINKS, integer, random_seed, several
from ..rows import add_row
from .injection import Ended, Fault, Injector, pattern_of
from .kills import WORKS, Work, make_works, tree

Side = Literal["input", "output"]
SIDES: tuple[Side, ...] = get_args(Side)
ERRORS = ("EIO", "ENOSPC", "ESTALE", "EMFILE", "ENOMEM")
ON_INPUTS_ALONE = ("ENOMEM",)
CODES = (0, 2, 3)  # done; a sentence on what is wrong; done, and pairs are missing
WRONG = ("other bytes with exit code 0", "traceback", "no sentence", "hung", "another exit code", "not mended")


class Seen(NamedTuple):
    """A kind of call on a kind of file."""

    side: Side
    call: str
    pattern: str


@dataclass
class Row:
    """What came of the faults of one side and error. missed: the run made fewer such calls than the watched one."""

    injections: int = 0
    missed: int = 0
    kinds: set[Seen] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    identical_first: int = 0
    identical_second: int = 0
    litter: int = 0
    wrong: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WRONG, 0))
    failures: list[str] = field(default_factory=list)

    def page(self) -> dict[str, Any]:
        counted = {"calls": dict(sorted(self.calls.items())), "codes": dict(sorted(self.codes.items()))}
        return vars(self) | counted | {"kinds": len(self.kinds)}


@click.command()
@HR
@REFERENCE
@click.option(
    "--engine", type=FOLDER, help="Folder of an engine of LR size 16. Its runs are tested too. [default: bicubic only]"
)
@integer("--injections", 300, "Faults per configuration. Each is one system call that fails once.")
@several("--work", "only", WORKS, "What makes the pairs.", default="both")
@SINKS
@click.option("--processes", type=click.IntRange(1), metavar="N", multiple=True, default=(1, 3),
    help="Processes of a run. Can be repeated. [default: 1 and 3]")  # fmt: skip
@several("--error", "errors", ERRORS, "Error with which the call fails.")
@click.option("--call", "calls", multiple=True, metavar="NAME",
    help="System call that fails, e.g. openat. Can be repeated. [default: all]")  # fmt: skip
@several("--side", "sides", SIDES, default="both",
    said="Files whose calls fail. input: photographs, references, engine. output: what the run writes.")  # fmt: skip
@random_seed("Random seed that selects the calls.")
@ROWS_APPENDED
def main(
    hr: Path, reference: Path, engine: Path | None, injections: int, only: Sequence[str], sinks: Sequence[SinkKind],
    processes: Sequence[int], errors: Sequence[str], calls: Sequence[str], sides: Sequence[Side], seed: int,
    out: Path,
) -> None:  # fmt: skip
    """Let single system calls fail, run again, and compare the files (Linux).

    \b
    Example:
      degrade-engine bench faults --work bicubic --injections 50 -o faults.jsonl

    A run with a fault may go on, or stop with a message. The same command is then run again. Its files must be the same
    as those of a run without a fault, to the byte. Otherwise the exit code is 1.

    A configuration is what makes the pairs, the sink and the number of processes.
    """
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        injector = Injector(folder)
        works = [one for one in make_works(folder, hr, reference, engine, (3, 3)) if one.name in only]
        inputs = [folder / "hr", folder / "reference", *([engine.resolve()] if engine else [])]
        for work, sink, many in ((work, sink, many) for work in works for sink in sinks for many in processes):
            campaign = Campaign(injector, folder, inputs, work, sink, many, seed)
            rows = campaign.run(injections, errors, calls, sides)
            for row in rows:
                add_row(out, row | machine(1))
            bad = sum(len(row["failures"]) for row in rows)
            whole = sum(row["injections"] for row in rows)
            click.echo(f"{campaign.name}: {whole} injections, {bad} of them with a wrong end")
            failed |= bool(bad)
    if failed:
        raise SystemExit(1)


class Campaign:
    """The faults of one configuration. folder: for its sets of pairs."""

    def __init__(
        self, injector: Injector, folder: Path, inputs: Sequence[Path], work: Work, sink: SinkKind, processes: int,
        seed: int,
    ) -> None:  # fmt: skip
        self.name = f"{work.name}, {sink}, {processes} process{'es' if processes > 1 else ''}"
        self._injector, self._out = injector, folder / "out"
        self._inputs, self._work, self._sink, self._processes = inputs, work, sink, processes
        self._dice = random.Random(f"{self.name} {seed}")
        self._seed = seed
        self._rows: dict[tuple[Side, str], Row] = {}

    def run(
        self, injections: int, errors: Sequence[str], calls: Sequence[str], sides: Sequence[Side]
    ) -> list[dict[str, Any]]:
        """So many faults of these errors, in these calls (empty: in all). A third on inputs, which have few kinds of
        calls. Returns the rows.
        """
        self._wanted = self._whole()
        began = time.monotonic()
        watched = self._watch()
        took = time.monotonic() - began
        chosen: list[tuple[Seen, Fault]] = []
        for side in (side for side in SIDES if side in sides):
            share = injections // 3 if side == "input" and len(sides) > 1 else injections - len(chosen)
            kinds = {kind: n for kind, n in watched.items() if kind.side == side and kind.call in (calls or kind)}
            chosen += islice(draw(kinds, errors, self._dice), share)
        minutes = max(1, round(1.7 * took * len(chosen) / 60))
        click.echo(
            f"{self.name}: {watched.total()} calls of {len(watched)} kinds; {len(chosen)} faults, about {minutes} min"
        )
        for kind, fault in chosen:
            self._inject(kind, fault, self._rows.setdefault((kind.side, fault.error), Row()))
        about = {"work": self._work.name, "sink": self._sink, "processes": self._processes, "pairs": self._work.pairs}
        there = {side: [n for kind, n in watched.items() if kind.side == side] for side in SIDES}
        return [
            about | {"side": side, "errno": error, "of_calls": sum(there[side]), "of_kinds": len(there[side])}
            | row.page() | {"seed": self._seed}
            for (side, error), row in sorted(self._rows.items())
        ]  # fmt: skip

    def _whole(self) -> dict[str, bytes]:
        """The set that one process makes when nothing fails."""
        ended = self._generate(None, 1)
        if ended.code:
            raise SystemExit(f"the run in which nothing failed ended with {ended.code}: {ended.said[-2000:]}")
        return tree(self._out)

    def _watch(self) -> Counter[Seen]:
        """How often a run makes each kind of call on each kind of file."""
        ended = self._generate(None, self._processes)
        if ended.code or tree(self._out) != self._wanted:
            raise SystemExit(
                f"{self.name}: the watched run ended with {ended.code}, or other bytes: {ended.said[-2000:]}"
            )
        return Counter(Seen(self._side(path), call, self._pattern(path)) for call, path in ended.calls)

    def _inject(self, kind: Seen, fault: Fault, row: Row) -> None:
        ended = self._generate(fault, self._processes)
        if ended.hit is None:
            row.missed += 1
            return
        first = mended = self._same()
        if not first:
            mended = self._generate(None, self._processes, anew=False).code == 0 and self._same()
        row.injections += 1
        row.kinds.add(kind)
        row.calls[fault.call] += 1
        row.codes["killed" if ended.code is None else str(ended.code)] += 1
        row.identical_first += first
        row.identical_second += mended
        row.litter += mended and tree(self._out) != self._wanted
        whys = wrongs(ended.code, ended.said, first, mended)
        for why in whys:
            row.wrong[why] += 1
        if whys:
            where = str(ended.hit[1]).replace(f"{self._out.parent}/", "")
            row.failures.append(f"{fault.error} at call {fault.nth} of {fault.call} {where}: {', '.join(whys)}")
            words = ended.said.strip().splitlines()[-1:] or ["(nothing)"]
            click.echo(
                f"  {kind.side}: {row.failures[-1]}; exit code {ended.code}; said: {words[0][:300]}\n"
                f"    {' '.join(fault.words())}", err=True,
            )  # fmt: skip

    def _same(self) -> bool:
        """Whether the set is the whole one, whatever lies beside it that is no part of a set."""
        return of_the_set(tree(self._out)) == of_the_set(self._wanted)

    def _pattern(self, path: Path) -> str:
        """Of the files that are like this one. Those of an input are, if they lie together and end alike."""
        if self._side(path) == "output" or path in self._inputs:
            return pattern_of(path)
        return f"{re.escape(str(path.parent))}/[^/]*{re.escape(path.suffix)}"

    def _side(self, path: Path) -> Side:
        return "output" if path.is_relative_to(self._out) else "input"

    def _generate(self, fault: Fault | None, processes: int, anew: bool = True) -> Ended:
        if anew:
            shutil.rmtree(self._out, ignore_errors=True)
        words = [sys.executable, "-m", "degrade_engine", "generate", *self._work.words, "--sink", self._sink]
        words += ["--threads", "1"] if processes == 1 else ["--processes", str(processes)]
        return self._injector.run([*words, "--out", str(self._out)], [*self._inputs, self._out], fault)


def wrongs(code: int | None, said: str, same: bool, mended: bool) -> list[str]:
    """What is wrong with a run's end, of WRONG. code: None if it had to be killed; mended: by a second call."""
    found = {
        "other bytes with exit code 0": code == 0 and not same,
        "traceback": "Traceback" in said,
        "no sentence": code == 2 and "Error:" not in said,
        "hung": code is None,
        "another exit code": code is not None and code not in CODES,
        "not mended": not mended,
    }
    return [name for name in WRONG if found[name]]


def draw(watched: dict[Seen, int], errors: Sequence[str], dice: random.Random) -> Iterator[tuple[Seen, Fault]]:
    """Every fault once, in a random order in which no kind of call and file comes again before all had their turn."""
    kinds = sorted(watched)
    dice.shuffle(kinds)
    left = {}
    for kind in kinds:
        fitting = [error for error in errors if kind.side == "input" or error not in ON_INPUTS_ALONE]
        left[kind] = [Fault(kind.call, kind.pattern, n + 1, error) for n in range(watched[kind]) for error in fitting]
        dice.shuffle(left[kind])
    while any(left.values()):
        for kind in kinds:
            if left[kind]:
                yield kind, left[kind].pop()


def of_the_set(found: dict[str, bytes]) -> dict[str, bytes]:
    """A set without what processes leave beside it: claims, and names that begin with a dot."""
    return {
        name: data for name, data in found.items()
        if name.split("/")[0] != "claims" and not any(part.startswith(".") for part in name.split("/"))
    }  # fmt: skip
