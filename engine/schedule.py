"""The mathematics of the sampler, in float64 numpy and nothing else.

A **solver is a table of coefficients**. Every solver here has the form

    x0_hat = p·x + q·eps_hat  (clipped to [-1, 1] if the table says so)
    x'     = a·x + b·x0_hat + c·x0_prev + d·z,          x0_prev := x0_hat,   z ~ N(0, I)

with six numbers (p, q, a, b, c, d) a step, so there is one update kernel, and a new solver is a function and a line in
SOLVERS.

Notation: abar_t = prod_{i<=t} (1 - beta_i), abar_0 = 1; a step goes from the timestep t to the next one
s < t, the last one to s = 0. The network predicts eps, so always p = 1/sqrt(abar_t) and
q = -sqrt(1 - abar_t)/sqrt(abar_t).

RealDGen states neither the betas nor sigma_t; we use those of Ho et al. 2020: linear betas 1e-4 to 0.02 and
sigma_t^2 = beta_t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .errors import DegradeError

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Spacing = Literal["even", "quadratic"]
SPACINGS: tuple[str, ...] = get_args(Spacing)
MOST_STEPS = 10**6
LEARNED = "learned"  # the solver's name of a table that was found; no function makes it
IDENTITY = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)  # the row is left as it is: a late joiner, a padded row


@dataclass(frozen=True)
class Schedule:
    """The forward process: T steps with the variances beta_1 .. beta_T.

    kind   "linear": beta_t runs evenly from beta_1 to beta_T.
    sigma  the ancestral sampler's noise: "beta", sigma_t^2 = beta_t (exact for x_0 ~ N(0, I)), or
           "posterior", sigma_t^2 = beta_t (1 - abar_{t-1})/(1 - abar_t) (exact for one fixed x_0). Ho et al.
           2020, section 3.2.
    """

    T: int = 500
    beta_1: float = 1e-4
    beta_T: float = 0.02
    kind: Literal["linear"] = "linear"
    sigma: Literal["beta", "posterior"] = "beta"

    def __post_init__(self) -> None:
        if not 1 <= self.T <= MOST_STEPS or not 0 < self.beta_1 <= self.beta_T < 1:
            fact = f"A schedule of T={self.T} steps, betas {self.beta_1} to {self.beta_T}, is not possible"
            raise DegradeError(fact, wanted=f"1 <= T <= {MOST_STEPS} and 0 < beta_1 <= beta_T < 1")
        if self.kind != "linear":
            raise DegradeError(f"The schedule's kind is {self.kind!r}", wanted="'linear'")
        if self.sigma not in ("beta", "posterior"):
            raise DegradeError(f"The schedule's sigma is {self.sigma!r}", wanted="'beta' or 'posterior'")

    @cached_property
    def alphas(self) -> Float64:
        """float64 [T+1]: alpha_t = 1 - beta_t, and alphas[0] = 1 so that the index is the paper's t."""
        return np.append(1.0, 1.0 - np.linspace(self.beta_1, self.beta_T, self.T, dtype=np.float64))

    @cached_property
    def alphas_bar(self) -> Float64:
        """float64 [T+1]: abar_t, the product of alpha_1 .. alpha_t; alphas_bar[0] = 1."""
        return np.cumprod(self.alphas, dtype=np.float64)

    def start(self, tau: int) -> tuple[float, float]:
        """(s, n) = (sqrt(abar_tau), sqrt(1 - abar_tau)) of Algorithm 2 line 4, x_tau = s·x_start + n·eps."""
        self.check_tau(tau)
        abar = float(self.alphas_bar[tau])
        return abar**0.5, (1.0 - abar) ** 0.5

    def check_tau(self, tau: int) -> None:
        """Raises DegradeError unless 0 <= tau <= T."""
        if not 0 <= tau <= self.T:
            raise DegradeError(f"tau is {tau}", wanted=f"a start step from 0 (no diffusion) to T = {self.T}")


@dataclass(frozen=True)
class Solver:
    """How a solver makes its coefficients, float64 [n, 6], of a schedule and timesteps; has_eta: and of an eta."""

    coefficients: Callable[..., Float64]
    has_eta: bool = False


@dataclass(frozen=True, eq=False)
class SolverTable:
    """One pair's way from x_tau to x_0.

    timesteps     int32 [n], descending, the t given to the network at each step; the first is tau.
    coefficients  float64 [n, 6], columns p, q, a, b, c, d (see the module).
    clip          x0_hat is clipped to [-1, 1]. The paper does not clip.
    """

    solver: str
    tau: int
    timesteps: Int32
    coefficients: Float64
    clip: bool = False

    def __len__(self) -> int:
        return len(self.timesteps)


@dataclass(frozen=True)
class Learned:
    """A table that was found for one schedule (calib/solver.py), in numbers that a page can hold.

    timesteps     n, descending; the first is the only tau that the table is for.
    coefficients  n rows of p, q, a, b, c, d (see the module).
    """

    schedule: Schedule
    timesteps: tuple[int, ...]
    coefficients: tuple[tuple[float, float, float, float, float, float], ...]

    def __post_init__(self) -> None:
        t, n = self.timesteps, len(self.timesteps)
        if not t or t[0] > self.schedule.T or t[-1] < 1 or any(a <= b for a, b in pairwise(t)):
            raise DegradeError(f"A learned table has the timesteps {list(t)}", wanted="descending, from T to 1 at most")
        if len(self.coefficients) != n or not np.isfinite(self.coefficients).all():
            raise DegradeError("The coefficients of a learned table do not fit", wanted=f"{n} rows of 6 finite numbers")

    def table(self, tau: int) -> SolverTable:
        """As the sampler takes it. tau 0: no step. Raises DegradeError for another tau than the table's."""
        if tau not in (0, self.timesteps[0]):
            raise DegradeError(f"tau is {tau}, and the learned table is for {self.timesteps[0]}")
        n = len(self.timesteps) if tau else 0
        t, rows = np.array(self.timesteps, np.int32), np.array(self.coefficients, np.float64)
        return SolverTable(LEARNED, tau, t[:n], rows[:n])


def timesteps(tau: int, steps: int | None, spacing: Spacing = "even") -> Int32:
    """int32 [n], descending: `steps` of tau .. 1, starting at tau; all of them if None or steps >= tau.

    even       t_i = round(tau (n - i)/n), "trailing" steps: the last stride, to x_0, is as long as the
               others. (Ending at t = 1 instead would spend a whole network call on a step that removes next
               to no noise.)
    quadratic  t_i = round(tau ((n - i)/n)²): strides that shrink with the noise. The last call gives the mean
               of the x_0 that its x_t leaves open, which holds the target's own noise only where t's is no
               stronger: after an even last stride a noisy LR comes out smooth.

    Integer arithmetic throughout, so a small tau never rounds to no step at all and no step repeats. tau = 0
    gives none.
    """
    if tau < 0:
        raise DegradeError(f"tau is {tau}", wanted="a start step of 0 or more")
    if steps is not None and steps < 1:
        raise DegradeError(f"steps is {steps}", wanted="at least one step (tau 0 is the way to ask for none)")
    if spacing not in SPACINGS:
        raise DegradeError(f"The spacing is {spacing!r}", wanted=f"one of {', '.join(SPACINGS)}")
    n = tau if steps is None else min(steps, tau)
    left = np.arange(n, 0, -1, dtype=np.int64)
    part, whole = (left, n) if spacing == "even" else (left**2, n**2)
    return np.maximum((2 * tau * part + whole) // max(1, 2 * whole), left).astype(np.int32)


def table(
    schedule: Schedule,
    solver: str,
    tau: int,
    steps: int | None = None,
    eta: float = 0.0,
    *,
    spacing: Spacing = "even",
    clip: bool = False,
) -> SolverTable:
    """The table of a solver of SOLVERS from tau with so many steps (None = every step), spaced as `timesteps` says.
    eta: of a solver that has one.

    Raises DegradeError for a tau outside 0..T, steps < 1, an unknown solver or spacing, or eta with another
    solver.
    """
    schedule.check_tau(tau)
    if solver not in SOLVERS:
        raise DegradeError(f"The solver is {str(solver)[:40]!r}", wanted=f"one of {', '.join(SOLVERS)}")
    check_eta(solver, eta)
    t, one = timesteps(tau, steps, spacing), SOLVERS[solver]
    coefficients = one.coefficients(schedule, t, eta) if one.has_eta else one.coefficients(schedule, t)
    return SolverTable(solver, tau, t, coefficients, clip)


def check_eta(solver: str, eta: float) -> None:
    """Raises DegradeError for an eta with a solver that has none."""
    if eta and (solver not in SOLVERS or not SOLVERS[solver].has_eta):
        with_eta = " or ".join(name for name, one in SOLVERS.items() if one.has_eta)
        raise DegradeError(f"eta is {eta:g} with the solver {solver}", wanted=f"the solver {with_eta}")


def ddpm(schedule: Schedule, timesteps: Int32) -> Float64:
    """Ancestral sampling, RealDGen Algorithm 2 line 7, as float64 [n, 6].

    The printed mean (x_t - (1 - alpha_t)/sqrt(1 - abar_t)·eps)/sqrt(alpha_t) is the posterior mean of
    q(x_s | x_t, x_0) with x_0 replaced by x0_hat; in that form it also holds for a stride t -> s, with
    alpha_ts = abar_t/abar_s in place of alpha_t. sigma^2 = 1 - alpha_ts ("beta"), or the posterior variance.
    Line 6: no noise in the last step.
    """
    p, q, abar_t, abar_s = _x0_and_ends(schedule, timesteps)
    alpha_ts = abar_t / abar_s
    a = np.sqrt(alpha_ts) * (1 - abar_s) / (1 - abar_t)
    b = np.sqrt(abar_s) * (1 - alpha_ts) / (1 - abar_t)
    variance = 1 - alpha_ts
    if schedule.sigma == "posterior":
        variance = variance * (1 - abar_s) / (1 - abar_t)
    d = np.sqrt(variance)
    d[-1:] = 0.0
    return np.stack([p, q, a, b, np.zeros_like(a), d], axis=1)


def ddim(schedule: Schedule, timesteps: Int32, eta: float = 0.0) -> Float64:
    """DDIM (Song et al. 2021, eq. 12 and 16) as float64 [n, 6]: eta = 0 is the ODE's Euler step, eta = 1 is
    ancestral sampling with the posterior's variance. 0 <= eta <= 1.

    x_s = sqrt(abar_s)·x0_hat + sqrt(1 - abar_s - sigma^2)·eps_hat + sigma·z, where eps_hat is written through
    x and x0_hat, so that with clipping the direction follows the clipped x0_hat.
    """
    if not 0 <= eta <= 1:
        raise DegradeError(f"eta is {eta}", wanted="0 (deterministic) to 1 (ancestral)")
    p, q, abar_t, abar_s = _x0_and_ends(schedule, timesteps)
    sigma = eta * np.sqrt((1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s))
    a = np.sqrt(np.maximum(1 - abar_s - sigma**2, 0.0) / (1 - abar_t))
    b = np.sqrt(abar_s) - a * np.sqrt(abar_t)
    return np.stack([p, q, a, b, np.zeros_like(a), sigma], axis=1)


def dpmpp(schedule: Schedule, timesteps: Int32) -> Float64:
    """DPM-Solver++(2M), data prediction (Lu et al. 2022, Algorithm 2), as float64 [n, 6].

    With lambda = log(sqrt(abar)/sqrt(1 - abar)), h = lambda_s - lambda_t and r = h_before/h:
    x_s = sigma_s/sigma_t·x - sqrt(abar_s)(e^-h - 1)·((1 + 1/2r)·x0_hat - 1/2r·x0_prev).
    The first step has no x0_prev and is of first order; so is the last, to s = 0, where h is infinite and the
    step is x_s = x0_hat.
    """
    p, q, abar_t, abar_s = _x0_and_ends(schedule, timesteps)
    n = len(p)
    a = np.sqrt((1 - abar_s) / (1 - abar_t))  # sigma_s/sigma_t, 0 in the last step
    b = np.sqrt(abar_s) - a * np.sqrt(abar_t)  # = -sqrt(abar_s)(e^-h - 1), without the infinite h
    c = np.zeros(n)
    if n > 2:
        lambdas = 0.5 * np.log(abar_t / (1 - abar_t))
        h = np.diff(lambdas)  # h[i] is step i's, for all but the last step
        half_inverse_r = 0.5 * h[1:] / h[:-1]
        c[1:-1] = -b[1:-1] * half_inverse_r
        b[1:-1] *= 1 + half_inverse_r
    return np.stack([p, q, a, b, c, np.zeros(n)], axis=1)


def _x0_and_ends(schedule: Schedule, timesteps: Int32) -> tuple[Float64, Float64, Float64, Float64]:
    """p, q, abar_t and abar_s of every step; s is the next timestep, and 0 for the last."""
    t = np.asarray(timesteps, np.int64)
    if t.ndim != 1 or len(t) and (t[0] > schedule.T or t[-1] < 1 or (np.diff(t) >= 0).any()):
        raise DegradeError(f"The timesteps are {t.tolist()}", wanted=f"descending whole numbers within {schedule.T}..1")
    abar_t = schedule.alphas_bar[t]
    abar_s = schedule.alphas_bar[np.append(t[1:], 0)] if len(t) else abar_t
    p = 1 / np.sqrt(abar_t)
    return p, -np.sqrt(1 - abar_t) * p, abar_t, abar_s


SOLVERS = {"ddim": Solver(ddim, has_eta=True), "dpmpp": Solver(dpmpp), "ddpm": Solver(ddpm)}
"""By name, as `--solver` and the manifest have it. A new solver is a function here and its line."""
