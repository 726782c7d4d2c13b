"""The engine of a run without networks: tau is 0, so the start image is the result (docs/design.md, section 3).

The start images are made where all inputs are (`inputs/loading.py`): in a pool of threads, ahead of the batches.
"""

from __future__ import annotations

import numpy as np

from ..errors import DegradeError
from .batch import Batch, BatchResult, Begun


class StartEngine:
    """What `generate.run` asks of an engine, without networks."""

    notes: tuple[str, ...] = ()
    hr_scale: int | None = None

    def begin(
        self, batch: Batch, *, filter: bool = False, candidates: int | None = None, inspect: bool = True
    ) -> Begun:
        """Gives the batch's start images as its only candidate, not scored. Raises DegradeError without them."""
        if batch.start is None:
            raise DegradeError("a batch came without start images", wanted="a degrader that makes them")
        n = len(batch.start)
        nothing = np.full((1, n), np.nan, np.float32)
        result = BatchResult(
            lr=batch.start,
            start=batch.start,
            candidates=batch.start[None],
            degradation_error=nothing,
            content_error=nothing,
            score=nothing,
            kept=np.zeros(n, np.int32),
            finite=np.ones(n, np.bool_),
            row_steps=0,
            executed_row_steps=0,
            calls={},
        )
        return Begun(True, lambda: result)
