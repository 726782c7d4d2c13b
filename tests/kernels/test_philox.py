"""The noise: the published generator, the same bits compiled and in numpy, and normals that are normal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from degrade_engine.kernels import loader, philox

# Random123's kat_vectors file, philox4x32 with 10 rounds: counter, key, words.
KNOWN_ANSWERS = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
words = st.integers(0, 2**32 - 1)


def as_words(values: list[int]) -> philox.Words:
    return np.array(values, dtype=np.uint32)


def draw(shape: tuple[int, ...], seed: int, pair: int = 0, candidate: int = 0, step: int = 0) -> philox.Floats:
    out = np.empty(shape, dtype=np.float32)
    rows = np.ones(shape[0], dtype=np.uint32)
    philox.normals(
        out,
        seed=seed,
        pairs=pair * rows,
        candidates=candidate * rows,
        steps=step * rows,
    )
    return out


def test_the_compiled_library_is_installed() -> None:
    assert loader.available(), loader.status().reason


@pytest.mark.parametrize("function", [philox.philox4x32_10, philox.philox4x32_10_twin])
@pytest.mark.parametrize(("counter", "key", "wanted"), KNOWN_ANSWERS)
def test_known_answers_of_random123(function, counter: list[int], key: list[int], wanted: list[int]) -> None:
    np.testing.assert_array_equal(function(as_words(counter), as_words(key)), as_words(wanted))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 67), key=st.tuples(words, words), seed=st.integers(0, 99))
def test_words_are_equal_compiled_and_in_numpy(count: int, key: tuple[int, int], seed: int) -> None:
    counter = np.random.default_rng(seed).integers(0, 2**32, (count, 4), dtype=np.uint32)
    compiled = philox.philox4x32_10(counter, as_words(list(key)))
    np.testing.assert_array_equal(compiled, philox.philox4x32_10_twin(counter, as_words(list(key))))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 4),
    elements=st.one_of(st.integers(1, 40), st.integers(1000, 3100)),
    seed=st.integers(0, 2**64 - 1),
    base=st.integers(0, 2**32 - 8),
    threads=st.integers(1, 3),
)
def test_normals_are_equal_compiled_and_in_numpy(rows: int, elements: int, seed: int, base: int, threads: int) -> None:
    pairs = np.arange(base, base + rows, dtype=np.uint32)
    candidates, steps = pairs % 3, pairs % 501
    compiled = np.empty((rows, elements), dtype=np.float32)
    twin = np.empty_like(compiled)
    philox.normals(compiled, seed=seed, pairs=pairs, candidates=candidates, steps=steps, threads=threads)
    philox.normals_twin(twin, philox.seed_key(seed), pairs, candidates, steps)
    np.testing.assert_array_equal(compiled.view(np.int32), twin.view(np.int32))


def test_normals_follow_the_formula_within_four_ulp() -> None:
    counter = np.zeros((50_000, 4), dtype=np.uint32)
    counter[:, 0] = np.arange(len(counter))
    counter[:, 1:] = (17, 2, 31)
    x = philox.philox4x32_10_twin(counter, philox.seed_key(9)).astype(np.uint64)
    exact = np.empty((len(x), 4))
    for first in (0, 2):
        u1 = ((x[:, first] >> np.uint64(8)).astype(np.float64) + 1) * 2.0**-24
        angle = 2 * np.pi * (x[:, first + 1] >> np.uint64(8)).astype(np.float64) * 2.0**-24
        radius = np.sqrt(-2 * np.log(u1))
        exact[:, first], exact[:, first + 1] = radius * np.cos(angle), radius * np.sin(angle)
    drawn = draw((1, exact.size), seed=9, pair=31, candidate=2, step=17).reshape(-1, 4)
    ulp = np.spacing(np.maximum(np.abs(exact), 2.0**-100).astype(np.float32))
    worst = np.max(np.abs(drawn - exact) / ulp)
    assert worst < 4, f"{worst:.2f} ulp"


def test_the_ends_of_the_uniforms_are_exact_and_bounded() -> None:
    top = np.array([0xFFFFFFFF], dtype=np.uint64)
    bottom = np.zeros(1, dtype=np.uint64)
    assert philox.box_muller(top, bottom) == (0.0, 0.0)  # u1 = 1
    largest, zero = philox.box_muller(bottom, bottom)  # u1 = 2^-24, u2 = 0
    assert largest[0] == pytest.approx(np.sqrt(48 * np.log(2)), rel=1e-6)
    assert zero[0] == 0.0
    quarter = np.array([0x40000000], dtype=np.uint64)
    cosine, sine = philox.box_muller(bottom, quarter)
    assert (cosine[0], sine[0]) == (0.0, largest[0])


def test_moments_and_bound_of_a_million_normals() -> None:
    z = draw((4, 250_000), seed=2024).astype(np.float64)
    z = np.concatenate([z[:1], draw((3, 250_000), seed=2025, pair=1).astype(np.float64)[:1]]).ravel()
    count = z.size
    assert np.abs(z).max() < 5.78
    # Five standard errors of each moment of a standard normal.
    assert abs(z.mean()) < 5 / np.sqrt(count)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / count)
    assert abs((z**3).mean()) < 5 * np.sqrt(15 / count)
    assert abs((z**4).mean() - 3) < 5 * np.sqrt(96 / count)
    neighbours = (z[1:] * z[:-1]).mean()
    assert abs(neighbours) < 5 / np.sqrt(count)


def test_a_rows_noise_depends_on_its_counter_only() -> None:
    rows = np.array([5, 900, 5], dtype=np.uint32)
    steps = np.array([3, 4, 3], dtype=np.uint32)
    together = np.empty((3, 3, 5, 7), dtype=np.float32)
    philox.normals(together, seed=7, pairs=rows, candidates=rows % 2, steps=steps)
    alone = draw((1, 3, 5, 7), seed=7, pair=900, candidate=0, step=4)
    np.testing.assert_array_equal(together[1], alone[0])
    np.testing.assert_array_equal(together[0], together[2])


@pytest.mark.parametrize("change", [{"seed": 8}, {"pair": 1}, {"candidate": 1}, {"step": 1}])
def test_every_part_of_the_counter_matters(change: dict[str, int]) -> None:
    at = {"seed": 0, "pair": 0, "candidate": 0, "step": 0}
    one, other = draw((1, 4000), **at).ravel(), draw((1, 4000), **(at | change)).ravel()
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(4000)


def test_wrong_arguments_are_refused() -> None:
    out, row = np.empty((2, 8), dtype=np.float32), np.zeros(2, dtype=np.uint32)
    with pytest.raises(ValueError, match="seed is -1"):
        philox.normals(out, seed=-1, pairs=row, candidates=row, steps=row)
    with pytest.raises(ValueError, match="pairs is int64"):
        philox.normals(out, seed=0, pairs=row.astype(np.int64), candidates=row, steps=row)
    with pytest.raises(ValueError, match="not contiguous"):
        philox.normals(out[:, ::2], seed=0, pairs=row, candidates=row, steps=row)
