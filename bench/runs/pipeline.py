"""The pipeline around the networks: what a long run costs before its first pair, and whether the engine ever waits.

    plan        making and opening a run of so many pairs, in a process of its own: seconds, and the memory that it took
    books       closing one, and going on with it: from records whose rows are made up, without images
    generate    whole runs from files to files: the engine's busy share in steady state, and the share of image I/O
    host        whole runs by an engine that takes no time: what a pair costs the processor (`host.py`)

Steady state leaves out a run's first and last shard: the first pair has to be read before anything can run, the last
one written after.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from degrade_engine.engine import run
from degrade_engine.engine.cores import cores
from degrade_engine.engine.engine_spec import open_engine_spec
from degrade_engine.engine.pipeline import records
from degrade_engine.engine.pipeline.progress import Clock
from degrade_engine.engine.plan import MOST_SHARD_PAIRS, Plan
from degrade_engine.engine.planning import BATCH, Order
from degrade_engine.engine.runners import books
from degrade_engine.engine.runners.claims import Claims
from degrade_engine.engine.runners.run_folder import open_run
from degrade_engine.engine.runners.workers import Workers
from degrade_engine.engine.sinks import Output

from ..machine import machine, processor
from ..options import FOLDER, ROWS_WRITTEN, integer
from ..rows import Row, write_rows
from ..timing import clocked
from .host import host_rows

COUNTS = (1_000, 1_000_000)
DEGRADERS = ("bicubic", "realesrgan")


def a_plan(order: Order, pairs: int) -> Plan:
    """Of so many pairs; an engine is known by its page alone."""
    asked = replace(order, pairs=pairs, shard_pairs=MOST_SHARD_PAIRS, save_candidates=False)
    return run.plan(asked, workers=Workers(processes=1)).plan


def planned(order: Order, pairs: int, out: Path) -> tuple[float, float]:
    """(seconds, MB) until the first batch of a new run could be read. In a process of its own: memory is its peak."""
    began, before = time.perf_counter(), peak_mb()
    plan = a_plan(order, pairs)
    with Claims(out) as claims:
        opened = open_run(plan, out, Output(), claims)
    Clock(plan, opened.missing())
    for pair in plan.shards[0][0]:
        plan.draw(pair)
    return time.perf_counter() - began, peak_mb() - before


def closed(order: Order, pairs: int, out: Path) -> dict[str, float]:
    """Seconds and MB of looking at the records of a finished run, and of its rows in pair order. In a process of its
    own."""
    plan = a_plan(order, pairs)
    (out / "shards").mkdir(parents=True)
    for shard in range(len(plan.shards)):
        records.write(out, made_up(plan, shard))
    began, before = time.perf_counter(), peak_mb()
    done = sum(records.read(out, plan.sha256, shard) is not None for shard in range(len(plan.shards)))
    looked = time.perf_counter()
    tally = books.Tally()
    rows = sum(1 for _ in books.rows_in_order(plan, out, out / "scratch", tally))
    if done < len(plan.shards) or rows < pairs or len(json.dumps(books.page(plan, tally))) > 100_000:
        raise click.ClickException(f"{done} shards and {rows} rows came back")
    return {"look_s": looked - began, "close_s": time.perf_counter() - looked, "more_mb": peak_mb() - before}


def made_up(plan: Plan, shard: int) -> records.Record:
    """A record of the usual size."""
    pairs = plan.shard_pairs(shard)
    one = {"degradation_error": 0.012345, "content_error": 0.023456, "score": 0.034567}
    rows = [{"pair": pair, "name": f"{pair:07d}", "hr": {"path": "photographs/0123.png", "crop": [10, 20, 512, 512]},
             "reference": {"path": "camera/0456.jpg", "crop": [10, 20, 128, 128]}, "scale": 4, "tau": plan.taus[pair],
             "candidates": [one] * 3, "kept": 1, "engine": plan.engine, "start": {"kind": "bicubic"}}
            for pair in pairs]  # fmt: skip
    head = records.Head(shard=shard, plan=plan.sha256, pairs=pairs, rejects=[], row_steps=1, executed_row_steps=1,
                        seconds=dict.fromkeys(records.SECONDS, 1.0),
                        sizes={"gt": [512_345] * len(pairs), "lq": [34_567] * len(pairs)})  # fmt: skip
    return records.Record(head, rows)


def peak_mb() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(task: Callable[..., Any], *args: Any) -> Any:
    """The task in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(task, *args).result()


def scale_rows(order: Order, counts: tuple[int, ...], work: Path) -> Iterator[Row]:
    """Planning and closing runs of these numbers of pairs."""
    for pairs in counts:
        seconds, memory = alone(planned, order, pairs, work / f"plan-{pairs}")
        yield {"what": "plan", "pairs": pairs, "seconds": round(seconds, 3), "more_mb": round(memory, 1)}
        figures = alone(closed, order, pairs, work / f"books-{pairs}")
        yield {"what": "books", "pairs": pairs} | {name: round(value, 3) for name, value in figures.items()}


def generated(name: str, order: Order, pairs: int, threads: int, batch: int, work: Path) -> Row:
    """A whole run, in shards of two batches. cpu_share: of the processors."""
    asked, began = replace(order, pairs=pairs, shard_pairs=2 * batch, save_candidates=False), time.process_time()
    made, wall = clocked(lambda: run.generate(asked, work / name, workers=Workers(threads)))
    cpu = time.process_time() - began
    return {"what": "generate", "name": name, "pairs": pairs, "batch": batch, "wall_s": round(wall, 3),
            "cpu_share": round(cpu / (wall * threads), 4)} | shares(made.page, threads)  # fmt: skip


def shares(page: dict[str, Any], threads: int) -> dict[str, Any]:
    """Of a run's page: how the engine's time went in steady state, and which part of all work image I/O was."""
    steady = page["timeline"][1:-1] or page["timeline"]
    total = {name: sum(shard[name] for shard in steady) for name in ("pairs", *records.SECONDS)}
    files = total["decode"] + total["write"]
    work = files + total["degrade"] + threads * total["engine"]
    return {
        "shards": len(steady),
        "pairs_per_second": round(total["pairs"] / total["wall"], 3),
        **{name: round(total[key] / total["wall"], 4)
           for name, key in (("busy", "engine"), ("starved", "starved"), ("blocked", "blocked"))},
        "io_share": round(files / work, 4),
    }  # fmt: skip


@click.command()
@click.option("--engine", type=FOLDER,
    help="Folder of an engine that reads references. Needs --reference. [default: degraders only]")  # fmt: skip
@click.option("--hr", type=FOLDER, required=True, help="Folder of sharp photographs.")
@click.option("--reference", type=FOLDER, help="Folder of the camera's photographs, for --engine.")
@integer("--pairs", 64, "Pairs that the engine makes with the recipe recommended.")
@integer("--slow", 32, "Pairs that the engine makes with the recipe paper, which is slow.")
@integer("--quick", 1000, "Pairs that each degrader makes.")
@integer("--most", COUNTS[-1], f"Pairs of the large plan. {COUNTS[0]} pairs are planned too.")
@integer("--host", None, "Measure only what a pair costs the processor around the networks, over runs of N pairs.")
@ROWS_WRITTEN
def main(
    engine: Path | None, hr: Path, reference: Path | None, pairs: int, slow: int, quick: int, most: int,
    host: int | None, out: Path,
) -> None:  # fmt: skip
    """Measure planning, closing and image I/O of long runs, and how busy the engine is.

    \b
    Example:
      degrade-engine bench pipeline --hr samples/hr -o pipeline.jsonl

    Plans of many pairs are made, opened, closed and continued, without images. Then whole runs are made: each
    degrader's, and the engine's. With --host, runs of every source, size and output are made instead, as now and as in
    release 0.2.
    """
    threads, rows = cores(), list[Row]()
    runs: list[tuple[str, Order, int, int]] = [(kind, Order(degrader=kind, hr=hr), quick, BATCH) for kind in DEGRADERS]
    if engine and reference:
        order = Order(engine=engine, hr=hr, reference=reference)
        batch = open_engine_spec(engine).batch
        runs += [
            (name, replace(order, recipe=name), count, batch)
            for name, count in (("recommended", pairs), ("paper", slow))
        ]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        if host:
            runs, threads, rows = [], 1, list(host_rows(hr, host, work))
        else:
            rows += scale_rows(runs[-1][1], (COUNTS[0], most), work)  # the paper's setting, where there is an engine
        rows += [generated(name, order, count, threads, batch, work) for name, order, count, batch in runs]
    place_of = {"processor": processor(), **machine(threads)}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, [row | place_of for row in rows])
    for row in rows:
        click.echo(", ".join(f"{key} {value}" for key, value in row.items()))
