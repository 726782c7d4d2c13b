"""The filter's arithmetic: distances, ties, NaN, and the rows that are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from degrade_engine.kernels import select


@settings(max_examples=40, deadline=None)
@given(
    candidates=st.integers(1, 4),
    batch=st.integers(1, 3),
    elements=st.one_of(st.integers(1, 9), st.integers(250, 1300)),
    threads=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_scores_are_equal_compiled_and_in_numpy(
    candidates: int, batch: int, elements: int, threads: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((candidates * batch, elements), dtype=np.float32)
    target = rng.standard_normal((batch, elements), dtype=np.float32)
    compiled = select.squared_l2(features, target, threads=threads)
    twin = select.squared_l2_twin(features, target)
    np.testing.assert_array_equal(compiled.view(np.int32), twin.view(np.int32))
    exact = ((features.reshape(candidates, batch, -1).astype(np.float64) - target) ** 2).sum(2)
    exact /= (target.astype(np.float64) ** 2).sum(1)
    np.testing.assert_allclose(compiled, exact, rtol=3e-6)


def test_rows_are_candidate_major() -> None:
    target = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    features = np.array([[1, 0], [0, 0], [0, 0], [0, 2]], dtype=np.float32)  # rows k·B + pair, K = B = 2
    np.testing.assert_array_equal(select.squared_l2(features, target), [[0, 1], [1, 0]])


def test_a_zero_target_gives_a_finite_score() -> None:
    scores = select.squared_l2(np.ones((2, 4), dtype=np.float32), np.zeros((1, 4), dtype=np.float32))
    assert np.isfinite(scores).all() and (scores > 1e9).all()


def test_nan_features_give_nan_scores() -> None:
    features = np.ones((2, 5), dtype=np.float32)
    features[1, 4] = np.nan
    scores = select.squared_l2(features, np.ones((1, 5), dtype=np.float32))
    assert scores[0, 0] == 0 and np.isnan(scores[1, 0])


def test_choose_breaks_ties_low_and_refuses_nan() -> None:
    nan, inf = np.nan, np.inf
    scores = np.array([[2, 1, nan, nan, inf], [1, 1, 9, nan, nan], [1, 3, nan, nan, 5]], dtype=np.float32)
    kept = select.choose(scores)
    assert kept.dtype == np.int32
    np.testing.assert_array_equal(kept, [1, 0, 1, 0, 2])


def test_gather_takes_the_kept_rows() -> None:
    x = np.arange(6, dtype=np.float32).reshape(6, 1)  # K = 3, B = 2
    np.testing.assert_array_equal(select.gather(x, np.array([2, 0], dtype=np.int32)), [[4], [1]])


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 6), elements=st.integers(1, 700), threads=st.integers(1, 3), seed=st.integers(0, 999))
def test_finite_is_equal_compiled_and_in_numpy(rows: int, elements: int, threads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 1, elements), dtype=np.float32)
    for row in np.flatnonzero(rng.random(rows) < 0.5):
        x[row, 0, rng.integers(elements)] = rng.choice([np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(select.finite(x, threads=threads), select.finite_twin(x))


@settings(max_examples=40, deadline=None)
@given(candidates=st.integers(1, 5), batch=st.integers(1, 9), seed=st.integers(0, 999))
def test_score_and_choice_are_equal_compiled_and_in_numpy(candidates: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    degradation, content = rng.integers(0, 3, (2, candidates, batch)).astype(np.float32) * np.float32(0.1)
    degradation[rng.random(degradation.shape) < 0.2] = np.nan
    content[rng.random(content.shape) < 0.1] = np.inf
    finite = rng.random(content.shape) < 0.8
    weights = (float(rng.random()), float(rng.random()))
    scores = select.score(degradation, content, finite, weights)
    twin = select.score_twin(degradation, content, finite, weights)
    np.testing.assert_array_equal(scores.view(np.int32), twin.view(np.int32))
    assert not np.isnan(scores).any() and np.isinf(scores[~finite]).all()
    for one in (scores, degradation, -content):
        np.testing.assert_array_equal(select.choose(one), select.choose_twin(one))


@settings(max_examples=40, deadline=None)
@given(
    candidates=st.integers(1, 4),
    batch=st.integers(1, 5),
    elements=st.integers(0, 67),
    dtype=st.sampled_from([np.uint8, np.float16, np.float32, np.float64]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_gather_is_equal_compiled_and_in_numpy(
    candidates: int, batch: int, elements: int, dtype: type, threads: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 200, (candidates * batch, elements)).astype(dtype)
    kept = rng.integers(0, candidates, batch, dtype=np.int32)
    found = select.gather(x, kept, threads=threads)
    np.testing.assert_array_equal(found, select.gather_twin(x, kept))
    assert found.dtype == x.dtype


def test_a_candidate_with_a_bad_pixel_has_no_score() -> None:
    ones = np.ones((1, 2), dtype=np.float32)
    np.testing.assert_array_equal(select.score(ones, ones, np.array([[True, False]]), (0.5, 0.25)), [[0.75, np.inf]])


def test_tile_fills_every_slice_from_the_first_or_from_elsewhere() -> None:
    out = np.arange(6, dtype=np.float32).reshape(6, 1)  # K = 3, B = 2
    select.tile(out[:2], out)
    np.testing.assert_array_equal(out.ravel(), [0, 1, 0, 1, 0, 1])
    select.tile(np.array([[7], [8]], dtype=np.float32), out)
    np.testing.assert_array_equal(out.ravel(), [7, 8, 7, 8, 7, 8])


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected"):
        select.squared_l2(np.ones((3, 4), dtype=np.float32), np.ones((2, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="Expected"):
        select.gather(np.ones((4, 1)), np.array([0, 2], dtype=np.int32))
    with pytest.raises(ValueError, match="at least one candidate"):
        select.choose(np.ones((0, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="Expected: bool"):
        select.score(*np.ones((2, 1, 2), np.float32), np.ones((1, 2), np.uint8), (1, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kept int64"):
        select.gather(np.ones((4, 1)), np.array([0, 1]))
