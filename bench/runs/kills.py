"""kill -9 at random moments: whatever dies, the run that goes on ends with the bytes of one that was left alone.

Each set of pairs is begun anew and killed again and again, at moments drawn from the seed, until it is complete, and
the next set is begun, until as many kills were made as asked for. Whom a kill meets is drawn too: any of the three
calls, the parent or any of its workers, the driver or any process that serves it. What is left out of the comparison is
how many seconds each shard took.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import click

from degrade_engine.engine import images
from degrade_engine.engine.engine_spec import sealed_engine_spec
from degrade_engine.engine.runners.claims import FOLDER as CLAIMS
from degrade_engine.engine.sinks import IN_STORES, SinkKind

from ..machine import machine
from ..options import FOLDER, HR, REFERENCE, ROWS_APPENDED, SINKS, integer, random_seed, several
from ..rows import add_row
from ..samples import squares

Who = Literal["one process", "three calls", "three processes", "ray"]
Store = Literal["moto", "localbucket"]
WORKS = ("bicubic", "engine")
OPTIONS: dict[Who, tuple[str, ...]] = {
    "one process": ("--threads", "1"),
    "three calls": ("--threads", "1"),
    "three processes": ("--processes", "3"),
    "ray": ("--runner", "ray", "--ray-address", "local", "--ray-actors", "2"),
}
TIMES = ("seconds", "pairs_per_second", "busy_share", "timeline", "sha256")
FROM_THE_START = 0.2  # of the kills: at any moment since the process began. The others: since it began to work
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Work:
    """What a run makes. words: of `generate`, without --sink and --out; shards: how many of them."""

    name: str
    words: tuple[str, ...]
    pairs: int
    shards: int


@click.command()
@HR
@REFERENCE
@click.option("--engine", type=FOLDER, help="Folder of an engine. Runs of it are killed too. [default: bicubic only]")
@integer("--kills", 50, "Kills per configuration.")
@several("--work", "only", WORKS, "What makes the pairs.", default="both")
@SINKS
@click.option("--who", type=click.Choice(get_args(Who)), multiple=True, default=get_args(Who),
    help="What runs: one process, three calls of `generate` on one folder, three worker processes, or Ray. Ray is "
    "only used with the sink folder. Can be repeated. [default: all]")  # fmt: skip
@click.option("--store", type=click.Choice(get_args(Store)), is_flag=False, flag_value="moto",
    help="Photographs and pairs lie in an S3 server on loopback: moto's, which also fails (without a value), or "
    "localbucket, which is only away now and then. With --sink webdataset or parquet, and not with Ray.")  # fmt: skip
@integer(
    "--outages", 5, "Outages of the store per configuration: one of a minute, the others of a few seconds.", least=0
)
@random_seed("Random seed for the moments of the kills.")
@ROWS_APPENDED
def main(
    hr: Path, reference: Path, engine: Path | None, kills: int, only: Sequence[str], sinks: Sequence[SinkKind],
    who: Sequence[Who], store: Store | None, outages: int, seed: int, out: Path,
) -> None:  # fmt: skip
    """Kill runs at random moments, continue them, and compare the files.

    \b
    Example:
      degrade-engine bench kills --work bicubic --sink folder -o kills.jsonl

    A configuration is what makes the pairs, the sink, and what runs. Each gives one row. The files must be the same as
    those of a run that was not killed, to the byte. Otherwise the exit code is 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        for work in make_works(Path(folder), hr, reference, engine):
            if work.name not in only:
                continue
            for sink in sinks:
                for one in who:
                    if one == "ray" and (sink != "folder" or store) or store and sink not in IN_STORES:
                        continue
                    if store:
                        from .store_kills import StoreCampaign

                        row = StoreCampaign(Path(folder), work, sink, one, seed, outages, store).run(kills)
                    else:
                        row = Campaign(Path(folder), work, sink, one, seed).run(kills)
                    add_row(out, row | machine(1))
                    click.echo(
                        f"{work.name}, {sink}, {one}: {row['kills']} kills, {row['identical']} of {row['sets']} sets "
                        "identical"
                    )
                    if row["identical"] < row["sets"]:
                        raise SystemExit(1)


def make_works(
    folder: Path, hr: Path, reference: Path, engine: Path | None, shards: tuple[int, int] = (30, 12)
) -> list[Work]:
    """The kinds of run, on small cuts of the photographs: most of the time shall pass in what kills can hurt.

    shards: of the degrader and of the engine, if there is one.
    """
    for role, source in (("hr", hr), ("reference", reference)):
        (folder / role).mkdir()
        for stem, pixels in squares(source, 72).items():
            (folder / role / f"{stem}.png").write_bytes(images.encode_png(pixels))
    common = ("--hr", str(folder / "hr"), "--seed", "3")
    pairs = 16 * shards[0]
    words: tuple[str, ...] = ("--degrader", "bicubic", "--lr-size", "16", "--pairs", str(pairs), "--shard-pairs", "16")
    works = [Work("bicubic", (*common, *words), pairs, shards[0])]
    if engine is not None:
        candidates = sealed_engine_spec(engine).candidates
        pairs = 8 * shards[1]
        words = ("--engine", str(engine), "--candidates", str(candidates), "--reference", str(folder / "reference"),
                 "--no-save-candidates", "--pairs", str(pairs), "--shard-pairs", "8")  # fmt: skip
        works.append(Work("engine", (*common, *words), pairs, shards[1]))
    return works


class Campaign:
    """The kills of one configuration. folder: for its sets of pairs."""

    def __init__(self, folder: Path, work: Work, sink: SinkKind, who: Who, seed: int) -> None:
        self._work, self._sink, self._who = work, sink, who
        self._whole, self._out = folder / "whole", folder / "out"
        self._dice = random.Random(f"{work.name} {sink} {who} {seed}")
        self._seed = seed
        self._lived_s = self._worked_s = 0.0
        self._met: Counter[str] = Counter()
        self._moments: list[float] = []

    def run(self, kills: int) -> dict[str, Any]:
        """Sets of pairs until so many kills were made; the last one is completed. Returns the row."""
        shutil.rmtree(self._whole, ignore_errors=True)
        if self._start(self._whole, "one process").wait(PATIENCE_S):
            raise SystemExit("the run that nobody disturbed failed")
        wanted, sets, identical = tree(self._whole), 0, 0
        self._measure()
        while sum(self._met.values()) < kills:
            self._clear()
            self._complete(kills)
            sets += 1
            found = self._tree()
            identical += found == wanted
            if found != wanted:
                self._keep(Path(f"{self._sink}-{self._who}-differs".replace(" ", "-")))
                click.echo(f"differs in {sorted(set(found.items()) ^ set(wanted.items()))[:3]}", err=True)
        return {
            "work": self._work.name, "sink": self._sink, "who": self._who, "pairs": self._work.pairs,
            "shards": self._work.shards, "kills": sum(self._met.values()), "met": dict(sorted(self._met.items())),
            "moments": [round(moment, 3) for moment in self._moments], "sets": sets, "identical": identical,
            "files": len(wanted), "seed": self._seed,
        }  # fmt: skip

    def _measure(self) -> None:
        """How long an undisturbed run of this kind lives and works."""
        self._clear()
        began = time.monotonic()
        processes = self._all()
        self._wait_for_work(processes)
        at_work = time.monotonic()
        for process in processes:
            if process.wait(PATIENCE_S):
                raise SystemExit(f"{self._who} failed undisturbed")
        self._lived_s, self._worked_s = time.monotonic() - began, time.monotonic() - at_work

    def _complete(self, kills: int) -> None:
        """One set of pairs: killed, gone on with, killed again, until it is complete."""
        processes = self._all()
        while any(process.poll() is None for process in processes):
            if sum(self._met.values()) < kills:
                self._kill_one(processes)
            else:
                time.sleep(0.05)
            for n, process in enumerate(processes):
                code = process.poll()
                if code == -signal.SIGKILL or (code and self._who == "ray"):  # that one ends if its cluster does
                    processes[n] = self._start(self._where, self._who)
                elif code:
                    said = process.stderr.read() if process.stderr else ""
                    raise SystemExit(f"{self._who} ended with {code}: {said[-2000:]}")

    def _kill_one(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        """Wait for a moment; whoever of the run lives then may be met."""
        began = time.monotonic()
        early = self._dice.random() < FROM_THE_START
        share, whom = self._dice.random(), self._dice.random()
        if not early:
            self._wait_for_work(processes)
            began = time.monotonic()
        until = began + share * (self._lived_s if early else self._worked_s)
        while time.monotonic() < until and any(process.poll() is None for process in processes):
            time.sleep(min(0.005, max(0.0, until - time.monotonic())))
        alive = [process.pid for process in processes if process.poll() is None]
        if not alive:
            return  # complete before the moment came: the next set has it
        victims = [pid for one in alive for pid in (one, *descendants(one))]
        victim = victims[int(whom * len(victims))]
        where = phase(self._names("."), self._names("shards"), self._work.shards)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return
        if victim in alive:
            next(process for process in processes if process.pid == victim).wait()
        role = "" if len(victims) == len(alive) else "the parent, " if victim in alive else "a worker, "
        self._met[f"{role}{where}"] += 1
        self._moments.append(share)

    def _wait_for_work(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        """Until a living process has its heartbeat in the folder."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and any(process.poll() is None for process in processes):
            family = {pid for one in processes for pid in (one.pid, *descendants(one.pid))}
            if any(int(name.split("-")[1]) in family for name in self._names(CLAIMS) if "." not in name):
                return
            time.sleep(0.005)

    def _all(self) -> list[subprocess.Popen[str]]:
        return [self._start(self._where, self._who) for _ in range(3 if self._who == "three calls" else 1)]

    @property
    def _where(self) -> Path | str:
        """The set's --out."""
        return self._out

    def _clear(self) -> None:
        shutil.rmtree(self._out, ignore_errors=True)

    def _tree(self) -> dict[str, bytes]:
        return tree(self._out)

    def _keep(self, folder: Path) -> None:
        shutil.copytree(self._out, folder, dirs_exist_ok=True)

    def _names(self, folder: str) -> list[str]:
        """What lies in a folder of the set."""
        return names(self._out / folder)

    def _start(self, out: Path | str, who: Who) -> subprocess.Popen[str]:
        return self._spawn(self._work.words, out, who, os.environ)

    def _spawn(
        self, words: Sequence[str], out: Path | str, who: Who, environment: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        line = [*words, "--sink", self._sink, "--out", str(out), *OPTIONS[who]]
        return subprocess.Popen(
            [sys.executable, "-m", "degrade_engine", "generate", *line], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip


def phase(there: Sequence[str], records: Sequence[str], shards: int) -> str:
    """Where a run is, by what lies there: before its plan is there, among its shards, or closing its books."""
    if "plan.json" not in there:
        return "before the plan"
    done = sum(name.endswith(".json") and name[0] != "." for name in records)
    return "closing" if done == shards else "among the shards"


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they did. Linux alone."""
    children: dict[int, list[int]] = {}
    for one in names(Path("/proc")):
        if one.isdecimal():
            try:
                parent = int(Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended
            children.setdefault(parent, []).append(int(one))
    found = list(children.get(pid, ()))
    for child in found:  # grows on the way
        found += children.get(child, ())
    return found


def names(folder: Path) -> list[str]:
    """What lies in a folder; nothing where there is none."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def tree(out: Path) -> dict[str, bytes]:
    """Relative path -> bytes of every file, hidden ones too; of records and run.json what is not about seconds, nor
    a hash of it.
    """
    paths = sorted(one for one in out.rglob("*") if one.is_file())
    return lasting({path.relative_to(out).as_posix(): path.read_bytes() for path in paths})


def lasting(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same of files by their names, wherever they lie."""
    found = {}
    for name, data in files.items():
        if name == "run.json" or name.startswith("shards/"):
            page = json.loads(data)
            for key in [key for key in page if key in TIMES]:
                del page[key]
            data = json.dumps(page, sort_keys=True).encode()
        found[name] = data
    return found
