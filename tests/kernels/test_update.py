"""The solver update and the start: twin and library equal to the bit, waiting rows untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from degrade_engine.kernels import philox, update

from .conftest import TABLE


def rows_of(rng: np.random.Generator, shape: tuple[int, ...]) -> list[philox.Floats]:
    return [rng.standard_normal(shape, dtype=np.float32) for _ in range(3)]


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 6),
    height=st.integers(1, 23),
    width=st.integers(1, 33),
    clip=st.booleans(),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**64 - 1),
)
def test_update_is_equal_compiled_and_in_numpy(
    rows: int, height: int, width: int, clip: bool, threads: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, eps, x0_prev = rows_of(rng, (rows, 3, height, width))
    table = TABLE[rng.integers(0, len(TABLE), rows)]
    counter = rng.integers(0, 2**32, (3, rows), dtype=np.uint32)
    x_twin, x0_twin = x.copy(), x0_prev.copy()
    update.update(x, eps, x0_prev, table, clip, seed, *counter, threads=threads)
    update.update_twin(x_twin, eps, x0_twin, table, clip, philox.seed_key(seed), *counter)
    np.testing.assert_array_equal(x.view(np.int32), x_twin.view(np.int32))
    np.testing.assert_array_equal(x0_prev.view(np.int32), x0_twin.view(np.int32))


def test_update_follows_its_equations() -> None:
    x, eps, x0_prev = rows_of(np.random.default_rng(1), (1, 3, 9, 11))
    z = np.empty_like(x)
    counter = [np.array([word], dtype=np.uint32) for word in (4, 1, 29)]
    philox.normals(z, seed=3, pairs=counter[0], candidates=counter[1], steps=counter[2])
    p, q, a, b, c, d = TABLE[4].astype(np.float64)
    x0 = np.clip(p * x.astype(np.float64) + q * eps, -1, 1)
    wanted = a * x.astype(np.float64) + b * x0 + c * x0_prev + d * z
    update.update(x, eps, x0_prev, TABLE[4:], True, 3, *counter)
    np.testing.assert_allclose(x, wanted, rtol=0, atol=2e-6)
    np.testing.assert_allclose(x0_prev, x0, rtol=0, atol=1e-6)
    assert np.abs(x0_prev).max() <= 1


def test_waiting_rows_keep_every_bit() -> None:
    x, eps, x0_prev = rows_of(np.random.default_rng(2), (2, 3, 5, 7))
    x[0, 0, 0, :3] = [np.nan, -0.0, np.inf]
    x0_prev[0, 0, 0, 0] = np.nan
    eps[0] = np.nan  # a denoiser that ran on padding may return anything
    before, before_x0 = x.copy(), x0_prev.copy()
    words = np.zeros(2, dtype=np.uint32)
    update.update(x, eps, x0_prev, TABLE[[0, 1]], False, 0, words, words, words)
    np.testing.assert_array_equal(x[0].view(np.int32), before[0].view(np.int32))
    np.testing.assert_array_equal(x0_prev[0].view(np.int32), before_x0[0].view(np.int32))
    assert (x[1] != before[1]).all()


def test_first_step_reads_no_previous_prediction() -> None:
    x, eps, x0_prev = rows_of(np.random.default_rng(3), (1, 3, 5, 7))
    x0_prev[...] = np.nan
    words = np.zeros(1, dtype=np.uint32)
    update.update(x, eps, x0_prev, TABLE[[2]], False, 0, words, words, words)
    assert np.isfinite(x).all() and np.isfinite(x0_prev).all()


def test_nan_of_the_denoiser_survives_the_clip() -> None:
    x, eps, x0_prev = rows_of(np.random.default_rng(4), (1, 3, 2, 2))
    eps[0, 1, 1, 1] = np.nan
    words = np.zeros(1, dtype=np.uint32)
    update.update(x, eps, x0_prev, TABLE[[2]], True, 0, words, words, words)
    assert np.isnan(x[0, 1, 1, 1]) and np.isnan(x0_prev[0, 1, 1, 1]) and np.isnan(x).sum() == 1


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(1, 5),
    width=st.integers(1, 700),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**64 - 1),
)
def test_start_is_equal_compiled_and_in_numpy(rows: int, width: int, threads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x_start = rng.standard_normal((rows, 3, width), dtype=np.float32)
    abar = rng.random(rows)
    abar[rng.random(rows) < 0.3] = 1.0
    table = np.stack([np.sqrt(abar), np.sqrt(1 - abar)], axis=1).astype(np.float32)
    pairs, candidates = rng.integers(0, 2**32, (2, rows), dtype=np.uint32)
    compiled, twin = np.empty_like(x_start), np.empty_like(x_start)
    update.start(compiled, x_start, table, seed, pairs, candidates, threads=threads)
    update.start_twin(twin, x_start, table, philox.seed_key(seed), pairs, candidates)
    np.testing.assert_array_equal(compiled.view(np.int32), twin.view(np.int32))


def test_tau_zero_returns_the_start_exactly() -> None:
    x_start = np.random.default_rng(5).standard_normal((2, 3, 6, 6), dtype=np.float32)
    x_start[0, 0, 0, 0] = -0.0
    x, words = np.full_like(x_start, np.nan), np.zeros(2, dtype=np.uint32)
    update.start(x, x_start, np.array([[1.0, 0.0], [0.8, 0.6]], dtype=np.float32), 1, words, words)
    np.testing.assert_array_equal(x[0].view(np.int32), x_start[0].view(np.int32))
    z = np.empty_like(x_start)
    philox.normals(z, seed=1, pairs=words, candidates=words, steps=words)
    np.testing.assert_allclose(x[1], 0.8 * x_start[1] + 0.6 * z[1], rtol=0, atol=1e-6)


def test_wrong_shapes_are_refused() -> None:
    x, eps, x0_prev = rows_of(np.random.default_rng(6), (2, 8))
    words = np.zeros(2, dtype=np.uint32)
    with pytest.raises(ValueError, match=r"eps is float64 .* Expected: float32 \(2, 8\)"):
        update.update(x, eps.astype(np.float64), x0_prev, TABLE[:2], False, 0, words, words, words)
    with pytest.raises(ValueError, match=r"coefficients .* Expected: float32 \(2, 6\)"):
        update.update(x, eps, x0_prev, TABLE[:1], False, 0, words, words, words)
