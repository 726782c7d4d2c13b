"""The speed rows: what is compared with what, and what is refused. No network is run."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

import click  # noqa: E402

from degrade_engine.bench.seconds import speed  # noqa: E402
from degrade_engine.engine.schedule import Schedule, table  # noqa: E402

SOLVER = table(Schedule(), "ddpm", 4)
PIXELS = np.random.default_rng(0).integers(0, 250, (3, 2, 8, 8, 3)).astype(np.uint8)  # K, pairs


def way(name: str, candidates: np.ndarray = PIXELS, against: str = "original", **how: object) -> speed.Way:
    one = speed.Way(name, lambda *_: speed.of_pairs(candidates), SOLVER, against, **how)  # type: ignore[arg-type]
    one.time(0)
    return one


def test_a_way_is_compared_where_both_made_the_pair() -> None:
    original = speed.Way("original", lambda *_: {1: PIXELS[:, 1]}, SOLVER, "original")
    original.time(0)
    moved = PIXELS.copy()
    moved[:, 0] += 5  # pair 0, which the original did not make
    moved[0, 1, 0, 0] += 2
    mean, off = way("batched", moved).error(original.made)
    assert mean == pytest.approx(2 * 3 / PIXELS[:, 1].size) and off == pytest.approx(3 / PIXELS[:, 1].size)


def test_times_are_a_pair_and_relative_to_the_original() -> None:
    original, engine = way("original"), way("engine")
    original.times, engine.times = [4.0, 6.0, 5.0], [2.0, 2.5, 3.0]
    row = speed.rows([original, engine], {"batch": 2})[1]
    assert (row["p50_s_a_pair"], row["times_faster"], row["repeats"]) == (2.5, 2.0, 3)
    assert (row["mean_error_grey"], row["batch"], row["pixels_against"]) == (0, 2, "original")


def test_other_pixels_are_refused_unless_the_row_is_about_them() -> None:
    off = PIXELS + np.uint8(3)
    with pytest.raises(click.ClickException, match="engine is off by more than 1 grey level in 100.00 %"):
        speed.rows([way("original"), way("engine", off)], {})
    (row,) = speed.rows([way("original"), way("engine, INT8", off, exact=False)], {})[1:]
    assert (row["mean_error_grey"], row["values_off_by_more_than_1"]) == (3, 1)


def test_nothing_in_common_is_refused() -> None:
    """An error of nothing is no number, and no number is not within a bound."""
    alone = way("engine", PIXELS)
    alone.made = {7: PIXELS[:, 0]}
    with pytest.raises(click.ClickException, match="nothing is written"):
        speed.rows([way("original"), alone], {})


def test_a_way_comes_with_what_it_is_held_against() -> None:
    chosen = {
        "original": lambda: way("original"),
        "batched": lambda: way("batched"),
        "few, eager": lambda: speed.Way("few, eager", lambda *_: {}, SOLVER, "few, eager"),
        "engine, few": lambda: speed.Way("engine, few", lambda *_: {}, SOLVER, "few, eager"),
    }
    assert [w.name for w in speed.asked_for(chosen, ("engine",))] == ["original", "engine, few", "few, eager"]
    assert [w.name for w in speed.asked_for(chosen, ())] == list(chosen)


def test_a_way_takes_part_in_its_own_rounds() -> None:
    ways = [speed.Way("slow", lambda *_: {0: PIXELS[:, 0]}, SOLVER, "slow", most=1)]
    ways.append(speed.Way("fast", lambda *_: {0: PIXELS[:, 0]}, SOLVER, "slow"))
    speed.measured(ways, 3, SOLVER)
    assert [len(w.times) for w in ways] == [1, 3]


def test_no_round_begins_that_would_end_after_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])

    def run(*_: object) -> dict[int, np.ndarray]:
        now[0] += 10
        return {0: PIXELS[:, 0]}

    one = speed.Way("slow", run, SOLVER, "slow")
    speed.measured([one], 5, SOLVER, budget=35)  # 10 s of warm-up, then rounds that end at 20, 30 and 40 s
    assert one.times == [10, 10]
    one.times.clear()
    speed.measured([one], 5, SOLVER, budget=1)
    assert one.times == [10], "the first round is always made"
