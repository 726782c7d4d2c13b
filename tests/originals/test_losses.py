"""Equation 4 and Algorithm 1 against their plain readings."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.originals.realdgen import losses  # noqa: E402
from degrade_engine.originals.realdgen.oracle import alphas_bar  # noqa: E402


def test_contrastive_is_equation_4() -> None:
    torch.manual_seed(1)
    anchors, n, margin = 2, 3, 0.01
    a, p, q = torch.randn(anchors, 8), torch.randn(anchors * n, 8), torch.randn(anchors * n, 8)
    expected, right = 0.0, 0
    for i in range(anchors):
        for j in range(n):
            u, v, w = (x / x.norm() for x in (a[i], p[i * n + j], q[i * n + j]))
            expected += max(0.0, float((u - v).norm() - (u - w).norm()) + margin) / anchors
            right += int((u - v).norm() < (u - w).norm())
    loss, ordered = losses.contrastive(a, p, q, margin)
    assert float(loss) == pytest.approx(expected, abs=1e-5)
    assert float(ordered) == pytest.approx(right / (anchors * n))


def test_contrastive_has_a_gradient_where_all_vectors_agree() -> None:
    a = torch.ones(1, 4, requires_grad=True)
    losses.contrastive(a, torch.ones(3, 4), torch.ones(3, 4))[0].backward()
    assert torch.isfinite(a.grad).all()


def test_diffuse_follows_algorithm_1_line_8() -> None:
    abar = torch.tensor(alphas_bar(500, 1e-4, 0.02), dtype=torch.float32)
    x, eps = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    got = losses.diffuse(x, eps, torch.tensor([1, 500]), abar)
    for i, t in enumerate((1, 500)):
        product = torch.prod(1 - torch.linspace(1e-4, 0.02, 500, dtype=torch.float64)[:t])
        torch.testing.assert_close(got[i], (product.sqrt() * x[i] + (1 - product).sqrt() * eps[i]).float())


def test_t_is_drawn_from_1_to_T_and_its_share_from_the_low_end() -> None:
    generator = torch.Generator().manual_seed(0)
    t = losses.draw_t(20_000, 500, generator, 0.6, 60)
    assert t.min() == 1 and t.max() == 500
    expected = 0.6 + 0.4 * 60 / 500
    assert float((t <= 60).float().mean()) == pytest.approx(expected, abs=0.015)


def rows_as_generated(kept: list[float], noise: float, t: list[int]) -> tuple[torch.Tensor, ...]:
    abar = torch.tensor(alphas_bar(500, 1e-4, 0.02), dtype=torch.float32)
    quiet, n, eps = (torch.randn(len(t), 3, 64, 64, generator=torch.Generator().manual_seed(i)) for i in range(3))
    n = noise * n / n.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    x_0, times = quiet + n, torch.tensor(t)
    x_t, led = losses.diffuse_as_generated(x_0, x_0, eps, times, abar, n, torch.tensor(kept))
    return x_0, quiet, eps, x_t, led, abar[times][:, None, None, None]


def test_with_its_noise_kept_a_row_is_algorithm_1() -> None:
    x_0, _, eps, x_t, led, a = rows_as_generated([1.0], 0.1, [60])
    torch.testing.assert_close(x_t, a.sqrt() * x_0 + (1 - a).sqrt() * eps)
    torch.testing.assert_close(led, eps, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("t", [30, 100, 400])
def test_with_its_noise_hidden_x_t_is_as_noisy_as_that_of_a_clean_start(t: int) -> None:
    """The whole noise of x_t, the target's and the drawn, has the variance 1 - abar, whatever the target's noise."""
    for noise in (0.0, 0.05, 0.12):
        _, quiet, _, x_t, _, a = rows_as_generated([0.0], noise, [t])
        whole = (x_t - a.sqrt() * quiet).square().mean()
        assert float(whole) == pytest.approx(float(1 - a), rel=0.03)


def test_target_noisier_than_t_leaves_nothing_to_draw() -> None:
    x_0, _, _, x_t, led, a = rows_as_generated([0.0], 0.3, [5])
    torch.testing.assert_close(x_t, a.sqrt() * x_0)
    assert float(led.abs().max()) < 1e-4


def test_from_any_base_the_learnt_eps_leads_to_x_0() -> None:
    """One exact step from (x_t, eps) gives x_0, whichever image was noised and however strongly."""
    abar = torch.tensor(alphas_bar(500, 1e-4, 0.02), dtype=torch.float32)
    x_0, base, eps = (torch.randn(3, 3, 4, 4) for _ in range(3))
    t, kept = torch.tensor([8, 60, 120]), torch.tensor([0.0, 0.4, 1.0])
    x_t, led = losses.diffuse_as_generated(x_0, base, eps, t, abar, 0.1 * torch.randn(3, 3, 4, 4), kept)
    a = abar[t][:, None, None, None]
    torch.testing.assert_close((x_t - (1 - a).sqrt() * led) / a.sqrt(), x_0, atol=1e-4, rtol=1e-4)


def test_the_noise_error_is_the_distance_to_what_is_known_of_the_noise() -> None:
    s = torch.tensor([0.1, 0.3, 0.1])
    exactly, anything, at_most = (0.1, 0.1), (0.0, math.inf), (0.0, 0.2)
    assert float(losses.noise_error(s, torch.tensor([exactly, anything, at_most]))) == pytest.approx(0, abs=1e-12)
    error = float(losses.noise_error(s, torch.tensor([exactly, exactly, exactly])))
    assert error == pytest.approx(math.log(0.31 / 0.11) ** 2 / 3, rel=1e-4)
    error = float(losses.noise_error(s, torch.tensor([anything, at_most, anything])))
    assert error == pytest.approx(math.log(0.31 / 0.21) ** 2 / 3, rel=1e-4)


def test_an_unknown_noise_gives_no_gradient_and_a_bound_pulls_down_alone() -> None:
    s = torch.tensor([0.3, 0.3, 0.05], requires_grad=True)
    losses.noise_error(s, torch.tensor([(0.0, math.inf), (0.0, 0.2), (0.0, 0.2)])).backward()
    assert s.grad is not None
    assert float(s.grad[0]) == 0 and float(s.grad[1]) > 0 and float(s.grad[2]) == 0


def test_what_remains_of_the_start_is_what_ddim_leaves_of_it() -> None:
    """Walk DDIM with the true x_0 from a start at tau: the difference that x_t then holds is sigma_t/sigma_tau of the
    first, which is where training's rows lie, between that of START_LAST and the whole."""
    abar = torch.tensor(alphas_bar(500, 1e-4, 0.02))
    sigma = ((1 - abar) / abar).sqrt()
    x_0, start, z = 0.2, 0.9, 1.3
    for tau, t in ((100, 25), (60, 7), (120, 119)):
        x = abar[tau].sqrt() * start + (1 - abar[tau]).sqrt() * z
        eps = (x - abar[tau].sqrt() * x_0) / (1 - abar[tau]).sqrt()
        x = abar[t].sqrt() * x_0 + (1 - abar[t]).sqrt() * eps
        left = (x / abar[t].sqrt() - sigma[t] * z - x_0) / (start - x_0)
        assert float(left) == pytest.approx(float(sigma[t] / sigma[tau]))
    t = torch.arange(1, 501).repeat(200)
    remains = losses.remains_of_start(t, abar, torch.Generator().manual_seed(0)).reshape(200, 500)
    last, first = losses.START_LAST, losses.START_T
    assert not remains[:, last:].any()
    least, most = (sigma[1 : last + 1] / sigma[k] for k in (last, torch.arange(1, last + 1).clamp_min(first)))
    assert (remains[:, :last] >= least - 1e-6).all() and (remains[:, :last] <= most + 1e-6).all()
    whole = (remains[:, first - 1 : 100] > 0.999).float().mean()
    assert 0.5 < float(whole) < 0.6, "half the rows and a few by chance are at their first call"
