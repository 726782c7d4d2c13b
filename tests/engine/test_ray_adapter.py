"""`degrade_engine.ray.Degrader`: batches of another pipeline get the LR that `Engine.degrade` makes, in any order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from degrade_engine import DegradeError, Engine
from degrade_engine.ray import Degrader

HOW: dict[str, Any] = {"seed": 5, "tau": (0, 9), "steps": 2, "candidates": 2, "threads": 1}


@pytest.fixture(scope="module")
def batch() -> dict[str, np.ndarray]:
    dice = np.random.default_rng(0)
    return {"hr": dice.integers(0, 256, (7, 64, 64, 3), np.uint8), "name": np.array(list("abcdefg")),
            "reference": dice.integers(0, 256, (7, 16, 16, 3), np.uint8)}  # fmt: skip


def wanted(engine: Path, batch: dict[str, np.ndarray], first: Any) -> np.ndarray:
    with Engine.open(engine, threads=1) as opened:
        how = {name: value for name, value in HOW.items() if name != "threads"}
        return opened.degrade(batch["hr"], batch["reference"], first=first, **how).lr


def test_a_numbered_batch_has_the_pairs_of_these_numbers(tiny_engine: Path, batch) -> None:
    numbers = np.array([40, 3, 17, 4, 0, 99_999_999, 5])
    made = Degrader(tiny_engine, **HOW)(batch | {"number": numbers})
    assert np.array_equal(made["lq"], wanted(tiny_engine, batch, numbers)) and list(made["name"]) == list("abcdefg")
    assert np.array_equal(made["hr"], batch["hr"])


def test_without_numbers_an_image_has_its_own_wherever_it_comes(tiny_engine: Path, batch) -> None:
    degrader = Degrader(tiny_engine, **HOW)
    whole = degrader(batch)["lq"]
    for order in ([6, 5, 4, 3, 2, 1, 0], [3], [2, 2]):
        assert np.array_equal(degrader({name: column[order] for name, column in batch.items()})["lq"], whole[order])
    assert len({one.tobytes() for one in whole}) == 7
    assert degrader({name: column[:0] for name, column in batch.items()})["lq"].shape == (0, 16, 16, 3)


def test_columns_may_have_other_names_and_missing_ones_are_said(tiny_engine: Path, batch) -> None:
    named = {"sharp": batch["hr"], "real": batch["reference"], "id": np.arange(7)}
    made = Degrader(tiny_engine, hr="sharp", reference="real", number="id", lq="low", **HOW)(named)
    assert np.array_equal(made["low"], wanted(tiny_engine, batch, 0))
    with pytest.raises(DegradeError, match="the batch has the columns hr. Expected: reference"):
        Degrader(tiny_engine, **HOW)({"hr": batch["hr"]})


@pytest.mark.slow
def test_ray_data_calls_it(tiny_engine: Path, batch) -> None:
    ray = pytest.importorskip("ray")
    pytest.importorskip("pyarrow")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, address="local")
    try:
        rows = [{name: column[n] for name, column in batch.items()} | {"number": n} for n in range(7)]
        made = ray.data.from_items(rows).map_batches(
            Degrader, fn_constructor_args=(str(tiny_engine),), fn_constructor_kwargs=HOW, batch_size=3, concurrency=1
        )
        found = {row["number"]: row["lq"] for row in made.take_all()}
    finally:
        ray.shutdown()
    assert np.array_equal(np.stack([found[n] for n in range(7)]), wanted(tiny_engine, batch, 0))
