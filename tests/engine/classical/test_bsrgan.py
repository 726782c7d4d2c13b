"""BSRGAN and BSRGAN+: ranges, shares and orders of the published code, over many draws; no image is touched."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from degrade_engine.engine.classical.bsrgan import BSRGAN, BSRGANRanges, draw, draw_plus
from degrade_engine.engine.classical.pipeline import Grain, Jpeg, Pipeline, Scale, Shot, Subsample
from degrade_engine.engine.classical.settings import read
from degrade_engine.engine.classical.theta import Blur
from degrade_engine.engine.errors import DegradeError

N = 1500
SIZES = set(range(7, 26, 2))  # 2 * randint(2, 11) + 3


@pytest.fixture(scope="module")
def samples() -> list[Pipeline]:
    return [draw(5, index, scale=4) for index in range(N)]


@pytest.fixture(scope="module")
def plus() -> list[Pipeline]:
    return [draw_plus(5, index, scale=4) for index in range(N)]


def of(kind: type, samples: list[Pipeline]) -> list:
    return [step for theta in samples for step in theta.steps if isinstance(step, kind)]


def halved(theta: Pipeline) -> bool:
    first = theta.steps[0]
    return isinstance(first, Scale) and first.factor == 0.5


def test_each_sample_has_two_blurs_two_downsamplings_noise_and_jpeg_last(samples):
    for theta in samples:
        steps = theta.steps[halved(theta) :]
        kinds = Counter(type(step) for step in steps)
        assert kinds[Blur] == 2 and kinds[Grain] == 1 and kinds[Jpeg] in (1, 2) and isinstance(steps[-1], Jpeg)
        down = [s for s in steps if isinstance(s, Scale | Subsample)]
        assert len(down) == 2 and down[1].factor is None and down[0].factor is not None
    jpegs = np.mean([sum(isinstance(s, Jpeg) for s in theta.steps) - 1 for theta in samples])
    assert jpegs == pytest.approx(0.9, abs=0.03)


def test_a_quarter_is_halved_first_at_scale_4_and_none_at_2(samples):
    first = [theta for theta in samples if halved(theta)]
    assert len(first) / N == pytest.approx(0.25, abs=0.04)
    assert np.mean([t.steps[0].mode == "antialias" for t in first]) == pytest.approx(0.5, abs=0.09)
    assert not any(halved(draw(5, index, scale=2)) for index in range(100))


def test_blurs_follow_the_remaining_scale(samples):
    for theta in samples:
        scale = 2 if halved(theta) else 4
        for b in of(Blur, [theta]):
            assert b.size in SIZES and b.kind in ("iso", "aniso")
            if b.kind == "iso":
                assert b.sigma_x == b.sigma_y <= 2 + 0.2 * scale
            else:
                assert max(b.sigma_x, b.sigma_y) ** 2 <= 4 + scale and 0 <= b.rotation <= math.pi
    blurs = of(Blur, [t for t in samples if not halved(t)])
    assert {b.size for b in blurs} == SIZES
    assert np.mean([b.kind == "aniso" for b in blurs]) == pytest.approx(0.5, abs=0.04)
    variances = [b.sigma_x**2 for b in blurs if b.kind == "aniso"]  # uniform over 0..8
    assert np.mean(variances) == pytest.approx(4, abs=0.25) and np.var(variances) == pytest.approx(64 / 12, rel=0.12)
    assert np.mean([b.sigma_x for b in blurs if b.kind == "iso"]) == pytest.approx(1.4, abs=0.08)


def test_noise_has_the_published_levels_and_shares(samples, plus):
    for grains in (of(Grain, samples), [g for g in of(Grain, plus) if g.kind == "gaussian"]):
        shares = [np.mean([g.channels == name for g in grains]) for name in ("colour", "gray", "correlated")]
        np.testing.assert_allclose(shares, (0.4, 0.4, 0.2), atol=0.04)
        levels = [g.level for g in grains if g.channels != "correlated"]
        assert set(levels) == set(range(2, 26)) and np.mean(levels) == pytest.approx(13.5, abs=0.6)
        for g in grains:
            assert (g.covariance is not None) == (g.channels == "correlated")
            if g.covariance is not None:
                matrix = np.array(g.covariance)
                assert g.level == 25 and np.allclose(matrix, matrix.T, atol=1e-12)
                assert 0 <= matrix.min() and matrix.max() <= 1
    assert all(g.kind == "gaussian" for g in of(Grain, samples))


def test_downsampling_has_the_published_ranges(samples):
    first = [(2 if halved(t) else 4, next(s for s in t.steps[halved(t) :] if isinstance(s, Scale | Subsample)))
             for t in samples]  # fmt: skip
    assert np.mean([isinstance(s, Scale) for _, s in first]) == pytest.approx(0.75, abs=0.04)
    for scale, step in first:
        if isinstance(step, Scale):
            assert 1 / (2 * scale) <= step.factor <= 1
        else:
            assert step.factor == scale and 0.1 <= step.sigma <= 0.6 * scale and step.size == 25
    divisors = [1 / s.factor for scale, s in first if isinstance(s, Scale) and scale == 4]
    assert np.mean(divisors) == pytest.approx(4.5, abs=0.25)  # uniform over 1..8
    modes = Counter(s.mode for s in of(Scale, samples) if s.mode != "antialias")
    np.testing.assert_allclose([modes[m] / modes.total() for m in ("bilinear", "bicubic", "area")], 1 / 3, atol=0.03)


def test_qualities_are_30_to_95(samples, plus):
    for found in (samples, plus):
        qualities = [j.quality for j in of(Jpeg, found)]
        assert set(qualities) == set(range(30, 96)) and np.mean(qualities) == pytest.approx(62.5, abs=1.2)


def test_every_order_is_as_frequent(samples):
    """Where the noise stands among the five other kinds: uniform over the places."""
    whole = [t.steps[halved(t) :] for t in samples]
    places = Counter(next(i for i, s in enumerate(t) if isinstance(s, Grain)) for t in whole if len(t) == 7)
    shares = np.array([places[i] for i in range(6)]) / places.total()
    np.testing.assert_allclose(shares, 1 / 6, atol=0.04)


def test_plus_half_shuffled_with_rare_poisson_and_speckle(plus):
    shots, speckles = of(Shot, plus), [g for g in of(Grain, plus) if g.kind == "speckle"]
    assert len(shots) / N == pytest.approx(0.2, abs=0.04) and len(speckles) / N == pytest.approx(0.2, abs=0.04)
    assert all(100 <= s.photons <= 10000 for s in shots)
    assert np.mean([math.log10(s.photons) for s in shots]) == pytest.approx(3, abs=0.12)
    assert np.mean([s.gray for s in shots]) == pytest.approx(0.5, abs=0.1)
    in_order = 0
    for theta in plus:
        *steps, last, jpeg = theta.steps
        assert last.factor is None and isinstance(jpeg, Jpeg)
        heavy = [type(s).__name__ for s in steps if isinstance(s, Blur | Scale | Jpeg)]
        assert sorted(heavy) == ["Blur", "Blur", "Jpeg", "Scale", "Scale"]
        in_order += heavy == ["Blur", "Scale", "Jpeg", "Blur", "Scale"]
    assert in_order / N == pytest.approx(0.5 + 0.5 / 30, abs=0.04)  # 5! / (2! 2!) orders look different
    factors = [s.factor for s in of(Scale, plus) if s.factor is not None]
    assert 0.125 <= min(factors) and max(factors) <= 2
    np.testing.assert_allclose(
        [np.mean([f > 1 for f in factors]), np.mean([f < 1 for f in factors])], (0.2, 0.7), atol=0.03
    )


def test_a_sample_depends_on_seed_index_and_scale_alone():
    assert [draw(1, i, scale=4) for i in (3, 2, 1)][::-1] == [draw(1, i, scale=4) for i in (1, 2, 3)]
    assert len({draw(1, 0, scale=4), draw(2, 0, scale=4), draw(1, 1, scale=4), draw(1, 0, scale=2)}) == 4


def test_a_users_file_is_laid_over_the_published_one(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text("jpeg_prob = 0.0\n[noise]\nlevel_range = [3, 3]\n")
    ranges = read(BSRGANRanges, "bsrgan", own)
    assert ranges == replace(BSRGAN, jpeg_prob=0.0, noise=replace(BSRGAN.noise, level_range=(3, 3)))
    for text, said in (
        ("jpeg_probb = 1.0", "jpeg_probb"),
        ("jpeg_prob = 1.5", "jpeg_prob is 1.5"),
        ("[blur]\nsizes = [4]", "blur.sizes"),
        ("jpeg_range = [95, 30]", "jpeg_range"),
        ("jpeg_prob = 'no'", "jpeg_prob"),
        ("jpeg_prob = ", "TOML"),
    ):
        own.write_text(text)
        with pytest.raises(DegradeError, match=said):
            read(BSRGANRanges, "bsrgan", own)
