"""The HR whose picture an LR shows is found among many, and none where its own is that one."""

from __future__ import annotations

import numpy as np
import pytest

from degrade_engine.engine.sinks import owners
from degrade_engine.engine.sinks.likeness import likeness
from degrade_engine.engine.sinks.owners import Owners

from ..pair_sets import photograph


@pytest.mark.parametrize("block", [3, 4096])
def test_the_owner_is_found(monkeypatch, block):
    monkeypatch.setattr(owners, "BLOCK", block)
    dice = np.random.default_rng(1)
    pictures = {f"{n:02d}": photograph(n, 64)[:, :64] for n in range(20)}
    known, seen = Owners(), {}
    for name, sharp in pictures.items():
        lq = np.clip(sharp + dice.normal(0, 12, sharp.shape), 0, 255).astype(np.uint8)
        of_gt, seen[name] = likeness(sharp, lq).traces
        known.add(name, of_gt)
    names = list(pictures)
    assert known.find([(name, seen[name]) for name in names]) == [""] * 20
    swapped = [(name, seen[names[n - 1]]) for n, name in enumerate(names)]
    assert known.find(swapped) == [names[n - 1] for n in range(20)]
    stranger = likeness(photograph(99, 64)[:, :64], photograph(99, 64)[:, :64]).traces[1]
    assert known.find([("00", stranger)]) == [""]


def test_one_hr_alone_owns_all():
    sharp = photograph(0, 64)[:, :64]
    known = Owners()
    of_gt, of_lq = likeness(sharp, sharp).traces
    known.add("a", of_gt)
    assert known.find([]) == [] and known.find([("a", of_lq)]) == [""]


def test_the_same_hr_twice_owns_its_lr_both_times():
    known = Owners()
    of_gt, of_lq = likeness(photograph(0, 64)[:, :64], photograph(0, 64)[:, :64]).traces
    for name in "ab":
        known.add(name, of_gt)
    assert known.find([("a", of_lq), ("b", of_lq)]) == ["", ""]
