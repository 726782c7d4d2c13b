"""Which row does what at which step: the batch's solver tables laid side by side, aligned at their end.

A denoiser call costs the same whether a row moves or waits, so the share of row-steps that move a pair is
what sorting the plan by number of steps buys (docs/design.md, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..schedule import IDENTITY, SolverTable

Float32 = NDArray[np.float32]


def lay_out(
    tables: Sequence[SolverTable | None], batch: int, candidates: int, rows: int | None = None
) -> tuple[Float32, NDArray[np.int32]]:
    """(coefficients float32 [S, R, 6], timesteps int32 [S, R]) of n <= batch tables, S the longest one's length; rows:
    R, of which the first candidates·batch are used; None: just these.

    Tables are aligned at their end. A row that waits has identity coefficients and the timestep at which it
    will join, so that the network sees nothing unusual. None is a row that failed; it waits to the end, as
    padding does.
    """
    steps = max((len(table) for table in tables if table is not None), default=0)
    used = candidates * batch
    rows = rows or used
    coefficients, timesteps = np.empty((steps, rows, 6), np.float32), np.ones((steps, rows), np.int32)
    coefficients[:] = IDENTITY
    for i, table in enumerate(tables):
        if table is not None and len(table):
            joins = steps - len(table)
            coefficients[joins:, i:used:batch] = table.coefficients[:, None].astype(np.float32)
            timesteps[:joins, i:used:batch] = table.timesteps[0]
            timesteps[joins:, i:used:batch] = table.timesteps[:, None]
    return coefficients, timesteps


def plan_row_steps(steps: Sequence[int], batch: int) -> tuple[int, int]:
    """(useful, executed) row-steps of a whole plan, for one candidate a pair. steps: of each pair.

    The plan is sorted by steps and cut into batches of `batch` pairs; each batch runs as long as its longest
    pair, and the last is padded.
    """
    ordered = sorted(steps)
    longest = (ordered[min(i + batch, len(ordered)) - 1] for i in range(0, len(ordered), batch))
    return sum(ordered), batch * sum(longest)
