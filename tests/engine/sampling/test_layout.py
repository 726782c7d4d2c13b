from __future__ import annotations

import numpy as np

from degrade_engine.engine.sampling.layout import lay_out, plan_row_steps
from degrade_engine.engine.schedule import IDENTITY, Schedule, table


def test_rows_end_together_and_wait_with_the_identity() -> None:
    tables = [table(Schedule(), "ddpm", 5), None, table(Schedule(), "ddpm", 2), table(Schedule(), "ddpm", 0)]
    coefficients, timesteps = lay_out(tables, batch=5, candidates=2)
    assert coefficients.shape == (5, 10, 6) and coefficients.dtype == np.float32
    assert timesteps.shape == (5, 10) and timesteps.dtype == np.int32
    for k in range(2):
        np.testing.assert_array_equal(timesteps[:, 5 * k], [5, 4, 3, 2, 1])
        np.testing.assert_array_equal(timesteps[:, 5 * k + 2], [2, 2, 2, 2, 1])
        np.testing.assert_array_equal(coefficients[:, 5 * k], tables[0].coefficients.astype(np.float32))
        np.testing.assert_array_equal(coefficients[3:, 5 * k + 2], tables[2].coefficients.astype(np.float32))
        for waits in (coefficients[:3, 5 * k + 2], *(coefficients[:, 5 * k + i] for i in (1, 3, 4))):
            assert (waits == IDENTITY).all()
    assert (timesteps >= 1).all()


def test_nothing_to_do() -> None:
    for tables in ([], [None], [table(Schedule(), "ddim", 0)]):
        coefficients, timesteps = lay_out(tables, batch=2, candidates=3)
        assert coefficients.shape == (0, 6, 6) and timesteps.shape == (0, 6)


def test_sorted_plan_wastes_little() -> None:
    """512 pairs, tau 1..30, 16 pairs a batch: 0.97, where unsorted batches reach about 0.55.

    A draw scatters around 0.973 (0.962 to 0.985 over 2000 seeds), and for full batches no cut is better
    than the sorted.
    """
    shares = []
    for seed in range(20):
        tau = np.random.default_rng(seed).integers(1, 31, 512)
        useful, executed = plan_row_steps(tau.tolist(), 16)
        assert useful == tau.sum()
        shares.append(useful / executed)
        unsorted = 16 * tau.reshape(-1, 16).max(axis=1).sum()
        assert useful / unsorted < 0.6
    assert np.mean(shares) >= 0.97 and min(shares) >= 0.96


def test_the_last_batch_is_padded() -> None:
    assert plan_row_steps([3, 1, 2], 2) == (6, 2 * (2 + 3))
    assert plan_row_steps([], 4) == (0, 0)
