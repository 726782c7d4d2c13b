"""The binned space against section 3.3 of the paper."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from degrade_engine.engine.classical.binned import PAPER, RADIUS, Calibrated, Space, draw
from degrade_engine.engine.classical.pipeline import Grain, Jpeg, Scale, Sharpen
from degrade_engine.engine.classical.settings import preset
from degrade_engine.engine.classical.theta import Blur
from degrade_engine.engine.errors import DegradeError


def numbers(theta) -> tuple[float, float, float]:
    """(sigma, level, quality); blur, noise on the LR, JPEG, in this order (eq. 2)."""
    assert [type(step) for step in theta.steps] == [Blur, Scale, Grain, Jpeg]
    blur, down, grain, jpeg = theta.steps
    assert down.factor is None and grain.channels == "colour" and blur.size >= 2 * 4 * blur.sigma_x - 1
    return blur.sigma_x, grain.level, jpeg.quality


def test_the_paper_has_75_bins_that_tile_the_box():
    assert PAPER.bins == 75
    edges = [[30, 50, 70, 90], [0, 10, 20, 30, 40, 50], [0, 1, 2, 3, 4, 5]]
    wanted = set(itertools.product(*(itertools.pairwise(axis) for axis in edges)))
    assert {PAPER.box(bin)[1:] for bin in range(75)} == wanted


def test_the_finer_space_tiles_the_same_box_and_reaches_jpeg_that_hardly_shows():
    fine = preset(Space, "binned-fine")
    assert fine.shape == (3, 3, 5, 7) and fine.downsample == PAPER.downsample
    for name, low, high in (("blur_sigma", 0, 5), ("noise_level", 0, 50), ("jpeg_quality", 30, 100)):
        edges = getattr(fine, name)
        assert (edges[0], edges[-1]) == (low, high)


def test_without_weights_it_is_uniform_over_the_whole_box():
    found = np.array([numbers(draw(3, index)) for index in range(3000)])
    for column, (low, high) in zip(found.T, ((0, 5), (0, 50), (30, 90)), strict=True):
        assert low <= column.min() and column.max() <= high
        assert column.mean() == pytest.approx((low + high) / 2, abs=(high - low) * 0.02)
        assert column.std() == pytest.approx((high - low) / 12**0.5, rel=0.04)
    correlation = np.corrcoef(found.T)
    assert np.abs(correlation - np.eye(3)).max() < 0.06


def test_bins_come_as_often_as_their_weights_say():
    weights = np.zeros(75)
    weights[[3, 40, 74]] = 0.5, 0.3, 0.2
    found = [numbers(draw(1, index, PAPER, weights.tolist())) for index in range(2000)]
    inside = {bin: 0 for bin in (3, 40, 74)}
    for sigma, level, quality in found:
        here = [b for b in inside if all(low <= v <= high for v, (low, high) in
                                         zip((quality, level, sigma), PAPER.box(b)[1:], strict=True))]  # fmt: skip
        assert len(here) == 1
        inside[here[0]] += 1
    np.testing.assert_allclose([inside[b] / 2000 for b in (3, 40, 74)], (0.5, 0.3, 0.2), atol=0.04)


def test_other_spaces():
    space = Space((0.0, 2.0), (5.0,), (), "area")
    assert space.bins == 1 and space.shape == (1, 1, 1, 1)
    steps = draw(0, 0, space).steps
    assert [type(step) for step in steps] == [Blur, Scale, Grain] and steps[2].level == 5.0
    for wrong in ({"blur_sigma": (1.0, 0.0)}, {"noise_level": ()}, {"jpeg_quality": (0.0, 50.0)},
                  {"sharpen_amount": (-1.0, 0.0)}):  # fmt: skip
        with pytest.raises(DegradeError, match=next(iter(wrong))):
            replace(PAPER, **wrong)


def test_a_sharpening_comes_between_the_resize_and_the_noise_and_changes_nothing_else():
    space = replace(PAPER, sharpen_amount=(0.0, 0.5, 1.0))
    assert space.bins == 2 * PAPER.bins and space.box(PAPER.bins + 7) == ((0.5, 1.0), *PAPER.box(7)[1:])
    assert space.words(PAPER.bins + 7) == "blur 2 to 3, sharpening 0.5 to 1, noise 10 to 20, JPEG 30 to 50"
    only = np.eye(space.bins)[PAPER.bins + 7].tolist()
    found = [draw(5, index, space, only).steps for index in range(300)]
    plain = [draw(5, index, PAPER, only[PAPER.bins :]).steps for index in range(300)]
    for with_it, without in zip(found, plain, strict=True):
        assert with_it[:2] + with_it[3:] == without
        assert isinstance(with_it[2], Sharpen) and with_it[2].sigma == RADIUS
    amounts = [steps[2].amount for steps in found]
    assert 0.5 <= min(amounts) < 0.52 and 0.98 < max(amounts) <= 1


def test_weights_are_checked():
    good = Calibrated(PAPER, (1 / 75,) * 75, (0.0,) * 75, 25.0, {}, {}, {}, 72, 4, 0, 0.0, {})
    with pytest.raises(DegradeError, match="sum to"):
        replace(good, weights=(0.5,) * 75)
    with pytest.raises(DegradeError, match="75 of each"):
        replace(good, weights=(1.0,))
