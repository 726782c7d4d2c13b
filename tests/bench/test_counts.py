"""How much an engine does for a batch, counted: network calls, launches, bytes copied, host reads, allocations, rows.

No clock, so a guard on every machine: each figure follows from B pairs, K candidates, S steps and the image size by the
formulas below, which are the design's (docs/design.md, sections 3 to 5); a change that makes more of any fails here.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.bench.ledger import MOVED, Ledger, R, Watched, watched
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.devices.launches import CALLS
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.sampling.batch import Batch, BatchResult
from degrade_engine.engine.schedule import table
from degrade_engine.kernels import loader

from ..engine import tiny_bundle

LR, B = 32, 4
PLANES = 3 * LR * LR  # values of an image
LOOP = ["load", "denoiser", "update", "advance"]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An engine of each kind: B pairs, as many candidates as it can choose among."""
    folder = tmp_path_factory.mktemp("counts")
    return {
        kind: build(
            tiny_bundle.make(folder / f"{kind}-bundle", kind=kind), folder / kind, lr_size=LR, batch=B, threads=1
        ).folder
        for kind in KINDS
    }


def run(engine: Engine, taus: list[int], *, start: bool = False, first: int = 0, **how: bool) -> BatchResult:
    """A batch of len(taus) pairs with every step of ddpm, from whatever images the kind reads."""
    spec, n = engine.spec, len(taus)
    random = np.random.default_rng(0)

    def images(side: int = LR) -> np.ndarray:
        return random.integers(0, 256, (n, side, side, 3), dtype=np.uint8)

    batch = Batch(
        content=images(),
        reference=images() if spec.model_kind.reads_reference else None,
        pairs=np.arange(first, first + n, dtype=np.uint32),
        tables=[table(spec.schedule, "ddpm", tau) for tau in taus],
        start=images() if start or (spec.model_kind.has_steps and "reconstruction" not in spec.starts) else None,
        hr=None if spec.hr_scale is None else images(spec.hr_scale * LR),
        fusion_weight=0.5 if spec.model_kind.fuses else None,
    )
    return engine.run(batch, filter=spec.model_kind.can_filter, **how)


def steps_of(kind: str) -> list[int]:
    """Steps of the pairs of a full batch: S is the largest."""
    return [0] * B if kind == "lway" else [5, 2, 0, 5]


@pytest.mark.parametrize("kind", KINDS)
def test_network_calls(kind: str, engines: dict[str, Path]) -> None:
    """Features once a reference or pair, the denoiser once a step for all rows, extractors once a candidate more."""
    ledger = Ledger()
    with watched(engines[kind], ledger, threads=1) as engine:
        K, S = engine.spec.candidates, 5
        ledger.clear()
        result = run(engine, steps_of(kind))
    wanted = {
        "realdgen": {"degradation": 1 + K, "content": 1 + K, "modulation": 1, "reconstruction": 1, "denoiser": S},
        "onecall": {"degradation": 1, "draw": 1, "content": 1, "modulation": 1, "reconstruction": 1, "denoiser": S},
        "syndiff": {"denoiser": S},
        "uddm": {"condition": 1, "pddm": 1, "denoiser": S},
        "lway": {"degradation": 1, "reconstruction": 1},
    }
    assert ledger.count("network") == wanted[kind] == result.calls


def test_a_start_image_that_comes_is_not_reconstructed(engines: dict[str, Path]) -> None:
    ledger = Ledger()
    with watched(engines["realdgen"], ledger, threads=1) as engine:
        ledger.clear()
        run(engine, [5, 2, 0, 5], start=True)
    assert "reconstruction" not in ledger.count("network") and ledger.count("launch")["to_planar"] == 3


@pytest.mark.parametrize("inspect", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_launches(kind: str, inspect: bool, engines: dict[str, Path]) -> None:
    """Three a step; the rest do not depend on S, B or K."""
    ledger = Ledger()
    with watched(engines[kind], ledger, threads=1) as engine:
        ledger.clear()
        run(engine, steps_of(kind), inspect=inspect)
    if kind == "lway":
        wanted = {"to_planar": 2, "keep_first": 1, "to_bytes": 1}
    else:
        images, tiled, fusion = {
            "realdgen": (2, 1, 0), "onecall": (2, 1, 0), "syndiff": (2, 0, 0), "uddm": (3, 2, 2)
        }[kind]  # fmt: skip
        wanted = {"to_planar": images, "tile": tiled + 1, "start": 1, "load": 5, "update": 5 + fusion, "advance": 5,
                  "select" if kind == "realdgen" else "keep_first": 1, "kept_to_bytes": 1}  # fmt: skip
        if inspect:
            wanted["to_bytes"] = 2
        if kind == "onecall":
            wanted["start"] += 1  # the noise of F_deg
    assert ledger.count("launch") == wanted


@pytest.mark.parametrize("inspect", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_to_and_from_the_device(kind: str, inspect: bool, engines: dict[str, Path]) -> None:
    """Up: each image once, as bytes, and 28 more a row and step. Down: the result, once, as bytes."""
    ledger = Ledger()
    with watched(engines[kind], ledger, threads=1) as engine:
        spec, S = engine.spec, 5
        rows = B * spec.candidates
        ledger.clear()
        run(engine, steps_of(kind), inspect=inspect)
    figures = rows * (3 * 4 + 1) + 4 * B  # two errors, score and finite a candidate; the choice a pair
    if kind == "lway":
        up, down = 2 * B * PLANES, B * PLANES + B
    else:
        hr = B * PLANES * spec.hr_scale**2 if spec.hr_scale else 0
        tables = rows * S * (6 * 4 + 4) + rows * (2 * 4 + 4) + 4  # coefficients and timesteps; starts and pairs; step
        up = 2 * B * PLANES + hr + tables
        up += 2 * rows * 6 * 4 if spec.model_kind.fuses else 0
        up += 2 * 4 * B if kind == "onecall" else 0  # the scale of F_deg's noise
        down = B * PLANES + figures + ((B + rows) * PLANES if inspect else 0)
    assert (ledger.bytes("upload"), ledger.bytes("download")) == (up, down)
    assert ledger.count("download") == {"": 1} and ledger.entries[-1].act == "download"


@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_is_the_same_four_acts_each_step(kind: str, engines: dict[str, Path]) -> None:
    """No host read, no copy, no allocation from the first step's launch to the last one's; no batch allocates."""
    ledger = Ledger()
    with watched(engines[kind], ledger, threads=1) as engine:
        made = ledger.count("allocate")[""]
        ledger.clear()
        for first in (0, B):  # the second batch uses the first one's buffers
            run(engine, steps_of(kind), first=first)
    names = [entry.name for entry in ledger.entries]
    assert made and ledger.count("allocate") == {}
    if kind != "lway":
        one = names[: len(names) // 2]
        begin, end = one.index("load"), len(one) - one[::-1].index("advance")
        assert one == names[len(names) // 2 :] and one[begin:end] == LOOP * 5


class Traced(Ledger):
    """Also notes the most host memory that an act of the loop asked Python or numpy for, in bytes."""

    most = 0

    def note(self, act: str, name: str, nbytes: int, work: Callable[[], R]) -> R:  # type: ignore[override]
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = super().note(act, name, nbytes, work)  # type: ignore[arg-type]
        if name in LOOP:
            self.most = max(self.most, tracemalloc.get_traced_memory()[1] - before)
        return result


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lway"])
def test_a_step_on_the_host_makes_no_array_of_pixels(kind: str, engines: dict[str, Path]) -> None:
    """What it does ask for are a few counters a row."""
    if loader.library() is None:
        pytest.skip("the numpy twins of the kernels make arrays: needs a C++ compiler")
    ledger = Traced()
    with watched(engines[kind], ledger, threads=1) as engine:
        run(engine, steps_of(kind))
        tracemalloc.start()
        try:
            run(engine, steps_of(kind))
        finally:
            tracemalloc.stop()
    assert 0 < ledger.most < 4 * PLANES


def test_useful_row_steps(engines: dict[str, Path]) -> None:
    """Sixteen pairs, each tau of 0:7 twice, sorted and cut into batches of 4: 112 of 128 row-steps a candidate."""
    useful = executed = 0
    with Engine.open(engines["realdgen"], threads=1) as engine:
        K, taus = engine.spec.candidates, sorted([*range(8)] * 2)
        for first in range(0, 16, B):
            result = run(engine, taus[first : first + B], first=first)
            useful, executed = useful + result.row_steps, executed + result.executed_row_steps
    assert useful == K * 2 * sum(range(8)) and executed == K * B * (1 + 3 + 5 + 7)


def test_padding_costs_rows_and_nothing_else(engines: dict[str, Path]) -> None:
    """One pair in a batch of four: as many calls, launches and bytes as four."""
    ledger, acts = Ledger(), []
    with watched(engines["realdgen"], ledger, threads=1) as engine:
        for taus in ([5] * B, [5]):
            ledger.clear()
            result = run(engine, taus)
            acts.append([(e.act, e.name, e.bytes) for e in ledger.entries])
        assert (result.row_steps, result.executed_row_steps) == (5 * engine.spec.candidates, 5 * engine.spec.rows)
    assert acts[0] == acts[1]


class Quiet:
    """A device that does nothing."""

    name, stream, notes, overlaps = "quiet", None, (), False

    def launch(self, kernel: str, **arguments: object) -> None: ...


def test_the_bytes_that_kernels_move() -> None:
    """As the .cu files count them, an element: 20 of an update, 8 of a start, a gather, a tile, a cut or a
    blend of single tiles, 4 of the pixels that `keep_first` looks at."""
    assert set(MOVED) == set(CALLS)
    x, moved = np.zeros((2, PLANES), np.float32), {}
    for kernel, names in MOVED.items():
        ledger = Ledger()
        Watched(Quiet(), ledger).launch(kernel, **dict.fromkeys(names, x))  # type: ignore[arg-type]
        moved[kernel] = ledger.bytes("launch") // x.size
    found = {name: moved[name] for name in ("update", "start", "gather", "tile", "cut", "blend", "keep_first")}
    assert found == {"update": 20, "start": 8, "gather": 8, "tile": 8, "cut": 8, "blend": 8, "keep_first": 4}
