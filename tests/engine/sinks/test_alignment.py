"""Shifts are measured in LR pixels, large ones and small, and means by what clipped noise cannot have moved."""

from __future__ import annotations

import numpy as np
import pytest

from degrade_engine.engine.images import resize_bicubic
from degrade_engine.engine.sinks import alignment

from ..pair_sets import photograph

GT = photograph(3, 264)[:256, :256]
LQ = resize_bicubic(GT, (64, 64))


@pytest.mark.parametrize("moved", [(4, 0), (0, -3), (6, 5), (-9, 2), (40, 0), (0, -40), (24, -60), (3, 100)])
def test_a_shift_is_measured_in_lr_pixels(moved):
    """moved: HR pixels, down and right, by which the HR's content moves; its rim goes round."""
    gt = np.roll(GT, (-moved[0], -moved[1]), (0, 1))  # then the LR's content lies further down and right
    found = alignment.shift(alignment.bring_down(gt, LQ), LQ)
    assert found == pytest.approx((moved[0] / 4, moved[1] / 4), abs=0.3 if max(map(abs, moved)) < 16 else 0.6)


def test_no_shift_is_found_where_there_is_none_or_none_can_be_seen():
    assert alignment.shift(alignment.bring_down(GT, LQ), LQ) == pytest.approx((0, 0), abs=0.05)
    dice = np.random.default_rng(0)
    noise = dice.integers(0, 256, (64, 64, 3), np.uint8)
    assert alignment.shift(noise, LQ) == (0.0, 0.0)  # two pictures that have nothing to do with each other
    flat = np.full_like(LQ, 90)
    assert alignment.shift(flat, LQ) == (0.0, 0.0) and alignment.shift(flat, flat) == (0.0, 0.0)
    assert alignment.shift(LQ[:20], np.roll(LQ, 3, 1)[:20]) == (0.0, 0.0)  # too small
    stripes = np.repeat(np.where(np.arange(64) % 8 < 4, 40, 200).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    grainy = np.clip(stripes + dice.normal(0, 30, stripes.shape), 0, 255).astype(np.uint8)
    assert alignment.shift(stripes, grainy) == (0.0, 0.0)  # a period further all is the same


def test_a_mean_may_move_as_far_as_clipped_noise_moves_it():
    dice = np.random.default_rng(0)
    for level, sign in ((250, -1), (5, 1)):
        sharp = np.full((64, 64, 3), level, np.uint8)
        low = np.clip(sharp + dice.normal(0, 60, sharp.shape), 0, 255)
        low = low.reshape(32, 2, 32, 2, 3).mean((1, 3)).repeat(2, 0).repeat(2, 1).astype(np.uint8)  # blurred afterwards
        mean, allowed = alignment.colour_shift(sharp, low)
        assert (np.sign(mean) == sign).all() and (np.abs(mean) > 15).all() and (np.abs(mean) < allowed).all()
    middle = np.full((64, 64, 3), 128, np.uint8)
    mean, allowed = alignment.colour_shift(middle, middle - np.array([0, 0, 20], np.uint8))
    assert (np.abs(mean) > allowed).tolist() == [False, False, True]
