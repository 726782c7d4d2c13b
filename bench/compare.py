"""Two commits side by side, or two files of rows: what has changed, and is it more than noise?

Commits are built in place (commits.py) and run in turn, A B B A ... . The first round of each builds its own engine of
the checkpoint and warms up; it is not counted.
"""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from degrade_engine.engine.errors import DegradeError

from .commits import Version, versions
from .machine import stamp
from .options import FILE, OUT, integer, one_of
from .rows import add_row, read_rows
from .verdict import LEAST, changes, order, timings

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
ENGINE = """
import sys, time
from pathlib import Path
import numpy as np
from degrade_engine.engine.api import Engine
from degrade_engine.engine.images import read_rgb
folder, samples, threads, repeats = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) or None, int(sys.argv[4])
with Engine.open(folder, threads=threads) as engine:
    side, n = engine.spec.lr_size, engine.spec.batch
    def squares(role, size):
        found = [read_rgb(p) for p in sorted((samples / role).iterdir())]
        found = [np.ascontiguousarray(i[:size, :size]) for i in found if min(i.shape[:2]) >= size]
        return [found[i % len(found)] for i in range(n)]
    hr, camera = squares("hr", 4 * side), squares("reference", side)
    reference = camera if engine.spec.model_kind.reads_reference else None
    took = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        engine.degrade(hr, reference, scale=4, tau=10 if engine.spec.model_kind.has_steps else 0, steps=2,
                       spacing="even", solver="ddpm", start=engine.spec.starts[0])
        took.append(time.perf_counter() - began)
print(min(took[1:]))
"""


def engine_of(version: Version, checkpoint: Path, lr_size: int, batch: int) -> Path:
    """The version's own engine of a checkpoint, built once."""
    folder = version.work / "engine"
    if not folder.exists():
        bundle = version.work / "bundle"
        version.run(version.cli("export", checkpoint, "-o", bundle))
        version.run(version.cli("build", bundle, "--lr-size", lr_size, "--batch", batch, "-o", folder))
    return folder


def seconds_of_engine(version: Version, folder: Path, threads: int, repeats: int) -> float:
    """The best of so many batches, inside one process."""
    words = map(str, (version.python, "-c", ENGINE, folder, SAMPLES, threads, repeats))
    return float(version.run([*words])[0].split()[-1])


@click.command()
@click.argument("a")
@click.argument("b")
@one_of("--measure", ["engine", "generate"], "engine",
    "What is timed. engine: the engine alone, on a batch of the bundled photographs. generate: the whole command, "
    "with reading and writing of files.")  # fmt: skip
@click.option("--run", "own", metavar="COMMAND",
    help="Time this command instead. It is run in the folder of each commit. The variable $WORK names a folder for "
    "its files.")  # fmt: skip
@click.option(
    "--checkpoint", type=FILE, help="Checkpoint. Each commit builds its own engine of it. Needed without --run."
)
@integer(
    "--rounds", 10, f"Rounds per commit, at least {LEAST}. One more round warms up and is not counted.", least=LEAST
)
@integer("--repeats", 3, "Batches per round with --measure engine. The fastest counts.")
@integer("--pairs", 16, "Pairs per round with --measure generate.")
@integer("--lr-size", 128, "Side of the LR images in pixels.", least=16, metavar="PX")
@integer("--batch", 4, "Pairs per batch.")
@integer("--threads", 0, "Threads of the networks with --measure engine. 0: one per core.", least=0)
@click.option("-o", "--out", type=OUT, help="File for the verdict and every time (JSON Lines). A row is appended.")
def main(
    a: str, b: str, measure: str, own: str | None, checkpoint: Path | None, rounds: int, repeats: int, pairs: int,
    lr_size: int, batch: int, threads: int, out: Path | None,
) -> None:  # fmt: skip
    """Compare two commits by their time, or two files of rows by their figures.

    \b
    Examples:
      degrade-engine bench compare HEAD~1 HEAD --checkpoint model.safetensors
      degrade-engine bench compare main HEAD --run 'python my_timing.py'
      degrade-engine bench compare before.jsonl after.jsonl

    A is before, B is after. The commits are built and run in turn, so that both meet the same machine. The verdict is:
    faster, slower, or no difference that is larger than the noise.

    Of two files of rows, every figure that differs is printed. The options are not used then.
    """
    if Path(a).suffix == ".jsonl" or Path(b).suffix == ".jsonl":
        compare_rows(Path(a), Path(b))
        return
    if own is None and checkpoint is None:
        raise DegradeError("Nothing says what to measure", wanted="--checkpoint, or a command with --run")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as work:
        console.print("building both")
        with versions(a, b, Path(work)) as (first, second):
            once = timer(own, measure, checkpoint, (lr_size, batch, threads, repeats, pairs))
            with Progress(console=console, disable=not console.is_terminal) as progress:
                task = progress.add_task("rounds", total=2 * (rounds + 1))
                times: dict[str, list[float]] = {"A": [], "B": []}
                for turn, letter in enumerate(order(rounds + 1)):
                    began = time.monotonic()
                    times[letter].append(once(first if letter == "A" else second))
                    progress.advance(task)
                    if turn == 2:  # the first time of each builds its engine
                        left = 2 * rounds - 1
                        minutes = left * (time.monotonic() - began) / 60
                        console.print(f"{left} times more, about {minutes:.0f} min")
            names = {"A": first.commit, "B": second.commit}
    found = timings(times["A"][1:], times["B"][1:])
    for letter, took in times.items():
        click.echo(f"{letter} {names[letter]}: " + " ".join(f"{s:.3f}" for s in took[1:]) + " s")
    click.echo(str(found))
    if out is not None:
        row = {"measure": own or measure, "a": names["A"], "b": names["B"], "seconds_a": times["A"][1:],
               "seconds_b": times["B"][1:], "verdict": vars(found), **stamp()}  # fmt: skip
        add_row(out, row)


def timer(
    own: str | None, measure: str, checkpoint: Path | None, sizes: tuple[int, int, int, int, int]
) -> Callable[[Version], float]:
    """What times one round of a version. sizes: LR size, batch, threads, repeats, pairs."""
    lr_size, batch, threads, repeats, pairs = sizes
    if own is not None:
        return lambda version: version.run(shlex.split(own))[1]
    assert checkpoint is not None
    whole = checkpoint.resolve()

    def once(version: Version) -> float:
        folder = engine_of(version, whole, lr_size, batch)
        if measure == "engine":
            return seconds_of_engine(version, folder, threads, repeats)
        out = Path(tempfile.mkdtemp(dir=version.work)) / "pairs"
        words = ("--hr", SAMPLES / "hr", "--reference", SAMPLES / "reference", "--out", out, "--pairs", pairs)
        return version.run(version.cli("generate", "--engine", folder, *words))[1]

    return once


def compare_rows(before: Path, after: Path) -> None:
    """Says every figure that has changed, and which rows only one file has."""
    found, alone = changes(read_rows(before), read_rows(after))
    same = sum(change.before == change.after for change in found)
    for change in found:
        if change.before != change.after:
            click.echo(f"{change.row}\n    {change.figure}: {change.before:g} -> {change.after:g}, {change.said}")
    for name in alone:
        click.echo(name)
    click.echo(f"{len(found)} figures in both files: {same} the same, {len(found) - same} changed")
