"""Every CUDA grid, run on this CPU, against its numpy twin: the same bits over odd sizes, tails, misaligned rows,
late joiners, NaN and ties, and not a byte outside a buffer.

The grid is the one that `grids.KERNELS` names or a smaller or odd one, which must give the same.
"""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from degrade_engine.engine.sampling import tiling
from degrade_engine.kernels import philox, pixels, select, tiles, update
from degrade_engine.kernels.grids import KERNELS, MOST_X, MOST_Y, PARTS, THREADS, over_rows

from .conftest import TABLE, Buffer, GridsOnHost

# A block takes 1024 elements: fewer than a group, around a group, around a block and more than one.
SIZES = st.one_of(st.integers(1, 9), st.integers(1, 260).map(lambda n: 4 * n), st.integers(1017, 2100))
SHIFTS = st.tuples(*[st.sampled_from([0, 0, 1, 2, 3])] * 4)
GRIDS = st.sampled_from([None, None, (1, 1), (2, 1), (1, 2), (3, 2)])
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_same_bits(found: NDArray, wanted: NDArray) -> None:
    """Equal to the last bit; a NaN equals a NaN whatever its payload."""
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    both = np.isnan(found) & np.isnan(wanted) if found.dtype.kind == "f" else np.zeros(found.shape, bool)
    words = {1: np.uint8, 2: np.uint16, 4: np.uint32}[found.itemsize]
    differ = (found.view(words) != wanted.view(words)) & ~both
    assert not differ.any(), f"{differ.sum()} of {differ.size} differ, first at {np.argwhere(differ)[0]}"


def values(rng: np.random.Generator, shape: tuple[int, ...], spoiled: bool = True) -> philox.Floats:
    """Normals with a few values that are no numbers, large, small, or zeros with a sign."""
    out = rng.standard_normal(shape, dtype=np.float32)
    if spoiled:
        at = rng.random(shape) < 0.02
        out[at] = rng.choice(np.array([np.nan, np.inf, -np.inf, -0.0, 7e4, 3e-6], np.float32), at.sum())
    return out


def key_arguments(seed: int, pairs: NDArray, candidates: NDArray) -> dict:
    key = philox.seed_key(seed)
    return {"k0": int(key[0]), "k1": int(key[1]), "pairs": Buffer(pairs), "candidates": Buffer(candidates)}


@few
@given(rows=st.integers(1, 5), size=SIZES, shifts=SHIFTS, grid=GRIDS, clip=st.booleans(), steps=st.integers(1, 4),
       seed=SEEDS)  # fmt: skip
def test_update(grids: GridsOnHost, rows, size, shifts, grid, clip, steps, seed) -> None:
    rng = np.random.default_rng(seed)
    x, x0_prev, eps = (values(rng, (rows, size)) for _ in range(3))
    table = TABLE[rng.integers(0, len(TABLE), (steps, rows))]
    timesteps = rng.integers(1, 501, (steps, rows), dtype=np.uint32)
    pairs, candidates = rng.integers(0, 2**32, (2, rows), dtype=np.uint32)
    step = int(rng.integers(steps))
    moved, predicted = Buffer(x, shifts[0]), Buffer(x0_prev, shifts[1])
    grids.launch(
        "degrade_update", grid, x=moved, eps=Buffer(eps, shifts[3]), x0_prev=predicted,
        coefficients=Buffer(table), timesteps=Buffer(timesteps), step=Buffer(np.array([step], np.int32)),
        clip=int(clip), rows=rows, elements=size,
        **key_arguments(seed, pairs, candidates),
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):
        update.update_twin(
            x, eps, x0_prev, table[step], clip, philox.seed_key(seed), pairs, candidates, timesteps[step]
        )  # fmt: skip
    assert_same_bits(moved.values, x)
    assert_same_bits(predicted.values, x0_prev)


@few
@given(rows=st.integers(1, 5), size=SIZES, shifts=SHIFTS, grid=GRIDS, seed=SEEDS)
def test_start(grids: GridsOnHost, rows, size, shifts, grid, seed) -> None:
    rng = np.random.default_rng(seed)
    x_start = values(rng, (rows, size))
    x = np.zeros_like(x_start)
    abar = np.where(rng.random(rows) < 0.3, 1.0, rng.random(rows))
    table = np.stack([np.sqrt(abar), np.sqrt(1 - abar)], axis=1).astype(np.float32)
    pairs, candidates = rng.integers(0, 2**32, (2, rows), dtype=np.uint32)
    begun = Buffer(x, shifts[0])
    grids.launch(
        "degrade_start", grid, x=begun, x_start=Buffer(x_start, shifts[1]), coefficients=Buffer(table), rows=rows,
        elements=size,
        **key_arguments(seed, pairs, candidates),
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):
        update.start_twin(x, x_start, table, philox.seed_key(seed), pairs, candidates)
    assert_same_bits(begun.values, x)


def test_a_step_is_replayed_with_the_same_arguments(grids: GridsOnHost) -> None:
    """load, update, advance: S times the same three launches, as a captured graph does it; rows join late."""
    steps, rows, size = 5, 3, 30
    rng = np.random.default_rng(7)
    table = np.repeat(TABLE[[4]], steps * rows, axis=0).reshape(steps, rows, 6)
    table[:2, 1], table[:4, 2] = update.IDENTITY, update.IDENTITY
    timesteps = rng.integers(1, 501, (steps, rows), dtype=np.int32)
    x, eps = (values(rng, (rows, size), spoiled=False) for _ in range(2))
    x0_prev = np.zeros_like(x)
    pairs, candidates = np.arange(rows, dtype=np.uint32) + 9, np.zeros(rows, np.uint32)
    moved, seen, step = Buffer(x), Buffer(np.zeros(rows, np.int32)), Buffer(np.zeros(1, np.int32))
    tables = {"timesteps": Buffer(timesteps), "step": step}
    arguments = {
        "x": moved, "eps": Buffer(eps), "x0_prev": Buffer(x0_prev),
        "coefficients": Buffer(table), **tables, "clip": 0, "rows": rows, "elements": size,
        **key_arguments(3, pairs, candidates),
    }  # fmt: skip
    for now in range(steps):
        grids.launch("degrade_load", t=seen, **tables, rows=rows)
        np.testing.assert_array_equal(seen.values, timesteps[now])
        before = moved.values.copy()
        grids.launch("degrade_update", **arguments)
        grids.launch("degrade_advance", step=step)
        waiting = (table[now] == update.IDENTITY).all(axis=1)
        assert_same_bits(moved.values[waiting], before[waiting])
        assert (moved.values[~waiting] != before[~waiting]).all()
        words = timesteps[now].view(np.uint32)
        update.update_twin(x, eps, x0_prev, table[now], False, philox.seed_key(3), pairs, candidates, words)
    assert step.values[0] == steps
    assert_same_bits(moved.values, x)


def test_load_covers_more_rows_than_a_block(grids: GridsOnHost) -> None:
    rows = 2 * THREADS + 3
    timesteps = np.arange(3 * rows, dtype=np.int32).reshape(3, rows)
    for grid in (None, (1, 1)):
        t = Buffer(np.zeros(rows, np.int32))
        step = Buffer(np.array([2], np.int32))
        grids.launch("degrade_load", grid, t=t, timesteps=Buffer(timesteps), step=step, rows=rows)
        np.testing.assert_array_equal(t.values, timesteps[2])


LANES_OF = st.one_of(SIZES, st.sampled_from([8191, 8192, 8193, 16384, 20000]))  # a block squares 8192 at a time


@few
@given(candidates=st.integers(1, 3), batch=st.integers(1, 3), sizes=st.tuples(LANES_OF, LANES_OF), shifts=SHIFTS,
       both=st.booleans(), few_blocks=st.booleans(), seed=SEEDS)  # fmt: skip
def test_squared_l2_and_choose(grids: GridsOnHost, candidates, batch, sizes, shifts, both, few_blocks, seed) -> None:
    """The distances to both targets, or the first one twice, have the twin's bits, whatever the number of blocks."""
    rng = np.random.default_rng(seed)
    rows = candidates * batch
    spoiled = bool(rng.random() < 0.3)
    features = [values(rng, (rows, size), spoiled) for size in sizes]
    targets = [values(rng, (batch, size), False) for size in sizes]
    targets[0][0] *= np.float32(rng.choice([0, 1]))  # a target of zeros
    lanes = [Buffer(np.zeros((rows, 2, select.LANES), np.float32)) for _ in range(2)]
    arguments: dict = {}
    for i in range(2):
        given_ = i == 0 or both
        arguments |= {
            f"features_{i}": Buffer(features[i], shifts[i]) if given_ else None,
            f"target_{i}": Buffer(targets[i], shifts[2 + i]) if given_ else None,
            f"lanes_{i}": lanes[i] if given_ else None,
            f"elements_{i}": sizes[i] if given_ else 0,
        }
    grid = (3, 2 if both else 1) if few_blocks else None
    grids.launch("degrade_squared_l2", grid, **arguments, rows=rows, batch=batch)
    found = choose(grids, lanes[0], lanes[both], np.ones((rows, PARTS), np.uint8), (candidates, batch), grid)
    with np.errstate(invalid="ignore"):
        wanted = [select.squared_l2_twin(features[i], targets[i]) for i in (0, int(both))]
        assert_same_bits(found["error_0"].values, wanted[0])
        assert_same_bits(found["error_1"].values, wanted[1])


def choose(grids: GridsOnHost, lanes_0, lanes_1, parts: NDArray, shape: tuple[int, int], grid) -> dict[str, Buffer]:
    """What the kernel says; weights 0.3 and 0.7."""
    figures = {name: Buffer(np.zeros(shape, np.float32)) for name in ("error_0", "error_1", "score")}
    found = figures | {"finite": Buffer(np.full(shape, 7, np.uint8)), "kept": Buffer(np.full(shape[1], -1, np.int32))}
    grids.launch(
        "degrade_choose", grid and (grid[0], 1), lanes_0=lanes_0, lanes_1=lanes_1, parts=Buffer(parts), w_0=0.3,
        w_1=0.7,
        **found, candidates=shape[0], batch=shape[1],
    )  # fmt: skip
    return found


@few
@given(rows=st.integers(1, 7), size=LANES_OF, shifts=SHIFTS, grid=st.sampled_from([None, (1, 1), (5, 1)]), seed=SEEDS)
def test_finite(grids: GridsOnHost, rows, size, shifts, grid, seed) -> None:
    rng = np.random.default_rng(seed)
    x = values(rng, (rows, size), False)
    for row in np.flatnonzero(rng.random(rows) < 0.5):  # one bad value, at either end or anywhere
        x[row, rng.choice([0, size - 1, rng.integers(size)])] = rng.choice([np.nan, np.inf, -np.inf])
    parts = Buffer(np.full((rows, PARTS), 7, np.uint8))
    grids.launch("degrade_finite", grid, x=Buffer(x, shifts[0]), parts=parts, rows=rows, elements=size)
    assert set(np.unique(parts.values)) <= {0, 1}
    np.testing.assert_array_equal(parts.values.all(axis=1), select.finite_twin(x))


@few
@given(candidates=st.integers(1, 5), batch=st.integers(1, 20), grid=GRIDS, seed=SEEDS)
def test_the_choice_is_the_twins(grids: GridsOnHost, candidates, batch, grid, seed) -> None:
    """Ties, NaN, infinity, candidates with a bad pixel."""
    rng = np.random.default_rng(seed)
    shape = (candidates, batch)
    degradation, content = (rng.integers(0, 3, shape).astype(np.float32) for _ in range(2))  # ties
    degradation[rng.random(shape) < 0.2] = np.nan
    content[rng.random(shape) < 0.1] = np.inf
    parts = (rng.random((candidates * batch, PARTS)) < 0.97).astype(np.uint8)
    finite = parts.all(axis=1).reshape(shape)
    lanes = []
    for error in (degradation, content):  # all of it in one lane; the norm is 1
        sums = np.zeros((candidates * batch, 2, select.LANES), np.float32)
        sums[:, 0, rng.integers(select.LANES)], sums[:, 1, 5] = error.ravel(), 1
        lanes.append(Buffer(sums))
    found = choose(grids, *lanes, parts, shape, grid)
    score = select.score_twin(degradation, content, finite, (0.3, 0.7))
    for name, wanted in {"error_0": degradation, "error_1": content, "score": score, "finite": finite.view(np.uint8),
                         "kept": select.choose_twin(score)}.items():  # fmt: skip
        assert_same_bits(found[name].values, wanted)
    first = choose(grids, None, None, parts, shape, grid)
    for name in ("error_0", "error_1", "score"):
        assert (first[name].values.view(np.uint32) == np.float32(np.nan).view(np.uint32)).all()
    assert_same_bits(first["finite"].values, finite.view(np.uint8))
    assert not first["kept"].values.any()


@few
@given(candidates=st.integers(1, 3), batch=st.integers(1, 4), row_bytes=st.integers(1, 4200), shifts=SHIFTS, grid=GRIDS,
       in_place=st.booleans(), seed=SEEDS)  # fmt: skip
def test_gather_and_tile(grids: GridsOnHost, candidates, batch, row_bytes, shifts, grid, in_place, seed) -> None:
    rng = np.random.default_rng(seed)
    row_bytes = row_bytes // 16 * 16 or 16 if rng.random() < 0.5 else row_bytes
    x = rng.integers(0, 256, (candidates * batch, row_bytes), dtype=np.uint8)
    kept = rng.integers(0, candidates, batch, dtype=np.int32)
    out = Buffer(np.zeros((batch, row_bytes), np.uint8), shifts[1])
    rows = {"batch": batch, "row_bytes": row_bytes}
    grids.launch("degrade_gather", grid, x=Buffer(x, shifts[0]), kept=Buffer(kept), out=out, **rows)
    np.testing.assert_array_equal(out.values, select.gather_twin(x, kept))
    tiled = Buffer(x, shifts[0])
    source = tiled if in_place else Buffer(x[:batch] ^ 1, shifts[1])
    wanted = np.tile(source.values[:batch].copy(), (candidates, 1))
    grids.launch("degrade_tile", grid, source=source, out=tiled, rows=len(x), **rows)
    np.testing.assert_array_equal(tiled.values, wanted)


@few
@given(images=st.integers(1, 3), channels=st.integers(1, 3), tile=st.integers(2, 18), 
       more=st.tuples(*[st.integers(0, 40)] * 2),
       slots=st.integers(1, 5), shifts=SHIFTS, grid=GRIDS, seed=SEEDS)  # fmt: skip
def test_cut_and_blend(grids: GridsOnHost, images, channels, tile, more, slots, shifts, grid, seed) -> None:
    rng = np.random.default_rng(seed)
    place = tiling.grid(tile + more[0], tile + more[1], tile, int(rng.integers(1, tile)))
    y, x = place.y.axis("height"), place.x.axis("width")
    image = values(rng, (images, channels, place.y.size, place.x.size))
    first = int(rng.integers(images * place.tiles))
    sizes = tiles.sizes(image.shape, (slots, channels, tile, tile), len(y.starts), len(x.starts))
    wanted = np.zeros((slots, channels, tile, tile), np.float32)
    out = Buffer(wanted, shifts[0])
    grids.launch("degrade_cut", grid, source=Buffer(image, shifts[1]), out=out, tops=Buffer(y.starts),
                 lefts=Buffer(x.starts), first=first, slots=slots, **sizes)  # fmt: skip
    tiles.cut_twin(image, wanted, y.starts, x.starts, first)
    assert_same_bits(out.values, wanted)
    made = values(rng, (images * place.tiles, channels, tile, tile))
    blended = Buffer(np.zeros_like(image), shifts[2])
    grids.launch(
        "degrade_blend", grid, tiles=Buffer(made, shifts[3]), out=blended, tops=Buffer(y.starts),
        cover_y=Buffer(y.cover), weights_y=Buffer(y.weights), lefts=Buffer(x.starts), cover_x=Buffer(x.cover),
        weights_x=Buffer(x.weights), **sizes,
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):
        tiles.blend_twin(made, image, y, x)
    assert_same_bits(blended.values, image)


@few
@given(batch=st.integers(1, 4), size=SIZES, shifts=SHIFTS, grid=GRIDS, seed=SEEDS)
def test_pixels(grids: GridsOnHost, batch, size, shifts, grid, seed) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (batch, size, 1, 3), dtype=np.uint8)
    planes, back = Buffer(np.zeros((batch, 3, size, 1), np.float32), shifts[0]), Buffer(images * 0, shifts[1])
    grids.launch("degrade_to_planar", grid, images=Buffer(images, shifts[2]), out=planes, batch=batch, pixels=size)
    assert_same_bits(planes.values, pixels.to_planar_twin(images))
    grids.launch("degrade_to_bytes", grid, x=planes, kept=None, out=back, batch=batch, pixels=size)
    np.testing.assert_array_equal(back.values, images)
    x = values(rng, planes.values.shape)
    grids.launch("degrade_to_bytes", grid, x=Buffer(x, shifts[3]), kept=None, out=back, batch=batch, pixels=size)
    np.testing.assert_array_equal(back.values, pixels.to_bytes_twin(x))
    several, kept = values(rng, (3 * batch, *x.shape[1:])), rng.integers(0, 3, batch, dtype=np.int32)
    grids.launch("degrade_to_bytes", grid, x=Buffer(several, shifts[3]), kept=Buffer(kept), out=back, batch=batch,
                 pixels=size)  # fmt: skip
    np.testing.assert_array_equal(back.values, pixels.to_bytes_twin(select.gather_twin(several, kept)))


@pytest.mark.parametrize("name", KERNELS)
def test_the_table_names_the_arguments_of_the_source(grids: GridsOnHost, name: str) -> None:
    letter = {ctypes.c_void_p: "p", ctypes.c_int32: "i", ctypes.c_int64: "l", ctypes.c_uint32: "w", ctypes.c_float: "f"}
    found = grids.library.arguments_of(name.encode())
    assert found is not None and found.decode() == "".join(letter[kind] for kind in KERNELS[name].arguments.values())


def test_grids_cover_everything_and_stay_within_cudas_limits() -> None:
    assert over_rows(48, 3 * 128 * 128, 4) == (48, 48)
    assert over_rows(1, 1, 4) == (1, 1) and over_rows(3, 1025, 4) == (2, 3) and over_rows(0, 0, 4) == (1, 1)
    assert over_rows(10**6, 2**50, 1) == (MOST_X, MOST_Y)
