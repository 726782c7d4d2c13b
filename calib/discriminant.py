"""Axes in which degradations differ and photographs do not: a linear layer behind phi, not in the binned paper.

The paper takes the Fréchet distance of the features as they come. Then what varies most decides: the photographs'
contents, and of the degradations the noise, beside which blur and JPEG hardly count. The degraded Y_w say which is
which: within a bin only the contents differ, between bins only the degradation. With S_w the covariance within the bins
and S_b that of their means, the discriminant axes solve (Fisher 1936; Rao 1948)

    S_b v = lambda S_w v,   v^T S_w v = 1

lambda is by how much the bins differ along v, in units of what the contents do. Each axis is then scaled by

    sqrt(lambda) / (lambda + DELTA)

which gives all axes of lambda >> DELTA the same spread between bins, so that blur and JPEG count as much as noise, and
fades out those in which bins differ by less than chance. X_ref has no part in it. The two constants were chosen on
sixteen settings other than Table 1's, over seeds of random-alexnet and on e-deg
(`bench papers binned --settings other`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DELTA = 0.02
SHRINK = 0.3  # how far S_w, of unit diagonal, is brought to the identity: it is estimated from few contents


def axes(made: Sequence[NDArray[Any]]) -> Floats:
    """[c, k]: features times this are in the scaled axes. made: the features of X_w^b for each bin, [n, c], n at
    least 2. k is at most c, and less than the number of bins; 0 for one bin, which nothing tells from others."""
    bins = [np.asarray(one, np.float64) for one in made]
    within = np.mean([np.cov(one, rowvar=False).reshape(one.shape[1], -1) for one in bins], axis=0)
    between = np.cov(np.stack([one.mean(axis=0) for one in bins]), rowvar=False, ddof=min(1, len(bins) - 1))
    deviation = np.sqrt(np.diag(within))
    unit = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)  # a dead feature has no say
    within, between = (unit[:, None] * s * unit for s in (within, between.reshape(within.shape)))
    inverse = np.linalg.inv(np.linalg.cholesky((1 - SHRINK) * within + SHRINK * np.eye(len(within))))
    values, vectors = np.linalg.eigh(inverse @ between @ inverse.T)
    k = min(len(bins) - 1, len(values))
    spread = np.maximum(values[::-1][:k], 0)
    directions = unit[:, None] * (inverse.T @ vectors[:, ::-1][:, :k])
    return np.asarray(directions * (np.sqrt(spread) / (spread + DELTA)))
