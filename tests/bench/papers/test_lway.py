"""The change where W is small, and elsewhere, on images whose change is known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.bench.papers.lway import changes  # noqa: E402


def test_changes_are_told_apart_by_w_on_the_lr_grid() -> None:
    weight = np.zeros((4, 6))
    weight[:, 4:] = 0.5
    before = np.full((8, 12, 3), 100, np.uint8)
    after = before.copy()
    after[:, :8] += 1  # the flat part, at scale 2
    after[:, 8:] -= 6
    found = changes([before, before], [after, before], [weight, weight], 2)
    assert found == {"change_flat": 0.5, "change_elsewhere": 3.0, "flat_share": pytest.approx(2 / 3, abs=1e-4)}
