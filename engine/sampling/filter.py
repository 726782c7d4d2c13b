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

    def skip(self, x: Any) -> None:
        """Keeps candidate 0 of every pair (the ablation without filtering); the errors and scores become NaN. x:
        float32 [K·B, 3, h, w], candidate-major."""
        nothing = np.full(self.score.shape, np.nan, np.float32)
        for buffer in (self.degradation, self.content, self.score):
            self._device.upload(buffer, nothing)
        self._device.launch("finite", x=x, out=self.finite)
        self._device.upload(self.kept, np.zeros(self.kept.shape, np.int32))


class Filter:
    """Buffers and networks of the filter, made once. extractors: "degradation" and "content"; rows: R of the engine."""

    def __init__(self, device: Device, extractors: Mapping[str, Executor], weights: FilterWeights, rows: int) -> None:
        self._device, self._extractors = device, extractors
        self._weights = (weights.degradation, weights.content)
        self._features = {
            name: device.allocate((rows, *one.shapes[FEATURES[name]][1:]), np.float32)
            for name, one in extractors.items()
        }

    def run(self, x: Any, f_deg: Any, f_cont: Any, scores: Scores) -> dict[str, int]:
        """Fills the scores. x: float32 [R, 3, h, w], candidate-major, of which K·B rows are used; f_deg, f_cont: the
        targets, [B, ...]. Returns the calls of each extractor, which takes its own number of rows at a time."""
        launch, used, calls = self._device.launch, scores.score.shape[0] * scores.score.shape[1], {}
        for name, extractor in self._extractors.items():
            batch = extractor.shapes["image"][0]
            for first in range(0, used, batch):
                rows = slice(first, first + batch)
                extractor.bind("image", x[rows])
                extractor.bind(FEATURES[name], self._features[name][rows])
                extractor.enqueue(self._device.stream)
            calls[name] = -(-used // batch)
        launch(
            "squared_l2", features_0=self._features["degradation"][:used], target_0=f_deg, out_0=scores.degradation,
            features_1=self._features["content"][:used], target_1=f_cont, out_1=scores.content,
        )  # fmt: skip
        launch("finite", x=x[:used], out=scores.finite)
        launch(
            "score", degradation=scores.degradation, content=scores.content, finite=scores.finite,
            weights=self._weights, out=scores.score,
        )  # fmt: skip
        launch("choose", scores=scores.score, kept=scores.kept)
        return calls
