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
from typing import Any

import numpy as np

from ..devices import Device
from ..executors import Executor
from ..spec import FilterWeights

FEATURES = {"degradation": "f_deg", "content": "f_cont"}  # what each extractor makes


class Filter:
    """Buffers and networks of the filter, made once. extractors: "degradation" and "content", or none for a kind of
    model that has none; then there is only `skip`.

    After `run`, its findings lie on the device: `degradation`, `content` and `score` (float32 [K, B]), `finite`
    (bool [K, B]) and `kept` (int32 [B]).
    """

    def __init__(
        self,
        device: Device,
        extractors: Mapping[str, Executor],
        weights: FilterWeights,
        *,
        batch: int,
        candidates: int,
    ) -> None:
        self._device = device
        self._extractors = [(executor, FEATURES[name]) for name, executor in extractors.items()]
        self._weights = (weights.degradation, weights.content)
        self._batch, self._candidates = batch, candidates
        self._features = {
            name: device.allocate((candidates * batch, *extractor.shapes[name][1:]), np.float32)
            for extractor, name in self._extractors
        }
        self.degradation, self.content, self.score = (
            device.allocate((candidates, batch), np.float32) for _ in range(3)
        )
        self.finite = device.allocate((candidates, batch), np.bool_)
        self.kept = device.allocate((batch,), np.int32)

    def run(self, x: Any, f_deg: Any, f_cont: Any, candidates: int | None = None) -> None:
        """x: float32 [K·B, 3, h, w], candidate-major; f_deg, f_cont: the targets, [B, ...]. All K candidates get a
        score; candidates: of the first so many one is kept, None = of all.

        The extractors have a fixed batch of B: candidate k is the slice of rows k·B to (k+1)·B.
        """
        launch = self._device.launch
        for extractor, name in self._extractors:
            for k in range(self._candidates):
                rows = slice(k * self._batch, (k + 1) * self._batch)
                extractor.bind("image", x[rows])
                extractor.bind(name, self._features[name][rows])
                extractor.enqueue(self._device.stream)
        launch(
            "squared_l2", features_0=self._features["f_deg"], target_0=f_deg, out_0=self.degradation,
            features_1=self._features["f_cont"], target_1=f_cont, out_1=self.content,
        )  # fmt: skip
        launch("finite", x=x, out=self.finite)
        launch(
            "score", degradation=self.degradation, content=self.content, finite=self.finite,
            weights=self._weights, out=self.score,
        )  # fmt: skip
        launch("choose", scores=self.score[: candidates or self._candidates], kept=self.kept)

    def skip(self, x: Any) -> None:
        """Keeps candidate 0 of every pair (the ablation without filtering); the errors and scores become
        NaN.
        """
        nothing = np.full((self._candidates, self._batch), np.nan, np.float32)
        for buffer in (self.degradation, self.content, self.score):
            self._device.upload(buffer, nothing)
        self._device.launch("finite", x=x, out=self.finite)
        self._device.upload(self.kept, np.zeros(self._batch, np.int32))
