"""One step of any solver, noise included: the fused update of the sampling loop (docs/design.md, section 3).

A solver is a table of six numbers a step (p, q, a, b, c, d):

    x0 = p·x + q·eps            (clipped to [-1, 1] where the table says so)
    x  = a·x + b·x0 + c·x0_prev + d·z
    x0_prev = x0

DDPM ancestral (RealDGen, Algorithm 2), DDIM and DPM-Solver++(2M) are all of this form. Each row has its own
numbers, so rows that start later wait with the identity and their bytes do not change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import loader
from .philox import Floats, Words, check_counter, check_rows, row_normals, seed_key

IDENTITY = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0], dtype=np.float32)
"""The row of coefficients that leaves x and x0_prev untouched, to the bit."""


def update(
    x: Floats, eps: Floats, x0_prev: Floats, coefficients: Floats, clip: bool, seed: int, pairs: Words,
    candidates: Words, steps: Words, *, threads: int = 1,
) -> None:  # fmt: skip
    """Advances x and x0_prev by one step, in place.

    x, eps, x0_prev: float32 [R, ...], C-contiguous; coefficients: float32 [R, 6]; pairs, candidates, steps:
    uint32 [R], the noise counter (see `philox.normals`). Noise is drawn only for rows with d != 0; x0_prev is
    read only where c != 0, so it may hold anything before the first step. Raises ValueError for a wrong
    shape, dtype or layout.
    """
    check_rows("x", x, x.shape)
    check_rows("eps", eps, x.shape)
    check_rows("x0_prev", x0_prev, x.shape)
    check_rows("coefficients", coefficients, (len(x), 6))
    pairs, candidates, steps = check_counter(len(x), pairs, candidates, steps)
    key, elements = seed_key(seed).tolist(), x.size // max(len(x), 1)
    library = loader.library()
    if library is None:
        update_twin(x, eps, x0_prev, coefficients, clip, seed_key(seed), pairs, candidates, steps)
        return
    library.degrade_update(
        x, eps, x0_prev, coefficients, int(clip), len(x), elements, *key, pairs, candidates, steps, threads
    )


def update_twin(
    x: Floats, eps: Floats, x0_prev: Floats, coefficients: Floats, clip: bool, key: Words, pairs: Words,
    candidates: Words, steps: Words,
) -> None:  # fmt: skip
    """The numpy twin of `update`, key as by `philox.seed_key`. Sums run left to right."""
    for i, row in enumerate(coefficients):
        if np.array_equal(row, IDENTITY):
            continue
        p, q, a, b, c, d = row
        x0 = p * x[i] + q * eps[i]
        if clip:
            x0 = np.clip(x0, np.float32(-1.0), np.float32(1.0))
        moved = a * x[i] + b * x0
        if c != 0:
            moved = moved + c * x0_prev[i]
        if d != 0:
            moved = moved + d * row_normals(x0.size, key, pairs[i], candidates[i], steps[i]).reshape(x0.shape)
        x[i] = moved
        x0_prev[i] = x0


def start(
    x: Floats, x_start: Floats, coefficients: Floats, seed: int, pairs: Words, candidates: Words, *, threads: int = 1
) -> None:
    """x = s·x_start + n·z, the start of partial denoising (RealDGen, Algorithm 2); step word 0. Fills x.

    x, x_start: float32 [R, ...], C-contiguous; coefficients: float32 [R, 2], (s, n) = (sqrt(abar_tau), sqrt(1
    - abar_tau)); pairs, candidates: uint32 [R]. Rows with n = 0 (tau = 0) are exact copies of x_start. Raises
    ValueError for a wrong shape, dtype or layout.
    """
    check_rows("x", x, x.shape)
    check_rows("x_start", x_start, x.shape)
    check_rows("coefficients", coefficients, (len(x), 2))
    steps = np.zeros(len(x), dtype=np.uint32)
    pairs, candidates, steps = check_counter(len(x), pairs, candidates, steps)
    key, elements = seed_key(seed).tolist(), x.size // max(len(x), 1)
    library = loader.library()
    if library is None:
        start_twin(x, x_start, coefficients, seed_key(seed), pairs, candidates)
        return
    library.degrade_start(x, x_start, coefficients, len(x), elements, *key, pairs, candidates, threads)


def start_twin(x: Floats, x_start: Floats, coefficients: Floats, key: Words, pairs: Words, candidates: Words) -> None:
    """The numpy twin of `start`, key as by `philox.seed_key`."""
    for i, (s, n) in enumerate(coefficients):
        if n == 0:
            x[i] = x_start[i]
        else:
            z = row_normals(x[i].size, key, pairs[i], candidates[i], np.uint32(0))
            x[i] = s * x_start[i] + n * z.reshape(x[i].shape)


def load(t: NDArray[np.int32], timesteps: NDArray[np.int32], step: NDArray[np.int32]) -> None:
    """t = timesteps[step]. t: int32 [R]; timesteps: int32 [S, R]; step: int32 [1], the step counter."""
    t[...] = timesteps[step[0]]


def advance(step: NDArray[np.int32]) -> None:
    """step += 1. step: int32 [1], the step counter."""
    step += 1
