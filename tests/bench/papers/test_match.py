"""The ranking of generators by `match`: rank correlations of rows, and what the table leaves out."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs the extra metrics")

from degrade_engine.bench.papers import match  # noqa: E402
from degrade_engine.bench.papers.true_pairs import with_references  # noqa: E402
from degrade_engine.engine.images import resize_bicubic  # noqa: E402


def row(generator: str, psnr: float | None, distance: float, **by_measure: float) -> dict:
    frechet = {"lr": {"distance": -distance}}
    return {"camera": "X", "generator": generator, "psnr_db": psnr, "by_measure": by_measure,
            "distance": {"measures": {"lr": distance}, "frechet": frechet}}  # fmt: skip


ROWS = [row("bicubic", 28.0, 3.0, noise=1.0), row("lway", 31.0, 2.0, noise=2.0), row("BSRGAN", 24.0, 4.0, noise=3.0),
        row(match.REAL, None, 1.0, noise=0.5, grain=0.1)]  # fmt: skip


def test_the_same_order_is_1_and_the_reverse_is_less():
    found = {one["measure"]: one["rank_correlation"] for one in match.correlations(ROWS)}
    assert found[match.MEAN] == 1 and found[match.FRECHET] == -1
    assert found["noise"] == pytest.approx(0.8)  # two neighbours changed places
    assert found["grain"] is None and found["halo"] is None  # fewer than three know it


def test_worth_is_the_mean_over_seeds_of_those_that_have_one():
    worth = [{"generator": name, "psnr_db": psnr} for name, psnr in
             (("bicubic", 25.0), ("bicubic", 25.4), ("lway", 25.1), ("true pairs", 26.0), ("uddm", 27.0))]  # fmt: skip
    worth.append({"generator": "lway", "psnr_db": 40.0, "camera": "another"})
    found = match.with_worth(ROWS, worth)
    assert found[match.MEAN] == pytest.approx(0.5)  # by worth: true pairs, bicubic (25.2), lway


def test_the_real_lr_of_a_camera_are_nearer_than_bicubic(monkeypatch):
    monkeypatch.setattr(match, "DEGRADERS", ())
    dice = np.random.default_rng(0)
    hr = [np.repeat(np.repeat(dice.integers(40, 216, (16, 16, 3), np.uint8), 16, 0), 16, 1) for _ in range(12)]
    lr = [match.degraded([resize_bicubic(one, (64, 64))], 1.0, 3.0)[0] for one in hr]
    camera = match.Camera("X", with_references("X", hr[:6], lr[:6]), lr[6:])
    rows = {one["generator"]: one for one in match.generators(camera, [])}
    assert rows[match.REAL]["psnr_db"] is None
    near, far = (rows[name]["distance"]["measures"]["lr"] for name in (match.REAL, "bicubic"))
    assert near < far / 3
    assert rows["bicubic, Gaussian 1"]["psnr_db"] > rows["bicubic, noise 5"]["psnr_db"]
