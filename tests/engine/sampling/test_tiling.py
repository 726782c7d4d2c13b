"""Where tiles lie and what they count for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sampling.tiling import Grid, grid, grid_of
from degrade_engine.engine.spec import TensorSpec


@settings(max_examples=100, deadline=None)
@given(tile=st.integers(2, 160), more=st.integers(0, 700), overlap=st.integers(1, 159))
def test_tiles_cover_all_evenly_and_share_what_was_asked_for(tile: int, more: int, overlap: int) -> None:
    overlap = min(overlap, tile - 1)
    line = grid(tile + more, tile, tile, overlap).y
    gaps = np.diff(line.starts)
    assert line.starts[0] == 0 and line.starts[-1] == more and grid(tile, tile, tile, overlap).tiles == 1
    assert (gaps > 0).all() and (tile - gaps >= overlap).all()
    unit = math.gcd(16, *line.starts, tile)
    assert gaps.size == 0 or gaps.max() - gaps.min() <= unit
    for word, times in (("height", 1), ("4*height", 4)):
        axis, places, sums = line.axis(word), np.arange(times * line.size), np.zeros(times * line.size)
        over = (places[:, None] >= axis.starts) & (places[:, None] < axis.starts + times * tile)
        first, count = over.argmax(axis=1), over.sum(axis=1)
        assert (axis.cover == np.stack([first, first + count], axis=1)).all()
        for start, weights in zip(axis.starts, axis.weights, strict=True):
            sums[start : start + times * tile] += weights
        np.testing.assert_allclose(sums, 1, atol=1e-6)
        assert (axis.weights > 0).all()


def test_the_fewest_tiles_for_the_overlap() -> None:
    places = {size: grid(size, size, 128).y.starts for size in (128, 130, 224, 256, 512)}
    assert places == {
        128: (0,), 130: (0, 2), 224: (0, 96), 256: (0, 64, 128), 512: (0, 96, 192, 288, 384)
    }  # fmt: skip


def test_weights_are_stablesrs() -> None:
    """exp(-u²/(2·0.01·S²)) around the middle, before they are divided by their sum; 1 where a tile lies alone."""
    axis = grid(224, 224, 128).y.axis("height")
    assert axis.weights[0, 0] == axis.weights[0, 95] == 1 == axis.weights[1, 32]
    bell = np.exp(-((np.arange(128) - 63.5) ** 2) / (0.02 * 128**2))
    assert axis.weights[0, 100] == pytest.approx(bell[100] / (bell[100] + bell[4]))


def test_places_on_other_grids() -> None:
    place = grid(256, 224, 128)
    features = TensorSpec("f_cont", "float32", ("batch", 8, "height/4", "width/4"))
    y, x = place.axes(features)
    assert y.starts.tolist() == [0, 16, 32] and x.starts.tolist() == [0, 24] and y.weights.shape == (3, 32)
    for vector in (TensorSpec("f_deg", "float32", ("batch", 8)), TensorSpec("t", "int32", ("batch",))):
        y, x = place.axes(vector)
        assert y.starts.tolist() == [0, 0, 0] and y.cover.tolist() == [[0, 3]] and x.weights.tolist() == [[0.5], [0.5]]
    with pytest.raises(DegradeError, match="multiples of 3"):
        place.axes(TensorSpec("x", "float32", ("batch", 1, "height/3", "width/3")))


def test_images_fill_the_networks_rows() -> None:
    place = grid(256, 256, 128)
    assert [place.images(batch) for batch in (1, 4, 8, 16)] == [1, 2, 4, 5]
    for batch in range(1, 40):
        images = place.images(batch)
        assert 9 * images >= 0.9 * batch * place.calls(images, batch) and images <= batch


def test_which_sizes_are_tiled() -> None:
    assert grid_of(None, 128, None) is grid_of(128, 128, None) is grid_of((128, 128), 128, None) is None
    assert isinstance(grid_of((128, 256), 128, 20), Grid)
    for size, overlap, said in ((None, 4, "single tile"), (64, None, "128 or more"), (256, 128, "1 to 127")):
        with pytest.raises(DegradeError, match=said):
            grid_of(size, 128, overlap)
