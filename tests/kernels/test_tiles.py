"""Cutting tiles and blending them: compiled and in numpy alike, and what a tiling promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from degrade_engine.engine.sampling import tiling
from degrade_engine.kernels import tiles

SIZES = st.tuples(st.integers(2, 9), st.integers(0, 30), st.integers(1, 8))  # tile, more, overlap


def grid_of(y: tuple[int, int, int], x: tuple[int, int, int]) -> tiling.Grid:
    """A tiling whose tiles need not be square."""
    lines = (tiling._line(tile + more, tile, min(overlap, tile - 1)) for tile, more, overlap in (y, x))
    return tiling.Grid(*lines, overlap=1)


@settings(max_examples=60, deadline=None)
@given(images=st.integers(1, 3), channels=st.integers(1, 4), y=SIZES, x=SIZES, first=st.integers(0, 9),
       slots=st.integers(1, 6), dtype=st.sampled_from([np.float32, np.int32]), threads=st.integers(1, 3),
       seed=st.integers(0, 999))  # fmt: skip
def test_cut_is_equal_compiled_and_in_numpy(images, channels, y, x, first, slots, dtype, threads, seed) -> None:
    grid, rng = grid_of(y, x), np.random.default_rng(seed)
    source = rng.integers(0, 2**31, (images, channels, grid.y.size, grid.x.size)).astype(dtype)
    tops, lefts = (line.axis("height").starts for line in (grid.y, grid.x))
    out = [np.zeros((slots, channels, grid.y.tile, grid.x.tile), dtype) for _ in range(2)]
    tiles.cut(source, out[0], tops, lefts, first, threads=threads)
    tiles.cut_twin(source, out[1], tops, lefts, first)
    np.testing.assert_array_equal(*out)


@settings(max_examples=60, deadline=None)
@given(images=st.integers(1, 3), channels=st.integers(1, 4), y=SIZES, x=SIZES, threads=st.integers(1, 3),
       seed=st.integers(0, 999))  # fmt: skip
def test_blend_is_equal_compiled_and_in_numpy(images, channels, y, x, threads, seed) -> None:
    grid, rng = grid_of(y, x), np.random.default_rng(seed)
    axes = [line.axis("height") for line in (grid.y, grid.x)]
    made = rng.standard_normal((images * grid.tiles + 1, channels, grid.y.tile, grid.x.tile), dtype=np.float32)
    out = [np.full((images, channels, grid.y.size, grid.x.size), 9, np.float32) for _ in range(2)]
    tiles.blend(made, out[0], *axes, threads=threads)
    tiles.blend_twin(made, out[1], *axes)
    np.testing.assert_array_equal(out[0].view(np.int32), out[1].view(np.int32))


@settings(max_examples=30, deadline=None)
@given(y=SIZES, x=SIZES, seed=st.integers(0, 999))
def test_what_was_cut_is_blended_to_itself(y, x, seed) -> None:
    """The weights of a pixel add up to 1, but for their roundings and those of the sum: one a tile and three more."""
    grid = grid_of(y, x)
    axes = [line.axis("height") for line in (grid.y, grid.x)]
    image = np.random.default_rng(seed).standard_normal((2, 3, grid.y.size, grid.x.size), dtype=np.float32)
    made = np.zeros((2 * grid.tiles, 3, grid.y.tile, grid.x.tile), np.float32)
    tiles.cut(image, made, axes[0].starts, axes[1].starts, 0)
    out = np.zeros_like(image)
    tiles.blend(made, out, *axes)
    most = max(int(np.diff(axis.cover).max()) for axis in axes) ** 2  # tiles over a pixel
    np.testing.assert_allclose(out, image, rtol=0, atol=(most + 3) * 2.0**-24 * np.abs(image).max())
    if grid.tiles == 1:
        np.testing.assert_array_equal(out, image)


def test_vectors_are_repeated_and_averaged() -> None:
    line = tiling._line(20, 8, 2)
    axis, n = line.axis(1), len(line.starts)
    vectors, made = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((2 * n * n, 3), np.float32)
    tiles.cut(vectors, made, axis.starts, axis.starts, 0)
    np.testing.assert_array_equal(made, np.repeat(vectors, n * n, axis=0))
    made[n * n :] += np.arange(n * n, dtype=np.float32)[:, None]
    out = np.zeros_like(vectors)
    tiles.blend(made, out, axis, axis)
    np.testing.assert_allclose(out, vectors + [[0], [(n * n - 1) / 2]], rtol=1e-6)
    t, rows = np.array([7, 9], np.int32), np.zeros(2 * n * n, np.int32)
    tiles.cut(t, rows, axis.starts, axis.starts, 0)
    assert rows.tolist() == [7] * n * n + [9] * n * n


def test_nan_stays_where_its_tile_lies() -> None:
    axis = tiling._line(8, 4, 1).axis("height")
    made = np.ones((9, 1, 4, 4), np.float32)
    made[0, 0, 1, 1] = np.nan
    out = np.zeros((1, 1, 8, 8), np.float32)
    tiles.blend(made, out, axis, axis)
    assert np.argwhere(np.isnan(out)).tolist() == [[0, 0, 1, 1]]


def test_wrong_layouts_are_refused() -> None:
    axis = tiling._line(8, 4, 1).axis("height")
    image, made = np.zeros((1, 3, 8, 8), np.float32), np.zeros((9, 3, 4, 4), np.float32)
    with pytest.raises(ValueError, match="Expected: tiles of these images"):
        tiles.cut(image, made[:, :2], axis.starts, axis.starts, 0)
    with pytest.raises(ValueError, match="one dtype of four bytes"):
        tiles.cut(image.astype(np.float64), made, axis.starts, axis.starts, 0)
    with pytest.raises(ValueError, match="int32 from 0 to 4"):
        tiles.cut(image, made, axis.starts + 1, axis.starts, 0)
    with pytest.raises(ValueError, match="or more"):
        tiles.blend(made[:8], image, axis, axis)
    with pytest.raises(ValueError, match="cover is"):
        tiles.blend(made, image, axis, tiles.Axis(axis.starts, axis.cover[:4], axis.weights))
