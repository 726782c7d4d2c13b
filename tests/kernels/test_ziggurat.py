"""Normals by the compiled ziggurat are numpy's."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from degrade_engine.kernels import loader, ziggurat
from degrade_engine.kernels.ziggurat import standard_normal

on_x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the loop is for x86-64")


def pair(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    return np.random.Generator(np.random.SFC64(seed)), np.random.Generator(np.random.SFC64(seed))


@pytest.fixture
def unchecked() -> Iterator[None]:
    ziggurat.agrees.cache_clear()
    yield
    ziggurat.agrees.cache_clear()


@on_x86
def test_the_compiled_loop_runs() -> None:
    assert loader.available() and ziggurat.agrees()


@on_x86
def test_ten_million_normals_are_numpys() -> None:
    ours, numpys = pair(9)
    for _ in range(10):
        drawn, wanted = standard_normal(ours, (1_000_001,)), numpys.standard_normal(1_000_001, dtype=np.float32)
        np.testing.assert_array_equal(drawn.view(np.uint32), wanted.view(np.uint32))
    assert np.abs(drawn).max() > 4.5  # some of the tail


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), counts=st.lists(st.integers(0, 999), min_size=1, max_size=6))
def test_other_draws_between_go_on_from_the_same_state(seed: int, counts: list[int]) -> None:
    ours, numpys = pair(seed)
    for count in counts:
        drawn = standard_normal(ours, (count, 3))
        assert drawn.shape == (count, 3) and drawn.dtype == np.float32
        np.testing.assert_array_equal(drawn, numpys.standard_normal((count, 3), dtype=np.float32))
        assert ours.random(dtype=np.float32) == numpys.random(dtype=np.float32)  # half a word
        assert ours.poisson(3.0) == numpys.poisson(3.0)


def test_other_generators_are_left_to_numpy() -> None:
    ours, numpys = np.random.default_rng(4), np.random.default_rng(4)
    np.testing.assert_array_equal(standard_normal(ours, (99,)), numpys.standard_normal(99, dtype=np.float32))


def test_a_loop_that_draws_something_else_is_not_used(unchecked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ziggurat, "_compiled", lambda bits, shape: np.zeros(shape, np.float32))
    ours, numpys = pair(1)
    np.testing.assert_array_equal(standard_normal(ours, (99,)), numpys.standard_normal(99, dtype=np.float32))


def test_another_processor_is_left_to_numpy(unchecked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not ziggurat.agrees()
