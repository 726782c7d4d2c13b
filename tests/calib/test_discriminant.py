"""Features whose content, strong and weak degradation are known: what the axes keep of each."""

from __future__ import annotations

import numpy as np
import pytest

from degrade_engine.calib.degradation import distances_of, measured, weights_of
from degrade_engine.calib.discriminant import axes
from degrade_engine.calib.features import Features

MIX = np.random.default_rng(5).normal(size=(4, 4))  # no feature is any one of the four alone


def features_of(strong: float, weak: float, seed: int, n: int = 150) -> np.ndarray:
    """[n, 5]: contents of deviation 3, two degradations beside them, chance of deviation 0.1, and a dead feature."""
    dice = np.random.default_rng(seed)
    hidden = np.stack([3 * dice.normal(size=n), *(v + 0.1 * dice.normal(size=n) for v in (10 * strong, weak, 0))], 1)
    return np.concatenate([hidden @ MIX, np.full((n, 1), 3.0)], axis=1)


BINS = [(s, w) for s in range(4) for w in range(4)]


def test_two_degradations_spread_alike_and_contents_do_not_count() -> None:
    made = [features_of(s, w, seed=0) for s, w in BINS]
    turn = axes(made)
    means = np.stack([(one @ turn).mean(axis=0) for one in made])
    spread = means.std(axis=0, ddof=1)
    assert spread[:2] == pytest.approx(1, rel=0.1), "the two degradations, one ten times the other in the features"
    assert (spread[2:] < 0.2).all(), "what is left is chance"
    contents = np.mean([(one @ turn).std(axis=0) for one in made], axis=0)
    assert contents.max() < 0.7, "beside the weak one of 1; they were 2.4 times as much"


def test_the_weak_degradation_is_found_only_in_these_axes() -> None:
    """The reference lies in one bin; distances as the features come hardly see which of its neighbours by the weak
    degradation it is."""
    made = [features_of(s, w, seed=0) for s, w in BINS]
    reference, wanted = features_of(1, 2, seed=99), BINS.index((1, 2))
    shares = {}
    for name in (False, True):
        fits, (real,) = measured(made, [reference], Features({}, lambda x: x, discriminant=name))
        plain = measured([real], [], Features({}, lambda x: x))[0][0]
        shares[name] = weights_of(distances_of(fits, plain), 25)[wanted]
    assert shares[True] > 0.9 and shares[False] < 0.5


def test_one_bin_and_equal_bins_have_no_axis_that_counts() -> None:
    one = features_of(0, 0, seed=0)
    assert axes([one]).shape == (5, 0)
    assert np.abs(axes([one, one, one])).max() < 1e-6
