"""The solvers against the printed formula and against a case solved by hand: Gaussian data, where everything
is linear.

For x_0 ~ N(m, s^2) the exact eps_hat is linear in x, so one step maps (x, x0_prev) linearly. The tests carry
the linear map itself (mean and spread) instead of samples, so the comparison has no sampling error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.schedule import SOLVERS, Schedule, Spacing, ddim, ddpm, dpmpp, table, timesteps

M, S = 0.3, 0.6  # mean and standard deviation of the data
PAPER = Schedule()


def fine(T: int) -> Schedule:
    """The same continuous process cut into T steps instead of 500."""
    return Schedule(T=T, beta_1=1e-4 * 500 / T, beta_T=0.02 * 500 / T)


def spread(schedule: Schedule, t: np.ndarray | int) -> np.ndarray:
    """Standard deviation of x_t."""
    abar = schedule.alphas_bar[t]
    return np.sqrt(abar * S * S + 1 - abar)


def eps_hat(schedule: Schedule, x: float, t: int) -> float:
    abar = schedule.alphas_bar[t]
    return np.sqrt(1 - abar) * (x - np.sqrt(abar) * M) / (abar * S * S + 1 - abar)


def ode(schedule: Schedule, x: float, t: int, s: int) -> float:
    """Exact probability-flow solution: the standardised x is constant."""
    abar = schedule.alphas_bar
    return np.sqrt(abar[s]) * M + (x - np.sqrt(abar[t]) * M) * spread(schedule, s) / spread(schedule, t)


def solve(schedule: Schedule, t: np.ndarray, coefficients: np.ndarray, x: float, steps: int) -> float:
    x0_prev = 0.0
    for i in range(steps):
        p, q, a, b, c, d = coefficients[i]
        assert d == 0
        x0 = p * x + q * eps_hat(schedule, x, int(t[i]))
        x, x0_prev = a * x + b * x0 + c * x0_prev, x0
    return x


def moments(schedule: Schedule, t: np.ndarray, coefficients: np.ndarray) -> tuple[float, float]:
    """Mean and variance of x_0 when x_tau has its exact marginal and fresh noise is added (c = 0)."""
    tau = int(t[0])
    mean, variance = np.sqrt(schedule.alphas_bar[tau]) * M, float(spread(schedule, tau)) ** 2
    for (p, q, a, b, c, d), step in zip(coefficients, t, strict=True):
        assert c == 0
        slope = eps_hat(schedule, 1.0, step) - eps_hat(schedule, 0.0, step)
        mean = a * mean + b * (p * mean + q * eps_hat(schedule, mean, step))
        variance = (a + b * (p + q * slope)) ** 2 * variance + d * d
    return mean, variance


def test_schedule_is_the_papers() -> None:
    assert PAPER.T == 500 and PAPER.alphas_bar.dtype == np.float64
    assert PAPER.alphas_bar.shape == PAPER.alphas.shape == (501,)
    assert PAPER.alphas_bar[0] == 1 and PAPER.alphas[1] == 1 - 1e-4 and PAPER.alphas[500] == 1 - 0.02
    assert PAPER.start(0) == (1.0, 0.0)
    s, n = PAPER.start(30)
    assert s * s + n * n == pytest.approx(1, abs=1e-15) and 0 < n < 0.2


@pytest.mark.parametrize("sigma", ["beta", "posterior"])
@pytest.mark.parametrize("tau", [1, 2, 30, 500])
def test_ddpm_with_every_step_is_algorithm_2(tau: int, sigma: str) -> None:
    schedule = Schedule(sigma=sigma)  # type: ignore[arg-type]
    random = np.random.default_rng(tau)
    rows = table(schedule, "ddpm", tau)
    for t, (p, q, a, b, c, d) in zip(rows.timesteps, rows.coefficients, strict=True):
        x, eps, z = random.standard_normal((3, 64))
        alpha, abar = schedule.alphas[t], schedule.alphas_bar[t]
        posterior = (1 - abar / alpha) / (1 - abar)
        sigma_t = np.sqrt((1 - alpha) * (1.0 if sigma == "beta" else posterior))
        printed = (x - (1 - alpha) / np.sqrt(1 - abar) * eps) / np.sqrt(alpha) + sigma_t * z * (t > 1)
        assert c == 0
        ours = a * x + b * (p * x + q * eps) + d * z
        np.testing.assert_allclose(ours, printed, rtol=0, atol=1e-12)


def test_a_strided_ancestral_step_is_one_long_step() -> None:
    t = timesteps(300, 3)
    assert t.tolist() == [300, 200, 100]
    rows, abar = ddpm(PAPER, t), PAPER.alphas_bar
    np.testing.assert_allclose(rows[:2, 5] ** 2, [1 - abar[300] / abar[200], 1 - abar[200] / abar[100]], rtol=1e-9)
    np.testing.assert_allclose(rows[-1, 2:], [0, 1, 0, 0], atol=1e-15)  # x0_hat itself


@pytest.mark.parametrize("spacing", get_args(Spacing))
def test_timesteps_descend_from_tau_and_never_repeat(spacing: Spacing) -> None:
    for tau in range(1, 501, 7):
        for steps in (1, 2, 3, 5, 20, 100, 500):
            t = timesteps(tau, steps, spacing)
            assert len(t) == min(tau, steps) and t[0] == tau and t[-1] >= 1 and (np.diff(t) < 0).all()
        assert timesteps(tau, None, spacing).tolist() == list(range(tau, 0, -1))
    assert timesteps(100, 4, "quadratic").tolist() == [100, 56, 25, 6]


def test_quadratic_strides_keep_the_noise_that_even_ones_smooth_away() -> None:
    """x_0 ~ N(mu, s²), the exact denoiser: E[x_0 | x_t] - mu = s²/V (x_t/sqrt(abar) - mu), V = s² + (1 - abar)/abar.
    Ancestral sampling through every step gives s back."""
    s = 0.1
    left = {}
    for spacing in get_args(Spacing):
        variance = s * s + (1 - PAPER.alphas_bar[100]) / PAPER.alphas_bar[100]  # of x_t/sqrt(abar) at tau
        t = timesteps(100, 4, spacing)
        for (_, _, a, b, _, _), now, then in zip(ddim(PAPER, t), t, [*t[1:], 0], strict=True):
            abar_t, abar_s = PAPER.alphas_bar[now], PAPER.alphas_bar[then]
            slope = s * s / (s * s + (1 - abar_t) / abar_t)
            variance *= ((a * np.sqrt(abar_t) + b * slope) / np.sqrt(abar_s)) ** 2
        left[spacing] = np.sqrt(variance) / s
    assert 1 - left["quadratic"] < 0.65 * (1 - left["even"]) and left["quadratic"] < 1


@pytest.mark.parametrize("steps", [None, 7])
def test_ddim_eta_1_is_ancestral_with_the_posterior_variance(steps: int | None) -> None:
    t = timesteps(40, steps)
    np.testing.assert_allclose(ddim(PAPER, t, 1.0), ddpm(Schedule(sigma="posterior"), t), rtol=1e-9, atol=1e-12)


def test_ancestral_keeps_white_data_white() -> None:
    """sigma = beta is exact for x_0 ~ N(0, 1): the spread stays 1 until the noiseless last step."""
    for t in (timesteps(200, None), timesteps(200, 9)):
        variance = 1.0
        for (p, q, a, b, _, d), step in zip(ddpm(PAPER, t)[:-1], t, strict=False):
            slope = np.sqrt(1 - PAPER.alphas_bar[step])  # eps_hat = sqrt(1 - abar)·x
            variance = (a + b * (p + q * slope)) ** 2 * variance + d * d
            assert variance == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", ["beta", "posterior", "ddim 0.5"])
def test_stochastic_solvers_converge_to_the_data(name: str) -> None:
    errors = []
    for T in (500, 1000, 2000):
        schedule = fine(T)
        t = timesteps(T, None)
        if name.startswith("ddim"):
            coefficients = ddim(schedule, t, 0.5)
        else:
            coefficients = ddpm(replace(schedule, sigma=name), t)
        mean, variance = moments(schedule, t, coefficients)
        assert mean == pytest.approx(M, abs=0.01)
        errors.append(abs(variance - S * S))
    assert errors[0] < 0.02
    assert errors[1] < 0.6 * errors[0] and errors[2] < 0.6 * errors[1]  # first order in the step length


@pytest.mark.parametrize(("solver", "order"), [(ddim, 1), (dpmpp, 2)])
def test_order_of_the_ode_solvers(solver, order: int) -> None:  # type: ignore[no-untyped-def]
    """Error against the exact ODE solution at a fixed time halves (or quarters) with the step in lambda."""
    schedule = fine(200_000)
    abar = schedule.alphas_bar[1:]
    lambdas = 0.5 * np.log(abar / (1 - abar))
    tau, end = 150_000, 10_000
    errors = []
    for n in (8, 16, 32, 64):
        wanted = np.linspace(lambdas[tau - 1], lambdas[end - 1], n + 1)
        t = 1 + len(abar) - 1 - np.searchsorted(lambdas[::-1], wanted)
        t = t.astype(np.int32)
        x = solve(schedule, t, solver(schedule, t), 1.7, n)  # without the last step, to s = 0
        errors.append(abs(x - ode(schedule, 1.7, int(t[0]), int(t[-1]))))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders[1:] > order - 0.25).all(), (errors, orders)
    assert (orders[1:] < order + 0.5).all(), (errors, orders)


@pytest.mark.parametrize("solver", ["ddim", "dpmpp"])
@pytest.mark.parametrize("tau", [1, 2, 3, 30, 400])
def test_whole_way_reaches_the_ode_solution(solver: str, tau: int) -> None:
    rows = table(PAPER, solver, tau)  # type: ignore[arg-type]
    x = solve(PAPER, rows.timesteps, rows.coefficients, 1.2, len(rows))
    assert x == pytest.approx(ode(PAPER, 1.2, tau, 0), abs=5e-3)


def test_dpmpp_is_first_order_at_both_ends() -> None:
    for n in (1, 2, 3, 8):
        rows = table(PAPER, "dpmpp", 30, n)
        assert rows.coefficients[0, 4] == 0
        np.testing.assert_allclose(rows.coefficients[-1, 2:], [0, 1, 0, 0], atol=1e-15)
        assert np.isfinite(rows.coefficients).all()
        assert (rows.coefficients[1:-1, 4] < 0).all()


@given(tau=st.integers(0, 500), steps=st.none() | st.integers(1, 600))
def test_timesteps(tau: int, steps: int | None) -> None:
    t = timesteps(tau, steps)
    assert t.dtype == np.int32 and len(t) == (tau if steps is None else min(tau, steps))
    if tau:
        assert t[0] == tau and t[-1] >= 1 and (np.diff(t) < 0).all()
    if steps is None or steps >= tau:
        assert t.tolist() == list(range(tau, 0, -1))


def test_tau_0_is_an_empty_table() -> None:
    for solver in SOLVERS:
        rows = table(PAPER, solver, 0, 4)  # type: ignore[arg-type]
        assert len(rows) == 0 and rows.coefficients.shape == (0, 6) and rows.timesteps.shape == (0,)


def test_perfect_network_returns_x0_whatever_the_stride() -> None:
    """With the true eps of one known x_0, every deterministic solver lands on that x_0."""
    for solver in ("ddim", "dpmpp"):
        for tau, steps in ((1, None), (2, 1), (30, 4), (500, 3)):
            rows = table(PAPER, solver, tau, steps)  # type: ignore[arg-type]
            s, n = PAPER.start(tau)
            x0, x, previous = 0.42, s * 0.42 + n * -1.1, 0.0
            for t, (p, q, a, b, c, _) in zip(rows.timesteps, rows.coefficients, strict=True):
                abar = PAPER.alphas_bar[t]
                eps = (x - np.sqrt(abar) * x0) / np.sqrt(1 - abar)
                guess = p * x + q * eps
                x, previous = a * x + b * guess + c * previous, guess
            assert x == pytest.approx(x0, abs=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: table(PAPER, "ddpm", 501),
        lambda: table(PAPER, "ddpm", -1),
        lambda: table(PAPER, "ddpm", 3, 0),
        lambda: table(PAPER, "euler", 3),  # type: ignore[arg-type]
        lambda: table(PAPER, "ddpm", 3, None, 0.5),
        lambda: table(PAPER, "ddim", 3, None, 1.5),
        lambda: table(PAPER, "ddim", 3, 2, spacing="cubic"),  # type: ignore[arg-type]
        lambda: ddpm(PAPER, np.array([3, 3], np.int32)),
        lambda: ddpm(PAPER, np.array([1, 2], np.int32)),
        lambda: Schedule(T=0),
        lambda: Schedule(kind="cosine"),  # type: ignore[arg-type]
        lambda: Schedule(beta_1=0.5, beta_T=0.1),
    ],
)
def test_refusals(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DegradeError):
        call()
