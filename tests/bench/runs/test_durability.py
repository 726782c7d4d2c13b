"""`bench durability`: the ways differ in nothing but what they bring to the disk, and a look sees what is not whole."""

import ctypes
from pathlib import Path

import pytest

from degrade_engine.bench.runs import durability
from degrade_engine.engine.errors import DegradeError

from ...engine.pair_sets import photographs, tree

LINE = ["generate", "--degrader", "bicubic", "--lr-size", "16", "--pairs", "4", "--shard-pairs", "2"]


def test_every_way_makes_the_same_set_and_a_look_at_it_is_timed(tmp_path):
    line = [*LINE, "--hr", str(photographs(tmp_path / "hr", 72))]
    sets = []
    for way in durability.WAYS:
        assert durability.timed(way, line, tmp_path / "out") > 0
        sets.append(tree(tmp_path / "out"))
    assert sets[0] == sets[1] == sets[2]
    row = durability.looked("folder", 4, tmp_path / "out")
    assert row["what"] == "going on" and row["look_us_a_pair"] > 0
    next((tmp_path / "out" / "gt").iterdir()).write_bytes(b"")
    with pytest.raises(DegradeError, match="does not hold what it should"):
        durability.looked("folder", 4, tmp_path / "out")
    with pytest.raises(DegradeError, match="exit code 2"):
        durability.timed("none", [*LINE, "--hr", str(tmp_path / "nowhere")], tmp_path / "out")


def test_syncfs_is_the_systems_and_its_errors_are_heard(tmp_path, monkeypatch):
    durability.syncfs([], tmp_path)
    system = ctypes.CDLL(None)
    system.syncfs = lambda handle: -1
    monkeypatch.setattr(ctypes, "CDLL", lambda *given, **more: system)
    monkeypatch.setattr(ctypes, "get_errno", lambda: 5)
    with pytest.raises(OSError, match="Input/output error"):
        durability.syncfs([], Path(tmp_path))
