"""The public class: its docstring is run, and `degrade` splits, starts and refuses as it says."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from degrade_engine.engine import api
from degrade_engine.engine.errors import DegradeError


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
    found = engine.degrade(hr, camera, tau=0, start=start)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.lr, found.start)
    if start == "bicubic":
        small = np.stack([np.asarray(Image.fromarray(i).resize((16, 16), Image.Resampling.BICUBIC)) for i in hr])
        assert np.abs(found.lr.astype(int) - small).max() <= 1
    assert found.calls["reconstruction"] == (2 if start == "reconstruction" else 0)


def test_any_number_of_pairs_is_split(engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray]) -> None:
    hr, camera = photographs
    found = engine.degrade(list(hr), list(camera), tau=[3, 0, 9, 2, 7, 1], steps=None, seed=11)
    assert found.lr.shape == (6, 16, 16, 3) and found.candidates.shape == (2, 6, 16, 16, 3)
    assert found.score.shape == (2, 6) and found.finite.shape == (6,)
    assert found.row_steps == 2 * 22 and found.executed_row_steps == 8 * (9 + 7)
    alone = engine.degrade(hr[:1], camera[:1], tau=3, steps=None, seed=11)
    np.testing.assert_array_equal(alone.lr[0], found.lr[0])


def test_the_reference_matters(engine: api.Engine, photographs: tuple[np.ndarray, np.ndarray]) -> None:
    hr, camera = photographs
    a = engine.degrade(hr[:1], camera[:1], start="bicubic").lr
    b = engine.degrade(hr[:1], camera[1:2], start="bicubic").lr
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
        engine.degrade(**arguments)


def test_a_closed_engine(tiny_engine: Path, photographs: tuple[np.ndarray, np.ndarray]) -> None:
    with api.Engine.open(tiny_engine, threads=1) as engine:
        assert len(engine.sha256) == 64
    with pytest.raises(DegradeError, match="closed"):
        engine.degrade(*photographs)
    with pytest.raises(DegradeError, match="threads"):
        api.Engine.open(tiny_engine, threads=0)
