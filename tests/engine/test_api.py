"""The public class: its docstring is run, and `degrade` splits, starts and refuses as it says."""

from __future__ import annotations

import doctest
import os
import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from degrade_engine.engine import api
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.recipe import Recipe

TWO = Recipe((30, 30), 2, "even", "ddpm", 0.0, "reconstruction", candidates=2, filter=True)  # as the engine makes


@pytest.fixture(scope="module")
def photographs(samples: Path) -> tuple[np.ndarray, np.ndarray]:
    """Six crops 64 x 64 of the bundled HR photographs, and six 16 x 16 of the references."""

    def crops(folder: str, side: int) -> np.ndarray:
        paths = sorted(p for p in (samples / folder).iterdir() if p.suffix in (".png", ".jpg"))[:6]
        return np.stack([np.asarray(Image.open(p).convert("RGB"))[40 : 40 + side, 40 : 40 + side] for p in paths])

    return crops("hr", 64), crops("reference", 16)


@pytest.fixture(scope="module")
def engine(tiny_engine: Path) -> Iterator[api.Engine]:
    with api.Engine.open(tiny_engine, threads=1) as engine:
        yield engine


def test_docstring_example(tiny_engine: Path, photographs: tuple[np.ndarray, np.ndarray]) -> None:
    names = {"folder": tiny_engine, "photographs": photographs[0], "snapshots": photographs[1]}
    tests = [t for t in doctest.DocTestFinder().find(api.Engine, "Engine", globs=names) if t.examples]
    assert len(tests) == 1
    outcome = doctest.DocTestRunner().run(tests[0])
    assert outcome.failed == 0 and outcome.attempted >= 4


@pytest.mark.parametrize("start", ["reconstruction", "bicubic", "realesrgan"])
def test_starts(engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray], start: str) -> None:
    hr, camera = photographs
    found = engine.degrade(hr, camera, recipe=TWO, tau=0, start=start)
    np.testing.assert_array_equal(found.lr, found.start)
    if start == "bicubic":
        small = np.stack([np.asarray(Image.fromarray(i).resize((16, 16), Image.Resampling.BICUBIC)) for i in hr])
        assert np.abs(found.lr.astype(int) - small).max() <= 1
    assert found.calls["reconstruction"] == (2 if start == "reconstruction" else 0)


def test_any_number_of_pairs_is_split(engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray]) -> None:
    hr, camera = photographs
    found = engine.degrade(list(hr), list(camera), recipe=TWO, tau=[3, 0, 9, 2, 7, 1], steps=None, seed=11)
    assert found.lr.shape == (6, 16, 16, 3) and found.candidates.shape == (2, 6, 16, 16, 3)
    assert found.score.shape == (2, 6) and found.finite.shape == (6,)
    assert found.row_steps == 2 * 22 and found.executed_row_steps == 8 * (9 + 7)
    alone = engine.degrade(hr[:1], camera[:1], recipe=TWO, tau=3, steps=None, seed=11)
    np.testing.assert_array_equal(alone.lr[0], found.lr[0])


def test_the_reference_matters(engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray]) -> None:
    hr, camera = photographs
    a = engine.degrade(hr[:1], camera[:1], recipe=TWO, start="bicubic").lr
    b = engine.degrade(hr[:1], camera[1:2], recipe=TWO, start="bicubic").lr
    assert (a != b).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scale": 2}, r"hr\[0\] is uint8"),
        ({"tau": 501}, "tau is 501"),
        ({"tau": [1, 2]}, "2 values of tau"),
        ({"steps": 0}, "steps is 0"),
        ({"start": "magic"}, "start is 'magic'"),
        ({"solver": "euler"}, "solver is 'euler'"),
        ({"hr": []}, "holds no image"),
        ({"reference": []}, "holds no image"),
    ],
)
def test_refusals(engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray], change: dict, said: str) -> None:
    arguments = {"hr": photographs[0], "reference": photographs[1], **change}
    with pytest.raises(DegradeError, match=said):
        engine.degrade(recipe=TWO, **arguments)


def test_a_closed_engine(tiny_engine: Path, photographs: tuple[np.ndarray, np.ndarray]) -> None:
    with api.Engine.open(tiny_engine, threads=1) as engine:
        assert len(engine.sha256) == 64
    with pytest.raises(DegradeError, match="closed"):
        engine.degrade(*photographs, recipe=TWO)
    with pytest.raises(DegradeError, match="threads"):
        api.Engine.open(tiny_engine, threads=0)


@pytest.mark.parametrize(
    "change",
    [
        {"tau": 30.9}, {"tau": 30.0}, {"tau": float("nan")}, {"tau": True}, {"tau": -1}, {"tau": "30"}, {"steps": 1.5},
        {"tau": [3, 30.9, 3, 3, 3, 3]}, {"tau": [3, True, 3, 3, 3, 3]}, {"tau": [3, None, 3, 3, 3, 3]},
        {"tau": np.full(6, 3.0)}, {"tau": np.array([3, np.nan, 3, 3, 3, 3])}, {"tau": [np.bool_(True)] * 6},
        {"seed": -1}, {"seed": 2**64}, {"seed": 7.0}, {"seed": np.int64(-1)}, {"seed": False}, {"seed": "7"},
        {"scale": 4.0}, {"scale": 0}, {"scale": True}, {"steps": True}, {"steps": np.float32(2)}, {"steps": -1},
        {"noise": float("nan")}, {"noise": -1}, {"noise": float("inf")}, {"noise": "1"}, {"noise": True},
        {"solver": "ddim", "eta": float("nan")}, {"solver": "ddim", "eta": 2}, {"solver": "ddim", "eta": "0"},
        {"fusion_weight": float("nan")}, {"fusion_weight": True}, {"fusion_weight": 10**400},
    ],
    ids=repr,
)  # fmt: skip
def test_a_number_of_the_wrong_kind_is_refused(
    engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray], change: dict
) -> None:
    with pytest.raises(DegradeError, match="Expected"):
        engine.degrade(*photographs, recipe=TWO, **{"tau": 3, **change})


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16, np.array])
def test_numpy_s_numbers_are_numbers(
    engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray], kind: type
) -> None:
    wanted = engine.degrade(*photographs, recipe=TWO, tau=3, steps=2, seed=7, scale=4, noise=1.0).lr
    few = {"steps": kind(2), "seed": kind(7), "scale": kind(4), "noise": np.float32(1)}
    for tau in (kind(3), [kind(3)] * 6, np.full(6, 3)):
        np.testing.assert_array_equal(engine.degrade(*photographs, recipe=TWO, tau=tau, **few).lr, wanted)


@pytest.mark.parametrize(
    "how", [{"threads": 1.5}, {"threads": True}, {"lr_size": 16.0}, {"lr_size": (16, 16.5)}, {"lr_size": 0},
            {"lr_size": (16,)}, {"lr_size": float("nan")}, {"lr_size": "16"}, {"lr_size": 24, "tile_overlap": 4.5}]
)  # fmt: skip
def test_an_engine_is_not_opened_by_numbers_of_the_wrong_kind(tiny_engine: Path, how: dict) -> None:
    with pytest.raises(DegradeError, match="Expected"):
        api.Engine.open(tiny_engine, **how)
    with api.Engine.open(tiny_engine, np.int64(1), lr_size=np.int16(24), tile_overlap=np.int64(4)) as engine:
        assert engine.lr_size == (24, 24) and engine.tile_overlap == 4


@pytest.mark.parametrize("lr_size", [16, 24], ids=["whole", "tiled"])
def test_threads_that_share_an_engine_get_what_they_would_get_alone(
    tiny_engine: Path, samples: Path, lr_size: int
) -> None:
    """Each with its own photographs, seed and number of steps, all at once, several batches a call."""
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (6, 4 * lr_size, 4 * lr_size, 3), dtype=np.uint8)
    camera = rng.integers(0, 256, (6, lr_size, lr_size, 3), dtype=np.uint8)

    def call(i: int) -> api.BatchResult:
        how = TWO.but(tau=5 + 3 * i, steps=None, noise=i)
        return engine.degrade(np.roll(hr, i, 0), np.roll(camera, -i, 0), recipe=how, seed=i)

    with api.Engine.open(tiny_engine, threads=1, lr_size=lr_size) as engine:
        wanted = [call(i) for i in range(4)]
        with ThreadPoolExecutor(4) as pool:
            for _ in range(3):
                for got, alone in zip(pool.map(call, range(4)), wanted, strict=True):
                    for name in ("lr", "candidates", "score", "kept"):
                        np.testing.assert_array_equal(getattr(got, name), getattr(alone, name), err_msg=name)


def test_closing_waits_for_the_batch_in_hand(
    tiny_engine: Path, photographs: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    engine = api.Engine.open(tiny_engine, threads=1)
    runner = engine._runner(TWO.candidates)
    begin = runner.begin

    def slow(*args: object, **how: object) -> Callable[[], api.BatchResult]:
        began.set()
        assert go_on.wait(30)
        return begin(*args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "begin", slow)
    with ThreadPoolExecutor(2) as pool:
        hr, camera = photographs
        made = pool.submit(engine.degrade, hr[:1], camera[:1], recipe=TWO)
        assert began.wait(30)
        closed = pool.submit(engine.close)
        with pytest.raises(TimeoutError):
            closed.result(0.2)
        go_on.set()
        closed.result(30)
        assert made.result(30).lr.shape == (1, 16, 16, 3)
    with pytest.raises(DegradeError, match="closed"):
        engine.degrade(*photographs, recipe=TWO)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_is_refused_and_leaves_the_engine_to_its_parent(
    engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray]
) -> None:
    """Also while a batch is in hand: the child must not wait for a lock that nobody there can open."""
    ear, mouth = os.pipe()
    with engine._turn:
        child = os.fork()
        if not child:
            said = "nothing"
            try:
                engine.degrade(*photographs, recipe=TWO)
            except DegradeError as error:
                said = str(error)
            except BaseException as error:
                said = repr(error)
            engine.close()
            os.write(mouth, said.encode())
            os._exit(0)
    os.close(mouth)
    assert select.select([ear], [], [], 30)[0], "the child hangs"
    with os.fdopen(ear) as heard:
        said = heard.read()
    os.waitpid(child, 0)
    assert f"opened in process {os.getpid()}" in said and "spawn" in said
    assert engine.degrade(*photographs, recipe=TWO).lr.shape == (6, 16, 16, 3)
