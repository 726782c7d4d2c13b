"""Rows are rows: an engine of R rows makes any K candidates of R // K pairs at a time, to the same bytes a pair."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images, sampling
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.runners.job import Described
from degrade_engine.engine.sampling.batch import Batch, BatchResult, Runner

from ..rigs import Host
from .test_sampler import make_batch, open_network

B, K, LR = 4, 3, 16
R = B * K
TAUS = [3, 6, 1, 6, 2, 4, 5, 6, 1, 2, 3, 4]
ORDERS = [1, 2, 3, 4, 5, 7, 12]  # 12, 6, 4, 3, 2, 1 and 1 pairs: with 5 and 7 some rows idle


def opened(bundle: Path, rig: Host, candidates: int) -> Runner:
    """The networks of an engine of B pairs with K candidates, for others."""
    spec = open_bundle(bundle).spec
    networks = {name: rig.executor(open_network(bundle, name, B, K)) for name in spec.parts}
    return sampling.open(rig.device, networks, spec, candidates=candidates)


def rows_of(batch: Batch, rows: slice) -> Batch:
    fields = {name: value[rows] for name, value in vars(batch).items() if isinstance(value, np.ndarray)}
    return replace(batch, tables=batch.tables[rows], **fields)


def alike(found: np.ndarray, wanted: np.ndarray) -> None:
    """Within one grey level, and in all but a thousandth of the values the same."""
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= 1 and (difference > 0).mean() <= 0.001


@pytest.fixture(scope="module")
def singles(tiny_bundle: Path) -> list[BatchResult]:
    """Twelve pairs, one at a time, with twelve candidates each."""
    spec, batch = open_bundle(tiny_bundle).spec, make_batch(R, TAUS)
    networks = {name: open_network(tiny_bundle, name, 1, R) for name in spec.parts}
    one = sampling.open(Host().device, networks, spec, candidates=R)
    return [one.run(rows_of(batch, slice(i, i + 1))) for i in range(R)]


@pytest.mark.parametrize("candidates", ORDERS)
def test_a_pair_has_its_bytes_whatever_the_packing(
    candidates: int, tiny_bundle: Path, rig: Host, singles: list[BatchResult]
) -> None:
    runner, batch = opened(tiny_bundle, rig, candidates), make_batch(R, TAUS)
    assert runner.batch == R // candidates
    for first in range(0, R, runner.batch):
        part = rows_of(batch, slice(first, first + runner.batch))
        result = runner.run(part)
        assert result.candidates.shape[:2] == result.score.shape == (candidates, len(part.pairs))
        for at in range(len(part.pairs)):
            single = singles[first + at]
            alike(result.candidates[:, at], single.candidates[:candidates, 0])
            alike(result.start[at], single.start[0])
            np.testing.assert_allclose(result.score[:, at], single.score[:candidates, 0], rtol=1e-4)
            assert result.kept[at] == single.score[:candidates, 0].argmin()
            np.testing.assert_array_equal(result.lr[at], result.candidates[result.kept[at], at])


@pytest.mark.parametrize(
    ("candidates", "n", "pairs_calls", "filter_calls"),
    [(1, 12, 3, 3), (1, 5, 2, 3), (2, 6, 2, 3), (3, 4, 1, 3), (5, 2, 1, 3), (12, 1, 1, 3)],
)
def test_what_a_step_costs_is_shared_by_all_pairs(
    candidates: int, n: int, pairs_calls: int, filter_calls: int, tiny_bundle: Path, rig: Host
) -> None:
    """One denoiser call a step, whatever K; a part that runs once a pair takes four pairs at a time."""
    result = opened(tiny_bundle, rig, candidates).run(make_batch(n, TAUS[:n]))
    assert result.calls == {
        "degradation": pairs_calls + filter_calls,
        "content": pairs_calls + filter_calls,
        "modulation": pairs_calls,
        "reconstruction": pairs_calls,
        "denoiser": max(TAUS[:n]),
    }
    assert result.row_steps == candidates * sum(TAUS[:n]) and result.executed_row_steps == R * max(TAUS[:n])


# ---------------------------------------------------------------------------------------- engines and commands


@pytest.fixture(scope="module")
def engines(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Path]:
    """By pairs and candidates that they were built for."""
    folder = tmp_path_factory.mktemp("rows")
    sizes = ((B, K), (R, 1), (1, 2))
    return {
        size: build(tiny_bundle, folder / "x".join(map(str, size)), lr_size=LR, batch=size[0], candidates=size[1],
                    threads=1).folder
        for size in sizes
    }  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, side in (("hr", 4 * LR + 5), ("reference", LR + 3)):
        (folder / name).mkdir()
        for i in range(4):
            image = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            (folder / name / f"{i}.png").write_bytes(images.encode_png(image))
    return folder


def generate(engine: Path, photos: Path, out: Path, *options: object) -> int:
    words = ["generate", "--engine", engine, "--hr", photos / "hr", "--reference", photos / "reference", "--out", out,
             "--pairs", 30, "--threads", 1, *options]  # fmt: skip
    return main([str(word) for word in words])


def lq(out: Path) -> dict[str, np.ndarray]:
    return {path.name: images.read_rgb(path) for path in sorted((out / "lq").iterdir())}


def plan_of(out: Path) -> dict[str, object]:
    return dict(json.loads((out / "plan.json").read_text()))


@pytest.mark.parametrize(("candidates", "batch"), [(1, 12), (2, 6), (5, 2), (12, 1)])
def test_a_run_makes_as_many_pairs_a_batch_as_the_rows_hold(
    candidates: int, batch: int, engines: dict[tuple[int, int], Path], photos: Path, tmp_path: Path
) -> None:
    """With all that belongs to it: the plan, shards of whole batches, the bytes of an engine of another shape."""
    made = tmp_path / "made"
    assert generate(engines[B, K], photos, made, "--candidates", candidates) == 0
    plan = plan_of(made)
    assert (plan["batch"], plan["candidates"]) == (batch, candidates)
    assert int(str(plan["shard_pairs"])) % batch == 0
    assert Described.read(engines[B, K]).pairs(candidates) == batch
    if candidates <= 2:
        other = tmp_path / "other"
        assert generate(engines[(R, 1) if candidates == 1 else (1, 2)], photos, other, "--candidates", candidates) == 0
        for (name, a), b in zip(lq(made).items(), lq(other).values(), strict=True):
            alike(a, b)
            assert a.shape == (LR, LR, 3), name


def test_an_engine_takes_turns_between_numbers_of_candidates(engines: dict[tuple[int, int], Path]) -> None:
    """Each has buffers of its own, and the networks are pointed at them again."""
    random = np.random.default_rng(0)
    hr, camera = (random.integers(0, 256, (5, side, side, 3), dtype=np.uint8) for side in (4 * LR, LR))
    with Engine.open(engines[B, K], threads=1) as engine:
        assert [engine.pairs(k) for k in (1, 2, 3, 5, 12)] == [12, 6, 4, 2, 1] and engine.batch == B
        first = {k: engine.degrade(hr, camera, candidates=k) for k in (1, 3, 2)}
        for k in (3, 1, 2, 3):
            again = engine.degrade(hr, camera, candidates=k)
            for name in ("lr", "candidates", "score", "kept"):
                np.testing.assert_array_equal(getattr(again, name), getattr(first[k], name), err_msg=name)
        alike(first[1].candidates, first[3].candidates[:1])
        with pytest.raises(DegradeError, match="13 candidates per pair, and this engine makes 12 at most"):
            engine.degrade(hr, camera, candidates=13)


def test_a_run_that_began_with_smaller_batches_goes_on_with_them(
    engines: dict[tuple[int, int], Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release before this one cut batches of B pairs, whatever the candidates."""
    out, whole, words = tmp_path / "out", tmp_path / "whole", ("--candidates", 1, "--shard-pairs", 8)
    assert generate(engines[B, K], photos, whole, *words) == 0
    with monkeypatch.context() as before:
        before.setattr(Engine, "pairs", lambda self, candidates: B)
        assert generate(engines[B, K], photos, out, *words) == 0
    page = (out / "plan.json").read_bytes()
    assert plan_of(out)["batch"] == B and plan_of(whole)["batch"] == R
    (out / "run.json").unlink()
    for record in sorted((out / "shards").iterdir())[1:]:
        record.unlink()
    assert generate(engines[B, K], photos, out, *words) == 0
    assert (out / "plan.json").read_bytes() == page
    for a, b in zip(lq(out).values(), lq(whole).values(), strict=True):
        alike(a, b)


def test_tiles_share_the_rows_too(engines: dict[tuple[int, int], Path]) -> None:
    """LR of 2 x 2 tiles: one image in the four rows of a part, three in the twelve of the denoiser."""
    size, random = 28, np.random.default_rng(0)
    hr, camera = (random.integers(0, 256, (3, side, side, 3), dtype=np.uint8) for side in (4 * size, size))
    with Engine.open(engines[B, K], threads=1, lr_size=size) as engine:
        assert [engine.pairs(k) for k in (1, 3)] == [3, 1]
        one, three = (engine.degrade(hr, camera, candidates=k, steps=2) for k in (1, 3))
    alike(one.candidates, three.candidates[:1])
    assert one.calls["denoiser"] == 2 and three.calls["denoiser"] == 3 * 2
    assert one.calls["modulation"] == three.calls["modulation"] == 3


def test_what_has_no_rows_is_refused(
    engines: dict[tuple[int, int], Path], tiny_bundle_module: ModuleType, tmp_path: Path
) -> None:
    batch = make_batch(1, [3])
    with Engine.open(engines[B, K], threads=1) as engine:
        for candidates in (0, 13):
            with pytest.raises(DegradeError, match=f"candidates is {candidates}. Expected: 1 to 12"):
                engine.run(batch, candidates=candidates)
    lway = tiny_bundle_module.make(tmp_path / "bundle", kind="lway")
    with Engine.open(build(lway, tmp_path / "engine", lr_size=LR, batch=4, threads=1).folder, threads=1) as engine:
        with pytest.raises(DegradeError, match="candidates is 2"):
            engine.run(batch, candidates=2)
