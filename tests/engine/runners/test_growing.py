"""A set that is given more pairs goes on: what is there stays, and the pairs are those of a set made at once."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from degrade_engine.cli import main
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.inputs.photographs import Entry, Photographs
from degrade_engine.engine.pipeline import generate as shards
from degrade_engine.engine.plan import Options, Plan, make
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.runners import runner

from ..pair_sets import KINDS, generate, photograph, photographs, stored, tree

GROW = [kind for kind in KINDS if kind != "lmdb"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


def plan_of(pairs: int, grown: tuple[int, ...] = (), batch: int = 4, shard_pairs: int = 9) -> Plan:
    hr = Photographs([Entry(f"{n}.png", 10 + n, 90 + n, 80 + n) for n in range(7)])
    recipe = Recipe((1, 30), 9, "quadratic", "ddim", 0.0, "bicubic", candidates=1, filter=False)
    options = Options(3, pairs, 4, recipe, shard_pairs, False, grown=grown)
    return make(options, lr_size=16, batch=batch, engine="e" * 64, hr=hr, reference=hr)


@given(some.lists(some.integers(1, 90), min_size=2, max_size=4, unique=True), some.integers(1, 6), some.integers(1, 20))
def test_the_smaller_plan_is_the_beginning_of_the_larger(sizes: list[int], batch: int, shard_pairs: int) -> None:
    sizes.sort()
    plans = [plan_of(size, tuple(sizes[:n]), batch, shard_pairs) for n, size in enumerate(sizes)]
    largest, at_once = plans[-1], plan_of(sizes[-1], (), batch, shard_pairs)
    assert sorted(largest.order) == list(range(sizes[-1])) and len(largest.shards) == largest.shard_count
    for n, plan in enumerate(plans):
        count = plan.shard_count
        assert largest.shards[:count] == plan.shards[:] and largest.batches[: len(plan.batches)] == plan.batches[:]
        assert [largest.shard_range(one) for one in range(count)] == [plan.shard_range(one) for one in range(count)]
        new = range(plans[n - 1].shard_count if n else 0, count)
        assert all(largest.names(shard) == tuple(one.sha256 for one in plans[n:]) for shard in new)
    for shard in range(largest.shard_count):
        first, last = largest.shard_range(shard)
        assert largest.shard_pairs(shard) == list(largest.order[first:last])
    for pair in range(sizes[-1]):  # what a pair is made of knows nothing of how many there are
        assert largest.draw(pair) == at_once.draw(pair) and largest.steps(pair) == at_once.steps(pair)


@pytest.mark.parametrize("grown", [(0,), (9, 9), (12, 9), (20,), (21,), (-1,)])
def test_sizes_that_do_not_grow_are_refused(grown: tuple[int, ...]) -> None:
    with pytest.raises(DegradeError, match="grown"):
        plan_of(20, grown)


def test_a_set_that_has_not_grown_has_the_page_that_it_always_had() -> None:
    assert "grown" not in plan_of(20).to_json() and "name_prefix" not in plan_of(20).to_json()


@pytest.mark.parametrize("kind", GROW)
def test_a_set_grows_to_the_pairs_of_one_made_at_once(photos, tmp_path, monkeypatch, capsys, kind):
    """Twice, the second time over a stop before the books; nothing that was there is made again."""
    out, at_once = tmp_path / "out", tmp_path / "at-once"
    assert generate(kind, photos, at_once, "--pairs", 45, degrader="bsrgan") == 0
    assert generate(kind, photos, out, degrader="bsrgan") == 0
    first = {name: data for name, data in tree(out).items() if "/" in name}
    done, real = [], shards.run
    monkeypatch.setattr(shards, "run", lambda plan, shard, **rest: done.append(shard) or real(plan, shard, **rest))
    assert generate(kind, photos, out, "--pairs", 30, degrader="bsrgan") == 0 and done == [2]
    with monkeypatch.context() as patch:
        patch.setattr(runner, "finish", stopped)
        assert generate(kind, photos, out, "--pairs", 45, degrader="bsrgan") == 2
    assert main(["status", str(out)]) == 1 and not (out / "run.json").exists()
    assert generate(kind, photos, out, "--pairs", 45, degrader="bsrgan") == 0 and done == [2, 3]
    assert json.loads((out / "plan.json").read_text())["grown"] == [20, 30]
    assert {name: data for name, data in tree(out).items() if name in first} == first
    assert (out / "manifest.jsonl").read_bytes() == (at_once / "manifest.jsonl").read_bytes()
    for stem in (f"{n:07d}" for n in range(45)):
        for role in ("gt", "lq"):
            assert stored(out, kind, stem, role) == stored(at_once, kind, stem, role)
    if kind == "folder":
        assert {**tree(out), "plan.json": b""} == {**tree(at_once), "plan.json": b""}
    assert main(["check", str(out)]) == 0 and main(["status", str(out)]) == 0
    assert main(["report", str(out), "-o", str(tmp_path / "page.html")]) == 0
    before = tree(out)
    assert generate(kind, photos, out, "--pairs", 45, degrader="bsrgan") == 0
    assert done == [2, 3] and tree(out) == before


def stopped(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_the_pairs_of_an_engine_are_those_of_a_set_made_at_once(tiny_engine: Path, photos: Path, tmp_path: Path):
    """Where a set grew, batches hold other neighbours and more padding."""
    words = ["generate", "--engine", tiny_engine, "--hr", photos, "--reference", photos, "--tau", "1:9", "--steps", 2,
             "--candidates", 2, "--no-filter", "--threads", 1, "--no-save-candidates", "--shard-pairs", 8]  # fmt: skip

    def make(out: str, pairs: int) -> None:
        assert main([str(word) for word in [*words, "--out", tmp_path / out, "--pairs", pairs]]) == 0

    make("a", 26)
    make("b", 7)
    make("b", 26)
    assert {**tree(tmp_path / "a"), "plan.json": b""} == {**tree(tmp_path / "b"), "plan.json": b""}


def test_what_hangs_on_the_number_of_pairs_stays_that_of_the_first(photos, tmp_path):
    """A small run keeps its candidates and has small shards, by default; with more pairs it goes on so."""
    words = ["generate", "--degrader", "camera", "--hr", photos, "--out", tmp_path, "--lr-size", 16, "--threads", 1]

    def page(pairs: int) -> dict:
        assert main([str(word) for word in [*words, "--pairs", pairs]]) == 0
        return json.loads((tmp_path / "plan.json").read_text())

    small, large = page(20), page(300)
    assert (large["shard_pairs"], large["pairs"], large["grown"]) == (small["shard_pairs"], 300, [20])
    assert small["shard_pairs"] < 38


def test_what_does_not_grow_is_said_and_left_alone(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert generate("folder", photos, out) == 0
    before = tree(out)
    more = tmp_path / "more"
    shutil.copytree(photos, more)
    from degrade_engine.engine import images

    (more / "new.png").write_bytes(images.encode_png(photograph(9, 72)))
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("hr\n" + "0.png\n" * 30)
    for words, said in (
        (["--pairs", 10], "pairs was 20 and is now 10. Fix: a set grows"),
        (["--pairs", 30, "--seed", 1], "seed was 0 and is now 1"),
        (["--pairs", 30, "--hr", more, "--rescan"], "other photographs make other pairs"),
        (["--pairs", 30, "--shard-pairs", 32], "shard_pairs was 16 and is now 32"),
        (["--pairs", 30, "--name-prefix", "a"], "name_prefix was  and is now a"),
    ):
        assert generate("folder", photos, out, *words) == 2
        assert said in capsys.readouterr().err and tree(out) == before
    assert generate("folder", photos, out, "--pairs", 30, "--dry-run") == 0 and tree(out) == before
    assert main(["status", str(out)]) == 0
    assert generate("lmdb", photos, tmp_path / "lmdb") == 0
    assert generate("lmdb", photos, tmp_path / "lmdb", "--pairs", 30) == 2
    assert "do not grow" in capsys.readouterr().err


def test_names_begin_with_the_prefix(photos, tmp_path, capsys):
    for kind in KINDS:
        out = tmp_path / kind
        assert generate(kind, photos, out, "--name-prefix", "canon-r5_") == 0
        names = [json.loads(line)["name"] for line in open(out / "manifest.jsonl")]
        assert names == [f"canon-r5_{n:07d}" for n in range(20)]
        before = tree(out)
        assert generate(kind, photos, out, "--name-prefix", "canon-r5_") == 0 and tree(out) == before
        assert main(["check", str(out)]) == main(["status", str(out)]) == 0
    for prefix in ("A", "a.b", "x", "fax", "x2_", "a/b", "ü", "a" * 41, " "):
        capsys.readouterr()
        assert generate("folder", photos, tmp_path / "no", "--name-prefix", prefix) == 2
        assert "--name-prefix is" in capsys.readouterr().err and not (tmp_path / "no").exists()
