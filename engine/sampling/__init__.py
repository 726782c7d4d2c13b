"""Networks become something that runs batches: `open`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .tiled import TiledSampler

if TYPE_CHECKING:
    from ..devices import Device
    from ..executors import Executor
    from .batch import Model, Runner
    from .tiling import Grid


def open(
    device: Device, executors: Mapping[str, Executor], model: Model, *, candidates: int, grid: Grid | None = None
) -> Runner:
    """What runs the batches of a model on a device, with so many candidates of each pair, 1 to R.

    executors: of each part, those that run each step at R rows, the others at as many as a call is to take. grid: None
    where images are as large as theirs, else that of the tiles.
    """
    if grid is not None:
        return TiledSampler(device, executors, model, candidates=candidates, grid=grid)
    return model.model_kind.sampler(device, executors, model, candidates=candidates)
