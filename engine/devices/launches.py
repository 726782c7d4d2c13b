"""The device's launches as calls of the fatbin's kernels: `launch("tile", source=…, out=…)` is `degrade_tile` with
every argument that `kernels/grids.py` names, `select` is three kernels. Shapes are read off the buffers; nothing here
knows CUDA.

A bundle's networks read and write FP32, also those that compute in FP16 (spec.TensorSpec), so the denoiser is bound to
x itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...kernels import philox, tiles

Calls = Iterator[tuple[str, dict[str, Any]]]
"""A kernel's name, and buffers and numbers by the names of its arguments. None is a null pointer."""


def to_planar(images: Any, out: Any) -> Calls:
    yield "degrade_to_planar", {"images": images, "out": out, **_pixels(images.shape[1:3], images)}


def to_bytes(x: Any, out: Any) -> Calls:
    yield "degrade_to_bytes", {"x": x, "kept": None, "out": out, **_pixels(x.shape[2:], x)}


def start(x: Any, x_start: Any, coefficients: Any, seed: int, pairs: Any, candidates: Any) -> Calls:
    noise = _noise(seed, pairs, candidates)
    yield "degrade_start", {"x": x, "x_start": x_start, "coefficients": coefficients, **_rows(x), **noise}


def load(t: Any, timesteps: Any, step: Any) -> Calls:
    yield "degrade_load", {"t": t, "timesteps": timesteps, "step": step, "rows": t.shape[0]}


def update(
    x: Any, eps: Any, x0_prev: Any, coefficients: Any, timesteps: Any, step: Any, clip: bool, seed: int, pairs: Any,
    candidates: Any,
) -> Calls:  # fmt: skip
    yield "degrade_update", {
        "x": x, "eps": eps, "x0_prev": x0_prev, "coefficients": coefficients,
        "timesteps": timesteps, "step": step, "clip": int(clip), **_rows(x), **_noise(seed, pairs, candidates),
    }  # fmt: skip


def advance(step: Any) -> Calls:
    yield "degrade_advance", {"step": step}


def select(
    features_0: Any, target_0: Any, lanes_0: Any, features_1: Any, target_1: Any, lanes_1: Any, x: Any, parts: Any,
    weights: tuple[float, float], error_0: Any, error_1: Any, score: Any, finite: Any, kept: Any,
) -> Calls:  # fmt: skip
    """Both targets in one launch, the pixels in another, and what comes of them in a third."""
    yield "degrade_squared_l2", {
        "features_0": features_0, "target_0": target_0, "lanes_0": lanes_0, "elements_0": _elements(features_0),
        "features_1": features_1, "target_1": target_1, "lanes_1": lanes_1, "elements_1": _elements(features_1),
        "rows": features_0.shape[0], "batch": target_0.shape[0],
    }  # fmt: skip
    yield "degrade_finite", {"x": x, "parts": parts, **_rows(x)}
    yield "degrade_choose", {
        "lanes_0": lanes_0, "lanes_1": lanes_1, "parts": parts, "w_0": weights[0], "w_1": weights[1],
        "error_0": error_0, "error_1": error_1, "score": score, "finite": finite, "kept": kept, **_choices(score),
    }  # fmt: skip


def keep_first(x: Any, parts: Any, error_0: Any, error_1: Any, score: Any, finite: Any, kept: Any) -> Calls:
    yield "degrade_finite", {"x": x, "parts": parts, **_rows(x)}
    yield "degrade_choose", {
        "lanes_0": None, "lanes_1": None, "parts": parts, "w_0": 0, "w_1": 0,
        "error_0": error_0, "error_1": error_1, "score": score, "finite": finite, "kept": kept, **_choices(score),
    }  # fmt: skip


def kept_to_bytes(x: Any, kept: Any, out: Any) -> Calls:
    yield "degrade_to_bytes", {"x": x, "kept": kept, "out": out, **_pixels(x.shape[2:], out)}


def gather(x: Any, kept: Any, out: Any) -> Calls:
    yield "degrade_gather", {"x": x, "kept": kept, "out": out, "batch": out.shape[0], "row_bytes": _row_bytes(out)}


def tile(source: Any, out: Any) -> Calls:
    yield "degrade_tile", {
        "source": source, "out": out, "rows": out.shape[0], "batch": source.shape[0], "row_bytes": _row_bytes(out)
    }  # fmt: skip


def cut(source: Any, out: Any, tops: Any, lefts: Any, first: int) -> Calls:
    yield "degrade_cut", {
        "source": source, "out": out, "tops": tops, "lefts": lefts, "first": first, "slots": out.shape[0],
        **tiles.sizes(source.shape, out.shape, tops.shape[0], lefts.shape[0]),
    }  # fmt: skip


def blend(
    tiled: Any, out: Any, tops: Any, cover_y: Any, weights_y: Any, lefts: Any, cover_x: Any, weights_x: Any
) -> Calls:
    yield "degrade_blend", {
        "tiles": tiled, "out": out, "tops": tops, "cover_y": cover_y, "weights_y": weights_y, "lefts": lefts,
        "cover_x": cover_x, "weights_x": weights_x,
        **tiles.sizes(out.shape, tiled.shape, tops.shape[0], lefts.shape[0]),
    }  # fmt: skip


CALLS: dict[str, Callable[..., Calls]] = {
    one.__name__: one
    for one in (
        to_planar, to_bytes, start, load, update, advance, select, keep_first, gather, kept_to_bytes, tile, cut, blend,
    )
}  # fmt: skip


def _pixels(size: tuple[int, ...], images: Any) -> dict[str, int]:
    return {"batch": images.shape[0], "pixels": math.prod(size)}


def _rows(x: Any) -> dict[str, int]:
    return {"rows": x.shape[0], "elements": _elements(x)}


def _choices(score: Any) -> dict[str, int]:
    return {"candidates": score.shape[0], "batch": score.shape[1]}


def _elements(x: Any) -> int:
    return math.prod(x.shape[1:])


def _row_bytes(x: Any) -> int:
    return _elements(x) * int(np.dtype(x.dtype).itemsize)


def _noise(seed: int, pairs: Any, candidates: Any) -> dict[str, Any]:
    low, high = philox.seed_key(seed).tolist()
    return {"k0": low, "k1": high, "pairs": pairs, "candidates": candidates}
