"""What a pair costs the processor around the networks: milliseconds of a core, and so pairs a second a core.

Whole runs by an engine that takes no time: decode, crop, bring to LR size, encode, write, commit; and of two degraders.
Each photograph is one pair, and as large as its HR, so that a pair decodes a whole file. Each run is made in turns by
this code, and as release 0.2 worked (`as_before`). Processor time is counted, and the least of a few rounds, since it
depends little on what else runs.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np
from PIL import Image

from degrade_engine.engine import images, run
from degrade_engine.engine.classical import kernels as blurs
from degrade_engine.engine.classical import operations
from degrade_engine.engine.images import ZLIB_LEVEL, Pixels, encode, jpeg, png
from degrade_engine.engine.pipeline import stages
from degrade_engine.engine.planning import Order, Planned
from degrade_engine.engine.report.figures import figure
from degrade_engine.engine.runners import runner
from degrade_engine.engine.runners.workers import Workers
from degrade_engine.engine.sampling.batch import Batch, Begun
from degrade_engine.engine.sampling.starts import StartEngine
from degrade_engine.engine.schedule import Schedule
from degrade_engine.engine.sinks import Output
from degrade_engine.kernels import ziggurat

from ..rows import Row, markdown, rows_of
from .formats import cut

SIDES, SCALE, ROUNDS, TILE = (512, 1024), 4, 3, 512
SOURCES: dict[str, dict[str, Any]] = {"PNG": {"format": "PNG"}, "JPEG": {"format": "JPEG", "quality": 95}}
DEGRADERS = ("bsrgan", "realesrgan")
OUTPUTS = {
    "PNG": Output(), "WebP": Output(file_format="webp"), "PNG in LMDB": Output("lmdb"),
    "PNG in tars": Output("webdataset"),
}  # fmt: skip


class Instant(StartEngine):
    """Gives back the HR at LR size."""

    def begin(
        self, batch: Batch, *, filter: bool = False, candidates: int | None = None, inspect: bool = True
    ) -> Begun:
        return super().begin(replace(batch, start=batch.content))


def host_rows(hr: Path, pairs: int, work: Path) -> Iterator[Row]:
    """A row of each source, size and output, before and now, each release in a process of its own. hr: a folder of
    photographs."""
    with ExitStack() as stack:
        releases = {
            code: stack.enter_context(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
            for code in WAYS
        }
        yield from _host_rows(releases, hr, pairs, work)


def _host_rows(releases: Releases, hr: Path, pairs: int, work: Path) -> Iterator[Row]:
    for side in SIDES:
        tiles = large(cut(hr, TILE), side, pairs)
        for source, how in SOURCES.items():
            folder = work / f"{source}-{side}"
            folder.mkdir()
            for n, tile in enumerate(tiles):
                Image.fromarray(tile).save(folder / f"{n}.{source.lower()}", **how)
            (folder / "pairs.csv").write_text("hr\n" + "".join(f"{n}.{source.lower()}\n" for n in range(pairs)))
            order = Order(degrader="bicubic", hr=folder, pair_list=folder / "pairs.csv", lr_size=side // SCALE,
                          save_candidates=False)  # fmt: skip
            planned = run.plan(order, workers=Workers(1))
            instant = replace(planned, plan=replace(planned.plan, degrader=None))  # so that nothing is degraded
            about = {"source": source, "hr": side, "pairs": pairs}
            for kind, output in OUTPUTS.items():
                yield from compared(
                    releases, instant, Instant(), output, work, about | {"output": kind, "engine": "instant"}
                )
            for kind in DEGRADERS if (source, side) == ("PNG", SIDES[0]) else ():
                planned = run.plan(replace(order, degrader=kind), workers=Workers(1))
                yield from compared(
                    releases, planned, StartEngine(), OUTPUTS["PNG"], work, about | {"output": "PNG", "engine": kind}
                )
            yield from steps_alone(tiles, folder, source, side)


def large(tiles: list[Pixels], side: int, count: int) -> list[Pixels]:
    """So many different squares of photographs, each of as many tiles as it takes, turned and mirrored."""
    across, made = side // TILE, list[Pixels]()
    if not tiles:
        raise click.ClickException(f"no photograph has {TILE} x {TILE} pixels")
    for n in range(count):
        turned = [np.rot90(tiles[(n + k) % len(tiles)], n // len(tiles)) for k in range(across * across)]
        rows = [np.concatenate(turned[across * y : across * (y + 1)], axis=1) for y in range(across)]
        square = np.concatenate(rows)
        made.append(np.ascontiguousarray(square[:, ::-1] if n // len(tiles) >= 4 else square))
    return made


def compared(
    releases: Releases, planned: Planned, engine: StartEngine, output: Output, work: Path, about: Row
) -> Iterator[Row]:
    """A row of a whole run for each release."""
    least: dict[str, float] = {}
    for turn in range(ROUNDS):
        for code, process in releases.items():
            out = work / f"{code}-{turn}"
            seconds = process.submit(whole_run, code, planned, engine, output, out).result()
            least[code] = min(seconds, least.get(code, seconds))
            shutil.rmtree(out)
    for code, seconds in least.items():
        yield {"what": "host", "code": code, **about, "cpu_ms_a_pair": round(1e3 * seconds / about["pairs"], 2),
               "pairs_a_second_a_core": round(about["pairs"] / seconds, 1),
               "of_before": round(seconds / least["0.2"], 3)}  # fmt: skip


def whole_run(code: str, planned: Planned, engine: StartEngine, output: Output, out: Path) -> float:
    """Processor seconds of a run by a release's code."""
    level = ZLIB_LEVEL if code == "0.2" else None
    with WAYS[code]():
        began = time.process_time()
        runner.run(planned.plan, out, engine=engine, schedule=Schedule(), folders=planned.sources.folders,
                   workers=1, output=replace(output, png_level=level))  # fmt: skip
        return time.process_time() - began


@contextmanager
def as_before() -> Iterator[None]:
    """What the code did in release 0.2, but for how PNGs are written: Pillow resizes, libvips decodes everything, freed
    memory goes back to the system. Degraders work on the whole image at a time, numpy draws their noise, and denormal
    taps are as any other."""
    decodes = patch.object(jpeg, "sound", lambda _: None), patch.object(png, "sound", lambda _: None)
    others = (
        patch.object(images, "resize_bicubic", by_pillow), patch.object(stages, "keep_freed", lambda: False),
        patch.object(operations, "ROWS", 1 << 30), patch.object(ziggurat, "agrees", lambda: False),
        patch.object(blurs, "without_denormals", lambda taps: taps),
    )  # fmt: skip
    with ExitStack() as stack:
        for one in (*decodes, *others):
            stack.enter_context(one)
        yield


WAYS: dict[str, Callable[[], AbstractContextManager[None]]] = {"0.2": as_before, "now": nullcontext}
Releases = dict[str, ProcessPoolExecutor]


def by_pillow(image: Pixels, size: tuple[int, int]) -> Pixels:
    """The HR at LR size."""
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def steps_alone(tiles: list[Pixels], folder: Path, source: str, side: int) -> Iterator[Row]:
    """Milliseconds of a core of each step, alone."""
    files = [folder / f"{n}.{source.lower()}" for n in range(len(tiles))]
    small = [images.resize_bicubic(tile, (side // SCALE, side // SCALE)) for tile in tiles]

    def both(write: Callable[..., bytes], kind: str, n: int) -> tuple[bytes, bytes]:
        return write(tiles[n], kind), write(small[n], kind)

    for code, way in WAYS.items():
        write = partial(encode, png_level=ZLIB_LEVEL if code == "0.2" else images.FAST)
        steps: dict[str, Callable[[int], Any]] = {
            "decode": lambda n: images.read_rgb(files[n]),
            "resize": lambda n: images.resize_bicubic(tiles[n], (side // SCALE, side // SCALE)),
            "encode PNG": partial(both, write, "png"),
            "encode WebP": partial(both, write, "webp"),
        }
        with way():
            took = {f"{name}_cpu_ms": least_ms(step, len(tiles)) for name, step in steps.items()}
        yield {"what": "host stages", "code": code, "source": source, "hr": side, "pairs": len(tiles)} | took


def least_ms(step: Callable[[int], Any], count: int) -> float:
    """Of a few rounds, per pair."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for n in range(count):
            step(n)
        seconds.append(time.process_time() - began)
    return round(1e3 * min(seconds) / count, 2)


def table(folder: Path) -> str:
    """Milliseconds of a core a pair, release 0.2 and now, of each source, size, output and engine."""
    rows = [row for row in rows_of(folder, "host") if row["what"] == "host"]
    before = {_of(row): row for row in rows if row["code"] == "0.2"}
    body = [
        [f"{row['source']} {row['hr']}²", row["output"], "none" if row["engine"] == "instant" else row["engine"],
         figure(before[_of(row)]["cpu_ms_a_pair"]), figure(row["cpu_ms_a_pair"]), f"{100 * row['of_before']:.0f} %",
         figure(row["pairs_a_second_a_core"])]
        for row in rows if row["code"] == "now"
    ]  # fmt: skip
    header = ["source", "output", "degrader", "ms of a core, 0.2", "now", "of it", "pairs a second a core"]
    return markdown(header, body)


def _of(row: Row) -> tuple[Any, ...]:
    return row["source"], row["hr"], row["output"], row["engine"]
