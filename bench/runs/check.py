"""What `check` finds: wrong pairs by the kind of defect, and right pairs that it accuses.

A defect is laid on every pair of a set at once, and a pair counts as named if any of its problems names it. Beyond
shifts of a pixel or two, which many a degradation hides or makes itself, each should be named 9 times of 10; and no
right pair ever.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import numpy as np

from degrade_engine.engine.classical.degraders import DEGRADERS
from degrade_engine.engine.engine_spec import sealed_engine_spec
from degrade_engine.engine.images import ENDINGS, Pixels, encode_png, read_rgb, read_size
from degrade_engine.engine.sinks.alignment import bring_down
from degrade_engine.engine.sinks.check import check
from degrade_engine.engine.sinks.layouts import find
from degrade_engine.engine.sinks.likeness import likeness

from ..machine import machine
from ..options import FOLDER, ROWS_APPENDED, integer, one_of, random_seed, several
from ..rows import Row, add_row, rows_of

SHARP = ("hr_cid22", "hr_gb82", "hr_skimage", "hr_sklearn")
TRUE = ("pairs_realsr_canon_x4", "pairs_drealsr_dev", "pairs_city100_nikond5500")
SCALE = 4
DEFECTS: dict[str, Callable[[Pixels], Pixels]] = {
    "turned by 180": lambda lq: lq[::-1, ::-1],
    "turned by 90": lambda lq: np.rot90(lq),
    "mirrored": lambda lq: lq[:, ::-1],
    "upside down": lambda lq: lq[::-1],
    "BGR": lambda lq: lq[..., ::-1],
    "GBR": lambda lq: lq[..., [1, 2, 0]],
    "moved 10 px": lambda lq: np.roll(lq, 10, 1),
    "moved 5 px": lambda lq: np.roll(lq, 5, 0),
    "moved 2 px": lambda lq: np.roll(lq, -2, 1),
    "moved 1 px": lambda lq: np.roll(lq, 1, 0),
}
Split = Literal["reported", "chosen"]


@dataclass(frozen=True)
class Pair:
    """A right pair. photograph: whose picture it is."""

    gt: Path
    lq: Path
    photograph: str


@click.command()
@click.option("--data", type=FOLDER, required=True,
    help=f"Folder of the development corpus. Sharp photographs are in {', '.join(SHARP)}; true pairs are in "
    f"{', '.join(TRUE)}.")  # fmt: skip
@click.option("--engine", "engines", type=FOLDER, multiple=True,
    help="Folder of an engine. Its pairs are tested too. Can be repeated.")  # fmt: skip
@several("--degrader", "kinds", tuple(DEGRADERS), "Degrader whose pairs are tested.")
@click.option("--lr-size", "sizes", type=click.IntRange(16), metavar="PX", multiple=True, default=(32, 64, 128),
    show_default=True,
    help="Side of the degraders' LR images in pixels. Can be repeated.")  # fmt: skip
@integer("--pairs", 100, "Pairs per set, at least 4.", least=4)
@random_seed("Random seed of the pairs.")
@one_of("--split", ["reported", "chosen"], "reported",
    "Half of the sharp photographs that is used. The bounds of `check` were set on the half chosen, so only reported "
    "is a fair test.")  # fmt: skip
@click.option("--true/--no-true", "true", default=True, show_default=True,
    help="Test the corpus's true pairs too, or only generated pairs.")  # fmt: skip
@ROWS_APPENDED
def main(
    data: Path, engines: Sequence[Path], kinds: Sequence[str], sizes: Sequence[int], pairs: int, seed: int,
    split: Split, true: bool, out: Path,
) -> None:  # fmt: skip
    """Count how many broken pairs `check` finds, and how many good ones it accuses.

    \b
    Example:
      degrade-engine bench check --data corpus --degrader bicubic -o check.jsonl

    Good pairs are made with each degrader and engine. Then each defect is applied to all of them: LR of another scene,
    rotated, mirrored, shifted, or with swapped colour channels.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        words = ["--hr", str(photographs(data, split, made)), "--pairs", str(pairs), "--seed", str(seed)]
        runs = [(kind, size, ["--degrader", kind, "--lr-size", str(size)]) for size in sizes for kind in kinds]
        for engine in engines:
            spec, more = sealed_engine_spec(engine), ["--engine", str(engine), "--no-save-candidates"]
            if spec.model_kind.reads_reference:
                more += ["--reference", str(data / "lr_digicams")]
            runs.append((spec.kind, spec.lr_size, more))
        for name, size, more in runs:
            right = generated(made / "run", [*words, *more])
            measure(name, size, seed, split, right, Path(folder), out, run=made / "run")
        for name in TRUE if true else ():
            matches = find(data / name, lambda problem: None)
            right = [Pair(one.gt, one.lq, one.gt.stem) for one in matches]
            measure(name, read_size(right[0].lq)[0], None, "reported", right, Path(folder), out)


def photographs(data: Path, split: Split, made: Path) -> Path:
    """A list of every second sharp photograph."""
    found = [path for name in SHARP for path in sorted((data / name).iterdir()) if path.suffix.lower() in ENDINGS]
    made.mkdir()
    (made / "hr.txt").write_text("".join(f"{path.resolve()}\n" for path in found[split == "reported" :: 2]))
    return made / "hr.txt"


def generated(run: Path, words: Sequence[str]) -> list[Pair]:
    """The pairs of a run that is made anew, of each crop the first: `check` names the rest, rightly, as repeats."""
    shutil.rmtree(run, ignore_errors=True)
    words = ["generate", *words, "--out", str(run), "--log-every", "0", "--png-level", "1"]
    subprocess.run([sys.executable, "-m", "degrade_engine", *words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)  # fmt: skip
    rows = [json.loads(line) for line in (run / "manifest.jsonl").read_text().splitlines()]
    first: dict[str, Pair] = {}
    for row in rows:
        pair = Pair(run / f"gt/{row['name']}.png", run / f"lq/{row['name']}.png", row["hr"]["path"])
        first.setdefault(json.dumps(row["hr"]), pair)
    return list(first.values())


def measure(
    name: str, size: int, seed: int | None, split: Split, right: list[Pair], folder: Path, out: Path,
    run: Path | None = None,
) -> None:  # fmt: skip
    """A row a defect. run: where the right pairs lie with their manifest."""
    for defect, pairs in (("none", None), *laid(right)):
        began = time.perf_counter()
        if pairs is None and run is not None:
            stems, count = {pair.gt.stem for pair in right}, len(right)
            problems = tuple(one for one in check(run).problems if one.name in stems)
        else:
            where = written(folder / "set", pairs or [(pair, None) for pair in right])
            began = time.perf_counter()
            problems, count = check(where).problems, len(pairs or right)
        took = time.perf_counter() - began
        named = {one.name for one in problems}
        row: Row = {
            "set": name, "lr_size": size, "seed": seed, "split": split, "defect": defect, "pairs": count,
            "named": len(named), "by_check": dict(sorted(Counter(one.check for one in problems).items())),
            "pairs_per_second": round(count / took, 1),
        }  # fmt: skip
        if defect in ("none", "next scene"):
            row["scores"] = scores(pairs or [(pair, None) for pair in right])
        add_row(out, row | machine(os.cpu_count() or 1))
        click.echo(f"{name:26} {size:4} {defect:14} {len(named):4} of {count}")


def scores(pairs: Sequence[tuple[Pair, bytes | Path | None]]) -> dict[str, float]:
    """What HR score in their LR."""
    found = []
    for pair, lq in pairs:
        low = read_rgb(lq if isinstance(lq, Path) else pair.lq)
        if one := likeness(bring_down(read_rgb(pair.gt), low), low):
            found.append(one.score)
    of = {"least": 0.0, "p1": 0.01, "p10": 0.1, "median": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
    return {name: round(float(np.quantile(found, share)), 1) for name, share in of.items()}


def laid(right: list[Pair]) -> Iterator[tuple[str, list[tuple[Pair, bytes | Path]]]]:
    """Each defect with the pairs that have it, as (the right pair, its wrong LQ)."""

    def other(n: int) -> Pair:
        turn = [*right[n + 1 :], *right[:n]]
        return next(pair for pair in turn if pair.photograph != right[n].photograph)

    yield "next scene", [(pair, other(n).lq) for n, pair in enumerate(right)]
    half = len(right) // 2
    both = zip(right[:half], right[half:], strict=False)
    yield "foreign scene", [(one, two.lq) for one, two in both if one.photograph != two.photograph]
    for name, change in DEFECTS.items():
        yield name, [(pair, encode_png(np.ascontiguousarray(change(read_rgb(pair.lq))), 1)) for pair in right]


def written(folder: Path, pairs: Sequence[tuple[Pair, bytes | Path | None]]) -> Path:
    """A folder that no run made: gt/ and lq/. None: the right LQ."""
    shutil.rmtree(folder, ignore_errors=True)
    for role in ("gt", "lq"):
        (folder / role).mkdir(parents=True)
    for n, (pair, lq) in enumerate(pairs):
        (folder / "gt" / f"{n:05d}{pair.gt.suffix}").symlink_to(pair.gt.resolve())
        if isinstance(lq, bytes):
            (folder / "lq" / f"{n:05d}.png").write_bytes(lq)
        else:
            path = lq or pair.lq
            (folder / "lq" / f"{n:05d}{path.suffix}").symlink_to(path.resolve())
    return folder


def table(folder: Path) -> str:
    """What is named, in percent, of each set: the rows of all seeds together."""
    sets: dict[tuple[str, int], dict[str, Counter[str]]] = {}
    for row in rows_of(folder, "check"):
        if row["split"] == "reported":
            counts = sets.setdefault((row["set"], row["lr_size"]), {}).setdefault(row["defect"], Counter())
            counts.update(named=row["named"], pairs=row["pairs"])
    defects = ["next scene", "foreign scene", *DEFECTS]
    lines = ["| set | LR | right, accused | " + " | ".join(defects) + " |", "| --- |" + " ---: |" * (len(defects) + 2)]
    for (name, size), found in sets.items():
        none = found["none"]
        shares = [f"{100 * found[defect]['named'] / found[defect]['pairs']:.0f}" for defect in defects]
        lines.append(f"| {name} | {size} | {none['named']} of {none['pairs']} | " + " | ".join(shares) + " |")
    return "\n".join(lines)
