"""Equation 4 and Algorithm 1 against their plain readings."""

from __future__ import annotations

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


def test_noised_from_the_start_the_learnt_eps_leads_to_x_0() -> None:
    """One exact step from (x_t, eps) gives x_0, whichever image was noised; unchosen rows are untouched."""
    abar = torch.tensor(alphas_bar(500, 1e-4, 0.02), dtype=torch.float32)
    x_0, start, eps = (torch.randn(3, 3, 4, 4) for _ in range(3))
    t, rows = torch.tensor([8, 60, 60]), torch.tensor([True, True, False])
    x_t = losses.diffuse(x_0, eps, t, abar)
    got, led = losses.diffuse_from_start(x_0, start, x_t, eps, t, abar, rows)
    a = abar[t][:, None, None, None]
    torch.testing.assert_close((got - (1 - a).sqrt() * led) / a.sqrt(), x_0, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got[:2], (a.sqrt() * start + (1 - a).sqrt() * eps)[:2])
    assert torch.equal(got[2], x_t[2]) and torch.equal(led[2], eps[2])
