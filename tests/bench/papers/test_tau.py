"""`bench papers tau`: the closed form; and a tau that F_deg tells is found, one that it does not tell is not."""

from __future__ import annotations

import numpy as np
import pytest

from degrade_engine.bench.papers import tau


def test_ridge_is_the_minimum_of_its_penalty() -> None:
    dice = np.random.default_rng(0)
    x, y = dice.normal(3, 2, (40, 5)), dice.normal(0, 1, (40, 2))
    found = tau.ridge(x, y, penalty=0.5)
    z = (x - x.mean(0)) / x.std(0)
    weights = np.linalg.lstsq(z, found(x) - y.mean(0), rcond=None)[0]

    def cost(w: np.ndarray) -> float:
        return float(np.square(z @ w + y.mean(0) - y).sum() + 0.5 * 40 * np.square(w).sum())

    around = [cost(weights + 1e-3 * dice.normal(size=weights.shape)) for _ in range(50)]
    assert cost(weights) < min(around)
    nothing = tau.ridge(x, y, penalty=1e9)(x)
    np.testing.assert_allclose(nothing, np.broadcast_to(y.mean(0), nothing.shape), atol=1e-6)


@pytest.mark.parametrize("read", [True, False])
def test_what_f_deg_says_is_found_on_the_other_half(read: bool) -> None:
    dice = np.random.default_rng(1)
    right = dice.integers(0, 2, 80)
    errors = np.where(np.arange(2) == right[:, None], 1.0, 2.0)
    f_deg = dice.normal(0, 1, (80, 6))
    f_deg[:, 0] += 10 * right * read
    found = tau.chosen(errors, f_deg)
    assert found["best_of_each"] == 1.0 and found["one_tau"] == pytest.approx(1.5, abs=0.2)
    assert (found["by_f_deg"] == 1.0) == read
    low, high = found["gain_by_f_deg"][1:]
    assert high < -0.3 if read else low < 0.2 and high > -0.2


def test_the_filter_is_judged_against_the_mean_of_its_candidates() -> None:
    all_of = {("e", one): [[1.0, 4.0], [3.0, 2.0]] for one in tau.TAUS}
    kept = {("e", one): [1.0, 2.0] for one in tau.TAUS}
    rows = list(tau.filtered("e", kept, all_of, np.array([1.0, 5.0])))
    assert [row["tau"] for row in rows] == list(tau.TAUS)
    assert all(row["gain"][0] == -1.0 and row["between_candidates"] == 1.0 for row in rows)
    assert all(row["gain_of_the_noisy"] == [-1.0, -1.0, -1.0] and row["noisy_from"] == 3.0 for row in rows)


def test_a_pair_has_one_degradation_for_its_target_and_its_reference() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), np.uint8)
    same = sharp.copy()
    same[2:] = sharp[:2]
    hr, target, reference = tau.material(same)
    assert (hr == sharp[:2]).all() and target.shape == reference.shape == (2, 32, 32, 3)
    apart = np.abs(target.astype(float) - reference).mean((1, 2, 3))
    other = np.abs(target.astype(float) - target[::-1]).mean((1, 2, 3))
    assert (apart < 0.8 * other).all(), "noise alone differs"
