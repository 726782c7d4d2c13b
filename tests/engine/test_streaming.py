"""Pairs without a disk are those that `generate` writes: the same pixels, the same rows, from any first pair."""

from __future__ import annotations

import itertools
import json
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import degrade_engine
from degrade_engine import DegradeError
from degrade_engine.engine.images import read_rgb
from degrade_engine.engine.streaming import WINDOW, Pair

from .pair_sets import photographs

PAIRS = 70  # more than a window


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = photographs(tmp_path_factory.mktemp("photos") / "hr", 90)
    (folder / "torn.png").write_bytes(b"no image")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])  # found out when it is decoded
    return folder


@pytest.fixture(scope="module", params=["degrader", "engine"])
def asked(request: pytest.FixtureRequest, photos: Path, tiny_engine: Path) -> dict[str, Any]:
    common: dict[str, Any] = {"hr": photos, "seed": 5, "threads": 2}
    if request.param == "degrader":
        return common | {"degrader": "camera", "lr_size": 16}
    return common | {"engine": tiny_engine, "reference": photos, "tau": (0, 9), "steps": 2, "candidates": 2}


@pytest.fixture(scope="module")
def written(asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("written")
    degrade_engine.generate(out / "set", pairs=PAIRS, progress=False, **asked)
    return out / "set"


def agrees(pair: Pair, written: Path, rows: dict[int, dict]) -> bool:
    images = all(
        np.array_equal(image, read_rgb(written / role / f"{pair.name}.png"))
        for role, image in (("lq", pair.lq), ("gt", pair.gt))
    )
    return images and json.loads(json.dumps(pair.row)) == rows[pair.number]


@pytest.mark.parametrize(("first", "every", "count"), [(0, 1, PAIRS), (37, 1, 9), (1, 3, 23), (PAIRS - 1, 1, 1)])
def test_a_stream_has_the_pairs_of_a_run(asked, written, first, every, count):
    rows = {row["pair"]: row for row in map(json.loads, open(written / "manifest.jsonl"))}
    found = list(degrade_engine.stream(first=first, every=every, count=count, **asked))
    wanted = [number for number in range(first, first + every * count, every) if number in rows]
    assert [pair.number for pair in found] == wanted and len(wanted) >= count - 2
    assert all(agrees(pair, written, rows) for pair in found)
    for pair in found:  # they are the caller's own
        assert pair.lq.flags.writeable and pair.gt.flags.writeable and pair.lq.base is None


def test_it_goes_on_for_ever_and_far_out(asked):
    """A plan of so many pairs would hold hundreds of megabytes; here a pair is drawn when it is asked for."""
    ends = degrade_engine.stream(first=99_999_000, **asked)
    some = list(itertools.islice(ends, 5))
    assert [pair.number for pair in some] == list(range(99_999_000, 99_999_005))
    again = [pair.lq for pair in itertools.islice(pickle.loads(pickle.dumps(ends)), 5)]  # in a loader's worker
    assert all(np.array_equal(one, pair.lq) for one, pair in zip(again, some, strict=True))
    assert len(list(degrade_engine.stream(first=99_999_998, **asked))) == 2


def test_workers_share_the_pairs(asked, written):
    names = [pair.name for w in range(3) for pair in degrade_engine.stream(first=w, every=3, count=10, **asked)]
    assert sorted(names) == sorted(pair.name for pair in degrade_engine.stream(count=30, **asked))


def test_one_that_is_left_ends_its_threads(asked):
    before = threading.active_count()
    for pair in degrade_engine.stream(**asked):
        assert pair.number == 0
        break
    for thread in threading.enumerate():
        if thread.name.startswith(("read", "write", "commit")):
            thread.join(10)
    assert threading.active_count() <= before + 2


def test_what_is_left_out_is_told(asked):
    told = []
    found = list(degrade_engine.stream(count=PAIRS, on_reject=told.append, **asked))
    assert {one.path for one in told if one.role == "hr"} == {"cut.png"} and len(found) > PAIRS - 3


def test_a_pair_list_ends(photos, tmp_path):
    (tmp_path / "list.csv").write_text("hr\n" + "".join(f"{n % 4}.png\n" for n in range(9)) + "torn.png\n")
    asked = {"degrader": "bicubic", "hr": photos, "pair_list": tmp_path / "list.csv", "lr_size": 16}
    found = list(degrade_engine.stream(**asked))
    assert [pair.row["hr"]["path"] for pair in found] == [f"{n % 4}.png" for n in range(9)]
    assert [pair.number for pair in degrade_engine.stream(first=7, **asked)] == [7, 8]


def test_mistakes_are_said_at_once(asked, tmp_path, photos):
    for wrong in ({"first": -1}, {"every": 0}, {"count": 1.5}, {"first": True}):
        with pytest.raises(DegradeError, match="a whole number of at least"):
            degrade_engine.stream(**asked, **wrong)
    with pytest.raises(DegradeError, match="no usable HR"):
        degrade_engine.stream(degrader="bicubic", hr=photos)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "cut.png").write_bytes((photos / "cut.png").read_bytes())
    with pytest.raises(DegradeError, match=f"of {WINDOW} pairs in succession none could be made"):
        next(iter(degrade_engine.stream(degrader="bicubic", lr_size=16, hr=bad)))
