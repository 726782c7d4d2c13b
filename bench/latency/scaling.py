"""Seconds per batch over pairs, LR size, steps and candidates, and the straight line through each series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from degrade_engine.engine.sampling.batch import Batch
from degrade_engine.engine.schedule import table
from degrade_engine.engine.spec import hr_scale

from .. import rig
from ..ledger import Ledger
from ..rig import Source
from ..rows import Row
from ..timing import digits, spread, timed

SCALES = {"steps": (1, 2, 5, 10), "batch": (1, 2, 4, 8), "candidates": (1, 2, 3, 4), "lr_size": (64, 96, 128, 192, 256)}


@dataclass(frozen=True)
class Size:
    """What is run: pairs per batch, candidates, LR side, steps."""

    batch: int
    candidates: int
    lr_size: int
    steps: int


def random_batch(source: Source, size: Size) -> Batch:
    """Pixels of no meaning: what they are changes no time."""
    random, kind = np.random.default_rng(0), source.model_kind

    def images(side: int) -> np.ndarray:
        return random.integers(0, 256, (size.batch, side, side, 3), dtype=np.uint8)

    steps = table(source.schedule, "ddpm", size.steps if kind.has_steps else 0)
    return Batch(
        content=images(size.lr_size),
        reference=images(size.lr_size) if kind.reads_reference else None,
        pairs=np.arange(size.batch, dtype=np.uint32),
        tables=[steps] * size.batch,
        start=images(size.lr_size) if kind.has_steps else None,
        hr=None if (scale := hr_scale(source.parts)) is None else images(scale * size.lr_size),
        fusion_weight=0.5 if kind.fuses else None,
    )


def series(source: Source, over: str, base: Size, threads: int, repeats: int = 3) -> Iterator[Row]:
    """Batches of each value, the rest as in `base`, and the straight line through them: for the size, in pixels."""
    values = [v for v in SCALES[over] if over != "candidates" or v == 1 or source.model_kind.can_filter]
    found: list[tuple[int, float]] = []
    for value in values:
        size = replace(base, **{over: value})
        where = {"batch": size.batch, "candidates": size.candidates, "lr_size": size.lr_size}
        with rig.opened(source, Ledger(), threads=threads, **where) as sampler:
            batch = random_batch(source, size)
            times = timed(lambda: sampler.run(batch, filter=source.model_kind.can_filter, inspect=False), repeats)  # noqa: B023
        row = {"what": "scaling", "over": over, "value": value, "steps": size.steps, **where, **spread(times)}
        found.append((value**2 if over == "lr_size" else value, row["p50_ms"]))
        yield row
    if len(found) > 2:
        x, y = np.array(found).T
        each, fixed = np.polyfit(x, y, 1, w=1 / y)  # relative errors: the largest value would decide alone
        off = float(np.abs((fixed + each * x) / y - 1).max())
        yield {"what": "fit", "over": "pixels" if over == "lr_size" else over, "fixed_ms": digits(fixed),
               "each_ms": digits(each), "largest_error": digits(off)}  # fmt: skip


def packing(source: Source, steps: int, threads: int, repeats: int = 3) -> Iterator[Row]:
    """Batches of one engine with one candidate a pair, and with as many as it is for: its rows are shared by the
    pairs."""
    where = {"batch": source.batch, "candidates": source.candidates, "lr_size": source.lr_size}
    for made in sorted({1, source.candidates}):
        with rig.opened(source, Ledger(), threads=threads, made=made, **where) as sampler:
            batch = random_batch(source, Size(sampler.batch, made, source.lr_size, steps))
            times = timed(lambda: sampler.run(batch, filter=made > 1, inspect=False), repeats)  # noqa: B023
        row = {"what": "packing", **where, "made": made, "pairs": sampler.batch, "steps": steps, **spread(times)}
        yield row | {"ms_a_pair": digits(row["p50_ms"] / sampler.batch)}
