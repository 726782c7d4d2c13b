"""The proof's own arithmetic: which bins a setting of Table 1 overlaps, and how often uniform weights count."""

from __future__ import annotations

import numpy as np
import pytest

from degrade_engine.bench.papers.binned import SETTINGS, overlapping, ratio
from degrade_engine.engine.classical.binned import PAPER


def test_the_settings_overlap_1_4_4_and_8_bins() -> None:
    assert [int(overlapping(setting).sum()) for setting in SETTINGS.values()] == [1, 4, 4, 8]
    only = int(np.flatnonzero(overlapping(SETTINGS[1]))[0])
    assert PAPER.box(only) == ((0, 0), (70, 90), (0, 10), (0, 1))


def test_uniform_weights_have_the_ratio_1() -> None:
    for setting in SETTINGS.values():
        inside = overlapping(setting)
        assert ratio([1 / 75] * 75, inside) == pytest.approx(1)
        assert ratio(np.where(inside, 3.0, 0.5), inside) == 6
