"""The filter of RealDGen (section 2.3, A.6): of a pair's K candidates, keep the one nearest to what was
asked for.

Both representations are extracted again from each candidate (its float pixels, before quantisation) and
compared with their targets, f_deg of the reference and f_cont of the HR:

    error = ||f - target||² / ||target||²        score = w_deg·error_deg + w_cont·error_cont        kept =
    argmin

The paper gives neither the normalisation nor weights; dividing by the target's own norm makes the two
errors comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...kernels.grids import PARTS
from ...kernels.select import LANES
from ..devices import Device
from ..spec import FilterWeights

if TYPE_CHECKING:
    from ..executors import Executor


FEATURES = {"degradation": "f_deg", "content": "f_cont"}  # what each extractor makes


class Scores:
    """What is known of the candidates, on the device: `degradation`, `content` and `score` (float32 [K, B]), `finite`
    (bool [K, B]) and `kept` (int32 [B])."""

    def __init__(self, device: Device, candidates: int, batch: int) -> None:
        self._device, shape = device, (candidates, batch)
        self.degradation, self.content, self.score = (device.allocate(shape, np.float32) for _ in range(3))
        self.finite = device.allocate(shape, np.bool_)
        self.kept = device.allocate((batch,), np.int32)
        self._found = {"error_0": self.degradation, "error_1": self.content, "score": self.score,
                       "finite": self.finite, "kept": self.kept,
                       "parts": device.allocate((candidates * batch, PARTS), np.uint8)}  # fmt: skip

    def skip(self, x: Any) -> None:
        """Keeps candidate 0 of every pair (the ablation without filtering); the errors and scores become NaN. x:
        float32 [K·B, 3, h, w], candidate-major."""
        self._device.launch("keep_first", x=x, **self._found)

    def select(self, x: Any, weights: tuple[float, float], **measured: Any) -> None:
        """Measures, scores and chooses; as the device's `select`."""
        self._device.launch("select", x=x, weights=weights, **measured, **self._found)


class Filter:
    """Buffers and networks of the filter, made once. extractors: "degradation" and "content"; rows: R of the engine."""

    def __init__(self, device: Device, extractors: Mapping[str, Executor], weights: FilterWeights, rows: int) -> None:
        self._device, self._extractors = device, extractors
        self._weights = (weights.degradation, weights.content)
        self._features = {
            name: device.allocate((rows, *one.shapes[FEATURES[name]][1:]), np.float32)
            for name, one in extractors.items()
        }
        self._lanes = {name: device.allocate((rows, 2, LANES), np.float32) for name in ("lanes_0", "lanes_1")}

    def run(self, x: Any, f_deg: Any, f_cont: Any, scores: Scores) -> dict[str, int]:
        """Fills the scores. x: float32 [R, 3, h, w], candidate-major, of which K·B rows are used; f_deg, f_cont: the
        targets, [B, ...]. Returns the calls of each extractor, which takes its own number of rows at a time."""
        used, calls = scores.score.shape[0] * scores.score.shape[1], {}
        for name, extractor in self._extractors.items():
            batch = extractor.shapes["image"][0]
            for first in range(0, used, batch):
                rows = slice(first, first + batch)
                extractor.bind("image", x[rows])
                extractor.bind(FEATURES[name], self._features[name][rows])
                extractor.enqueue(self._device.stream)
            calls[name] = -(-used // batch)
        scores.select(
            x[:used], self._weights, features_0=self._features["degradation"][:used], target_0=f_deg,
            features_1=self._features["content"][:used], target_1=f_cont, **self._lanes,
        )  # fmt: skip
        return calls
