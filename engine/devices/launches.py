"""The device's kernels as calls of the fatbin's: `launch("tile", source=…, out=…)` becomes `degrade_tile` with every
argument that `kernels/grids.py` names. Shapes are read off the buffers; nothing here knows CUDA.

A bundle's networks read and write FP32, also those that compute in FP16 (spec.TensorSpec), so the denoiser is bound to
x itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...kernels import philox, tiles

Call = tuple[str, dict[str, Any]]
"""A kernel's name, and buffers and numbers by the names of its arguments. None is a null pointer."""


def to_planar(images: Any, out: Any) -> Call:
    return "degrade_to_planar", {"images": images, "out": out, **_pixels(images.shape[1:3], images)}


def to_bytes(x: Any, out: Any) -> Call:
    return "degrade_to_bytes", {"x": x, "out": out, **_pixels(x.shape[2:], x)}


def start(x: Any, x_start: Any, coefficients: Any, seed: int, pairs: Any, candidates: Any) -> Call:
    noise = _noise(seed, pairs, candidates)
    return "degrade_start", {"x": x, "x_start": x_start, "coefficients": coefficients, **_rows(x), **noise}


def load(t: Any, timesteps: Any, step: Any) -> Call:
    return "degrade_load", {"t": t, "timesteps": timesteps, "step": step, "rows": t.shape[0]}


def update(
    x: Any, eps: Any, x0_prev: Any, coefficients: Any, timesteps: Any, step: Any, clip: bool, seed: int, pairs: Any,
    candidates: Any,
) -> Call:  # fmt: skip
    return "degrade_update", {
        "x": x, "eps": eps, "x0_prev": x0_prev, "coefficients": coefficients,
        "timesteps": timesteps, "step": step, "clip": int(clip), **_rows(x), **_noise(seed, pairs, candidates),
    }  # fmt: skip


def advance(step: Any) -> Call:
    return "degrade_advance", {"step": step}


def squared_l2(features_0: Any, target_0: Any, out_0: Any, features_1: Any, target_1: Any, out_1: Any) -> Call:
    """Both targets in one launch."""
    return "degrade_squared_l2", {
        "features_0": features_0, "target_0": target_0, "out_0": out_0, "elements_0": _elements(features_0),
        "features_1": features_1, "target_1": target_1, "out_1": out_1, "elements_1": _elements(features_1),
        "rows": features_0.shape[0], "batch": target_0.shape[0],
    }  # fmt: skip


def finite(x: Any, out: Any) -> Call:
    return "degrade_finite", {"x": x, "out": out, **_rows(x)}


def score(degradation: Any, content: Any, finite: Any, weights: tuple[float, float], out: Any) -> Call:
    return "degrade_score", {
        "degradation": degradation, "content": content, "finite": finite, "w_d": weights[0], "w_c": weights[1],
        "out": out, "count": math.prod(out.shape),
    }  # fmt: skip


def choose(scores: Any, kept: Any) -> Call:
    return "degrade_choose", {"scores": scores, "kept": kept, "candidates": scores.shape[0], "batch": scores.shape[1]}


def gather(x: Any, kept: Any, out: Any) -> Call:
    return "degrade_gather", {"x": x, "kept": kept, "out": out, "batch": out.shape[0], "row_bytes": _row_bytes(out)}


def tile(source: Any, out: Any) -> Call:
    return "degrade_tile", {
        "source": source, "out": out, "rows": out.shape[0], "batch": source.shape[0], "row_bytes": _row_bytes(out)
    }  # fmt: skip


def cut(source: Any, out: Any, tops: Any, lefts: Any, first: int) -> Call:
    return "degrade_cut", {
        "source": source, "out": out, "tops": tops, "lefts": lefts, "first": first, "slots": out.shape[0],
        **tiles.sizes(source.shape, out.shape, tops.shape[0], lefts.shape[0]),
    }  # fmt: skip


def blend(
    tiled: Any, out: Any, tops: Any, cover_y: Any, weights_y: Any, lefts: Any, cover_x: Any, weights_x: Any
) -> Call:
    return "degrade_blend", {
        "tiles": tiled, "out": out, "tops": tops, "cover_y": cover_y, "weights_y": weights_y, "lefts": lefts,
        "cover_x": cover_x, "weights_x": weights_x,
        **tiles.sizes(out.shape, tiled.shape, tops.shape[0], lefts.shape[0]),
    }  # fmt: skip


CALLS: dict[str, Callable[..., Call]] = {
    one.__name__: one
    for one in (
        to_planar, to_bytes, start, load, update, advance, squared_l2, finite, score, choose, gather, tile,
        cut, blend,
    )
}  # fmt: skip


def _pixels(size: tuple[int, ...], images: Any) -> dict[str, int]:
    return {"batch": images.shape[0], "pixels": math.prod(size)}


def _rows(x: Any) -> dict[str, int]:
    return {"rows": x.shape[0], "elements": _elements(x)}


def _elements(x: Any) -> int:
    return math.prod(x.shape[1:])


def _row_bytes(x: Any) -> int:
    return _elements(x) * int(np.dtype(x.dtype).itemsize)


def _noise(seed: int, pairs: Any, candidates: Any) -> dict[str, Any]:
    low, high = philox.seed_key(seed).tolist()
    return {"k0": low, "k1": high, "pairs": pairs, "candidates": candidates}
