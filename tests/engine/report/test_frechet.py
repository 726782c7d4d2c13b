"""Eq. 3 against closed forms and against matrix roots taken by an eigendecomposition."""

from __future__ import annotations

import numpy as np
import pytest

from degrade_engine.engine.report.frechet import fit, frechet, squared_distance


def root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def by_roots(a: np.ndarray, b: np.ndarray) -> float:
    """Eq. 3 as it is printed."""
    s_a, s_b = np.cov(a.T), np.cov(b.T)
    half = root(s_a)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s_a + s_b - 2 * root(half @ s_b @ half)))


@pytest.mark.parametrize(("n", "m", "c"), [(500, 400, 8), (30, 50, 40), (12, 9, 24)])
def test_it_is_the_printed_formula_also_with_fewer_samples_than_dimensions(n, m, c):
    dice = np.random.default_rng(n)
    a, b = dice.normal(size=(n, c)) @ dice.normal(size=(c, c)), dice.normal(1, 1, (m, c))
    assert frechet(a, b) == pytest.approx(by_roots(a, b), rel=1e-6)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


def test_closed_forms():
    dice = np.random.default_rng(0)
    a = dice.normal(size=(300, 5))
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, a + 2.0) == pytest.approx(20, abs=1e-9)
    scaled = a.mean(0) + 3 * (a - a.mean(0))  # commuting covariances: sum of (sigma_a - sigma_b)²
    assert frechet(a, scaled) == pytest.approx(4 * np.cov(a.T).trace(), rel=1e-9)
    wide, narrow = np.array([[-1.0], [1.0]]) * 7, np.array([[-1.0], [1.0]]) * 2  # sigma is sqrt(2) times the number
    assert frechet(wide, narrow) == pytest.approx(2 * (7 - 2) ** 2)


def test_a_fit_is_mean_and_covariance():
    x = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    found = fit(x)
    np.testing.assert_allclose(found.root.T @ found.root, np.cov(x.T.astype(np.float64)), rtol=1e-9, atol=1e-12)
    assert squared_distance(found, found) == pytest.approx(0, abs=1e-9)
