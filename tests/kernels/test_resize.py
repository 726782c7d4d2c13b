"""The bicubic resize: Pillow's bytes, compiled and in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from degrade_engine.engine import images
from degrade_engine.kernels import loader, resize

Pixels = NDArray[np.uint8]


def by_pillow(image: Pixels, size: tuple[int, int]) -> Pixels:
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def drawn(height: int, width: int, seed: int, hard: bool) -> Pixels:
    """hard: black and white, which overshoots most."""
    dice = np.random.default_rng(seed)
    high = dice.integers(0, 2, (height, width, 3)) * 255 if hard else dice.integers(0, 256, (height, width, 3))
    return high.astype(np.uint8)


@settings(max_examples=80, deadline=None)
@given(side=st.integers(1, 300), wanted=st.integers(1, 150), seed=st.integers(0, 999), hard=st.booleans())
def test_squares_get_pillows_bytes(side: int, wanted: int, seed: int, hard: bool) -> None:
    assert loader.available()
    image, size = drawn(side, side, seed, hard), (wanted, wanted)
    made = resize.bicubic(image, size)
    np.testing.assert_array_equal(made, by_pillow(image, size))
    np.testing.assert_array_equal(made, resize.bicubic_twin(image, size))
    np.testing.assert_array_equal(made, images.resize_bicubic(image, size))


@pytest.mark.parametrize(("side", "scale"), [(512, 4), (512, 2), (1024, 4), (1000, 4), (384, 3)])
def test_hr_crops_get_pillows_bytes(side: int, scale: int) -> None:
    for hard in (False, True):
        image, size = drawn(side, side, side, hard), (side // scale, side // scale)
        np.testing.assert_array_equal(resize.bicubic(image, size), by_pillow(image, size))
        np.testing.assert_array_equal(images.resize_bicubic(image, size), by_pillow(image, size))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 200), width=st.integers(1, 200), high=st.integers(1, 99), wide=st.integers(1, 99),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_other_shapes_are_the_same_compiled_and_in_numpy(
    height: int, width: int, high: int, wide: int, seed: int
) -> None:
    image = drawn(height, width, seed, True)
    np.testing.assert_array_equal(resize.bicubic(image, (high, wide)), resize.bicubic_twin(image, (high, wide)))
    if width == wide or height == high:  # one pass alone
        np.testing.assert_array_equal(resize.bicubic(image, (high, wide)), by_pillow(image, (high, wide)))


def test_other_shapes_are_pillows_where_the_engine_asks() -> None:
    image = drawn(432, 56, 0, True)
    np.testing.assert_array_equal(images.resize_bicubic(image, (108, 14)), by_pillow(image, (108, 14)))


def test_a_view_is_read_as_it_stands() -> None:
    image = drawn(80, 160, 1, False)[:, ::2]
    np.testing.assert_array_equal(resize.bicubic(image, (20, 20)), by_pillow(np.ascontiguousarray(image), (20, 20)))


def test_what_cannot_be_resized_is_refused() -> None:
    for bad, size in (
        (np.zeros((4, 4, 3)), (2, 2)),
        (np.zeros((0, 4, 3), np.uint8), (2, 2)),
        (drawn(4, 4, 0, True), (0, 1)),
    ):
        with pytest.raises(ValueError, match="Expected: uint8"):
            resize.bicubic(bad, size)  # type: ignore[arg-type]
