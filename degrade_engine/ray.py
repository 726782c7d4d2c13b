"""degrade-engine within another pipeline: a callable class for `map_batches` of Ray Data, or anything that hands over
batches as dictionaries of arrays. Ray itself is not needed for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.recipe import Recipe
from degrade_engine.models.ready import open_model

NUMBERS = 10**8  # of pairs, as a plan has them


class Degrader:
    """Adds an LR to each HR of a batch. One object holds one engine: give Ray a `concurrency`, and it makes so many.

    model             as `generate --model` takes it: a name, a checkpoint, a bundle or an engine's folder
    hr, reference     the columns that are read, uint8 [n, scale·h, scale·w, 3] and [n, h, w, 3], RGB. The second only
                      where the model reads references
    number            the column with the pair's number, which decides what is drawn. Without such a column it comes
                      from the HR's bytes: then an image has the same LR wherever and whenever it comes
    lq                the column that is added, uint8 [n, h, w, 3]
    threads, cache    see `open_model`; scale, seed, recipe and the rest: see `Engine.degrade`
    """

    def __init__(
        self, model: str | Path, *, hr: str = "hr", reference: str = "reference", number: str = "number",
        lq: str = "lq", scale: int = 4, seed: int = 0, recipe: Recipe | str = "recommended", threads: int | None = None,
        cache: str | Path | None = None, **changes: Any,
    ) -> None:  # fmt: skip
        self._engine = open_model(model, threads=threads, cache=cache)
        self._hr, self._reference, self._number, self._lq = hr, reference, number, lq
        self._how: dict[str, Any] = {"scale": scale, "seed": seed, "recipe": recipe, **changes}

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch and its LR. Raises DegradeError."""
        reads = self._engine.spec.model_kind.reads_reference
        wanted = [self._hr, self._reference] if reads else [self._hr]
        if missing := [name for name in wanted if name not in batch]:
            raise DegradeError(f"the batch has the columns {', '.join(batch)}", wanted=" and ".join(missing))
        sharp = [np.asarray(image) for image in batch[self._hr]]
        if not sharp:
            return {**batch, self._lq: np.zeros((0, *self._engine.lr_size, 3), np.uint8)}
        real = [np.asarray(image) for image in batch[self._reference]] if reads else None
        numbers = [int(one) for one in batch[self._number]] if self._number in batch else list(map(_number, sharp))
        made = self._engine.degrade(sharp, real, first=numbers, **self._how)
        return {**batch, self._lq: made.lr}


def _number(image: np.ndarray[Any, Any]) -> int:
    return int.from_bytes(sha256(np.ascontiguousarray(image).tobytes()).digest()[:8], "big") % NUMBERS
