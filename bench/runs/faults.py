"""One system call fails: the run says so or goes on, and the next run ends with the bytes of one that nothing befell.

    degrade-engine bench faults -o bench/results/faults.jsonl

A row a configuration, side and error: the configuration is the sink, the number of processes and what the run makes;
the side is "input" (photographs, references, engine) or "output". A first run, in which nothing fails, is watched for
every system call on files of either side. Then runs are made in which one of these calls fails once, the n-th of its
kind on such a file, and where a run did not end with the whole set, it is called again. Which calls fail is drawn from
the seed, kinds of calls and files in turn, so that none is left out before another has its second.

`faults.c` makes them fail. It is compiled when the bench starts, and needs Linux 5.5.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import click

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sinks import KINDS, Kind

from ..machine import machine
from ..options import FOLDER, OUT, SEED
from .kills import WORKS, Work, make_works, tree

ERRORS = ("EIO", "ENOSPC", "ESTALE", "EMFILE", "ENOMEM")
ON_INPUTS_ALONE = ("ENOMEM",)
CODES = (0, 2, 3)  # done; a sentence on what is wrong; done, and pairs are missing
WRONG = ("other bytes with exit code 0", "traceback", "no sentence", "hung", "another exit code", "not mended")
NO_TOOL = 99  # how faults.c ends where it cannot do its work
PATIENCE_S = 120.0

Seen = tuple[str, str, str]  # a side, a call, and a pattern for its file


@dataclass(frozen=True)
class Fault:
    """The n-th call of this name on a file that matches the pattern fails. side: "input" or "output"."""

    side: str
    call: str
    pattern: str
    nth: int
    error: str

    def words(self) -> list[str]:
        return [self.call, self.pattern, str(self.nth), str(getattr(errno, self.error))]


@dataclass
class Row:
    """What came of the faults of one side and error. missed: the run made fewer such calls than the watched one."""

    injections: int = 0
    missed: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    identical_first: int = 0
    identical_second: int = 0
    litter: int = 0
    wrong: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WRONG, 0))
    failures: list[str] = field(default_factory=list)

    def page(self) -> dict[str, Any]:
        return vars(self) | {"calls": dict(sorted(self.calls.items())), "codes": dict(sorted(self.codes.items()))}


@click.command()
@click.option("--hr", type=FOLDER, default=Path("samples/hr"), show_default=True)
@click.option("--reference", type=FOLDER, default=Path("samples/reference"),
              show_default=True)  # fmt: skip
@click.option("--engine", type=FOLDER, help="Let runs of it fail, too (LR size 16).")
@click.option("--injections", type=click.IntRange(1), default=300, show_default=True, help="A configuration.")
@click.option("--work", "only", type=click.Choice(WORKS), multiple=True, default=WORKS, help="[default: both]")
@click.option("--sink", "sinks", type=click.Choice(KINDS), multiple=True, default=KINDS, help="[default: all]")
@click.option("--processes", type=click.IntRange(1), multiple=True, default=(1, 3), help="[default: 1 and 3]")
@click.option("--error", "errors", type=click.Choice(ERRORS), multiple=True, default=ERRORS, help="[default: all]")
@click.option("--call", "calls", multiple=True, metavar="NAME", help="Such as openat.  [default: all]")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("-o", "--out", type=OUT, required=True, help="JSONL; rows are added.")
def main(
    hr: Path, reference: Path, engine: Path | None, injections: int, only: Sequence[str], sinks: Sequence[Kind],
    processes: Sequence[int], errors: Sequence[str], calls: Sequence[str], seed: int, out: Path,
) -> None:  # fmt: skip
    """Let single system calls fail and compare what the runs, called again, end with."""
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        tool = compile_tool(folder)
        works = [one for one in make_works(folder, hr, reference, engine, (3, 3)) if one.name in only]
        inputs = [folder / "hr", folder / "reference", *([engine.resolve()] if engine else [])]
        for work, sink, many in ((work, sink, many) for work in works for sink in sinks for many in processes):
            campaign = Campaign(tool, folder, inputs, work, sink, many, seed)
            rows = campaign.run(injections, errors, calls)
            with open(out, "a") as file:
                for row in rows:
                    file.write(json.dumps(row | machine(1)) + "\n")
            bad = sum(len(row["failures"]) for row in rows)
            whole = sum(row["injections"] for row in rows)
            click.echo(f"{campaign.name}: {whole} injections, {bad} of them with a wrong end")
            failed |= bool(bad)
    if failed:
        raise SystemExit(1)


def compile_tool(folder: Path) -> Path:
    """faults.c, compiled. Raises DegradeError where there is no compiler, or no Linux that can do it."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None or not sys.platform.startswith("linux"):
        raise DegradeError("bench faults needs Linux and a C compiler (cc)", mend="install gcc")
    tool = folder / "faults"
    source = Path(__file__).with_suffix(".c")
    made = subprocess.run([compiler, "-O2", "-o", str(tool), str(source)], capture_output=True, text=True, check=False)
    if not made.returncode:
        words = [str(tool), str(folder / "log"), "--", str(folder), "--", "true"]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        raise DegradeError(f"bench faults cannot watch system calls here: {made.stderr.strip()[-500:]}")
    return tool


class Campaign:
    """The faults of one configuration. folder: for its sets of pairs."""

    def __init__(
        self, tool: Path, folder: Path, inputs: Sequence[Path], work: Work, sink: Kind, processes: int, seed: int
    ) -> None:
        self.name = f"{work.name}, {sink}, {processes} process{'es' if processes > 1 else ''}"
        self._tool, self._log, self._out = tool, folder / "log", folder / "out"
        self._inputs, self._work, self._sink, self._processes = inputs, work, sink, processes
        self._dice = random.Random(f"{self.name} {seed}")
        self._seed = seed
        self._rows: dict[tuple[str, str], Row] = {}

    def run(self, injections: int, errors: Sequence[str], calls: Sequence[str] = ()) -> list[dict[str, Any]]:
        """So many faults of these errors, in these calls (empty: in all). Returns the rows."""
        self._wanted = self._whole()
        began = time.monotonic()
        watched = self._watch()
        took = time.monotonic() - began
        chosen: list[Fault] = []
        for side, share in (("input", injections // 3), ("output", injections)):
            seen = Counter({kind: times for kind, times in watched.items() if kind[0] == side})
            chosen += islice(draw(seen, errors, calls, self._dice), share - len(chosen))
        minutes = max(1, round(1.7 * took * len(chosen) / 60))
        click.echo(
            f"{self.name}: {watched.total()} calls of {len(watched)} kinds; {len(chosen)} faults, about {minutes} min"
        )
        for fault in chosen:
            self._inject(fault, self._rows.setdefault((fault.side, fault.error), Row()))
        about = {"work": self._work.name, "sink": self._sink, "processes": self._processes, "pairs": self._work.pairs}
        made: Counter[str] = Counter()
        for (side, _, _), count in watched.items():
            made[side] += count
        return [
            about | {"side": side, "errno": error} | row.page() | {"watched": made[side], "seed": self._seed}
            for (side, error), row in sorted(self._rows.items())
        ]

    def _whole(self) -> dict[str, bytes]:
        """The set that one process makes when nothing fails."""
        code, said = self._call(None, 1)
        if code:
            raise SystemExit(f"the run in which nothing failed ended with {code}: {said[-2000:]}")
        return tree(self._out)

    def _watch(self) -> Counter[Seen]:
        """How often a run makes each kind of call on each kind of file."""
        shutil.rmtree(self._out, ignore_errors=True)
        code, said = self._call(None, self._processes)
        if code or tree(self._out) != self._wanted:
            raise SystemExit(f"{self.name}: the watched run ended with {code}, or other bytes: {said[-2000:]}")
        found: Counter[Seen] = Counter()
        for line in self._log.read_text(errors="replace").splitlines():
            call, _, path = line.partition(" ")
            found[self._side(path), call, self._pattern(path)] += 1
        return found

    def _inject(self, fault: Fault, row: Row) -> None:
        shutil.rmtree(self._out, ignore_errors=True)
        code, said = self._call(fault, self._processes)
        if (hit := self._hit()) is None:
            row.missed += 1
            return
        first = mended = self._same()
        if not first:
            mended = self._call(None, self._processes)[0] == 0 and self._same()
        row.injections += 1
        row.calls[fault.call] += 1
        row.codes["killed" if code is None else str(code)] += 1
        row.identical_first += first
        row.identical_second += mended
        row.litter += mended and tree(self._out) != self._wanted
        whys = wrongs(code, said, first, mended)
        for why in whys:
            row.wrong[why] += 1
        if whys:
            row.failures.append(f"{fault.error} at call {fault.nth} of {hit}: {', '.join(whys)}")
            words = said.strip().splitlines()[-1:] or ["(nothing)"]
            click.echo(
                f"  {fault.side}: {row.failures[-1]}; exit code {code}; said: {words[0][:300]}\n"
                f"    {' '.join(fault.words())}", err=True,
            )  # fmt: skip

    def _same(self) -> bool:
        """Whether the set is the whole one, whatever lies beside it that is no part of a set."""
        return of_the_set(tree(self._out)) == of_the_set(self._wanted)

    def _hit(self) -> str | None:
        """The call that failed, with its file; None where none did."""
        lines = self._log.read_text(errors="replace").splitlines()
        hit = next((line[2:] for line in lines if line.startswith("! ")), None)
        return hit and hit.replace(f"{self._out.parent}/", "")

    def _pattern(self, path: str) -> str:
        """Of the files that are like this one. Those of an input are, if they lie together and end alike."""
        if self._side(path) == "output" or Path(path) in self._inputs:
            return pattern_of(path)
        return f"{re.escape(str(Path(path).parent))}/[^/]*{re.escape(Path(path).suffix)}"

    def _side(self, path: str) -> str:
        return "output" if Path(path).is_relative_to(self._out) else "input"

    def _call(self, fault: Fault | None, processes: int) -> tuple[int | None, str]:
        """A run: its exit code, None if it had to be killed, and what it said."""
        generate = [sys.executable, "-m", "degrade_engine", "generate", *self._work.words, "--sink", self._sink]
        many = ("--threads", "1") if processes == 1 else ("--processes", str(processes))
        words = [
            str(self._tool), str(self._log), *(fault.words() if fault else ()), "--", *map(str, self._inputs),
            str(self._out), "--", *generate, *many, "--out", str(self._out),
        ]  # fmt: skip
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            start_new_session=True,
        )  # fmt: skip
        try:
            _, said = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[1]
        if process.returncode == NO_TOOL:
            raise DegradeError(f"system calls cannot be watched: {said[-500:]}")
        return process.returncode, said


def wrongs(code: int | None, said: str, same: bool, mended: bool) -> list[str]:
    """What is wrong with a run's end, of WRONG. code: None if it had to be killed; mended: by a second call."""
    found = {
        "other bytes with exit code 0": code == 0 and not same,
        "traceback": "Traceback" in said,
        "no sentence": code in CODES[1:] and not said.strip(),
        "hung": code is None,
        "another exit code": code is not None and code not in CODES,
        "not mended": not mended,
    }
    return [name for name in WRONG if found[name]]


def draw(watched: Counter[Seen], errors: Sequence[str], calls: Sequence[str], dice: random.Random) -> Iterator[Fault]:
    """Every fault once, in a random order in which no kind of call and file comes again before all had their turn."""
    kinds = [kind for kind in sorted(watched) if not calls or kind[1] in calls]
    dice.shuffle(kinds)
    left = {}
    for kind in kinds:
        fitting = [error for error in errors if kind[0] == "input" or error not in ON_INPUTS_ALONE]
        left[kind] = [Fault(*kind, nth + 1, error) for nth in range(watched[kind]) for error in fitting]
        dice.shuffle(left[kind])
    while any(left.values()):
        for kind in kinds:
            if left[kind]:
                yield left[kind].pop()


def pattern_of(path: str) -> str:
    """Of the files that are alike, as an extended regular expression: a word with a digit stands for any such."""
    words = re.split(r"([A-Za-z0-9_-]+)", path)
    return "".join(
        re.sub(r"([^\w/-])", r"\\\1", word) if n % 2 == 0
        else word if not re.search(r"\d", word)
        else "[0-9]+" if word.isdecimal()
        else "[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*"
        for n, word in enumerate(words)
    )  # fmt: skip


def of_the_set(found: dict[str, bytes]) -> dict[str, bytes]:
    """A set without what processes leave beside it: claims, and names that begin with a dot."""
    return {
        name: data for name, data in found.items()
        if name.split("/")[0] != "claims" and not any(part.startswith(".") for part in name.split("/"))
    }  # fmt: skip


if __name__ == "__main__":
    main()
