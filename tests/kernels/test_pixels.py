"""Bytes to planes and back: lossless, ties to even, nothing wraps around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from degrade_engine.kernels import pixels

sizes = {"batch": st.integers(1, 3), "height": st.integers(1, 19), "width": st.integers(1, 19)}


@settings(max_examples=30, deadline=None)
@given(**sizes, threads=st.integers(1, 3), seed=st.integers(0, 999))
def test_round_trip_and_twin(batch: int, height: int, width: int, threads: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    x = pixels.to_planar(images, threads=threads)
    np.testing.assert_array_equal(x, pixels.to_planar_twin(images))
    np.testing.assert_array_equal(pixels.to_bytes(x, threads=threads), images)


@settings(max_examples=30, deadline=None)
@given(**sizes, threads=st.integers(1, 3), seed=st.integers(0, 999))
def test_bytes_are_equal_compiled_and_in_numpy(batch: int, height: int, width: int, threads: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((batch, 3, height, width), dtype=np.float32)
    np.testing.assert_array_equal(pixels.to_bytes(x, threads=threads), pixels.to_bytes_twin(x))


def test_values_and_planes() -> None:
    image = np.array([[[[0, 51, 255]]]], dtype=np.uint8)
    np.testing.assert_allclose(pixels.to_planar(image).ravel(), [-1, -0.6, 1], atol=1e-7)
    assert pixels.to_planar(image).shape == (1, 3, 1, 1)


@pytest.mark.parametrize("function", [pixels.to_bytes, pixels.to_bytes_twin])
def test_ties_go_to_the_even_grey(function) -> None:
    near = np.linspace(-1, 1, 512, dtype=np.float32)[:, None]
    x = (near + np.arange(-8, 9, dtype=np.float32) * np.float32(2**-24)).ravel()
    x = np.concatenate([x, ((np.arange(255) + 0.5) / 127.5 - 1).astype(np.float32)])
    scaled = (x + np.float32(1)) * np.float32(127.5)
    x, scaled = x[np.mod(scaled, 1) == 0.5], scaled[np.mod(scaled, 1) == 0.5]
    x, scaled = x[(scaled > 0) & (scaled < 255)], scaled[(scaled > 0) & (scaled < 255)]
    floor_is_even = np.floor(scaled) % 2 == 0
    assert floor_is_even.sum() > 10 and (~floor_is_even).sum() > 10, "too few exact ties to prove anything"
    grey = function(np.stack([x, x, x])[None, :, None])[0, 0, :, 0]
    np.testing.assert_array_equal(grey, np.floor(scaled) + ~floor_is_even)


@pytest.mark.parametrize("function", [pixels.to_bytes, pixels.to_bytes_twin])
def test_clipping_and_nan(function) -> None:
    values = np.array([-7.0, 9.0, np.nan, np.inf, -np.inf, 0.0], dtype=np.float32)
    out = function(values.reshape(1, 3, 1, 2)).transpose(0, 3, 1, 2).ravel()
    np.testing.assert_array_equal(out, [0, 255, 0, 255, 0, 128])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected: uint8"):
        pixels.to_planar(np.zeros((1, 2, 2, 4), dtype=np.uint8))
    with pytest.raises(ValueError, match="Expected: float32"):
        pixels.to_bytes(np.zeros((1, 3, 2, 2), dtype=np.float64))  # type: ignore[arg-type]
