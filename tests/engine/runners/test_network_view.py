"""Several machines on one folder that each see late, and in another order, what the others did there: a network file
system without one (far_view.py), and in any order. Nothing is lost, whoever is killed, and
the set has the same bytes."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from ..pair_sets import photographs, tree
from . import far_view
from .children import SHORT_LEASE, SLOW, start, wait_for, words

FAR = """
import sys
sys.path.insert(0, {here!r})
import far_view
from degrade_engine.engine import artefact
machine = lambda: "{machine:08x}"
artefact.this_machine = machine
from degrade_engine.engine.runners import claims
claims.this_machine = machine
view = far_view.install({root!r}, {lag}, {machine})
import atexit
atexit.register(lambda: print("late", view.late))
from degrade_engine.engine.pipeline import records
writing = records.write
def write(out, record):
    print("made", record.head.shard, flush=True)
    writing(out, record)
records.write = write
"""
LAG_S = 0.4
HERE = str(Path(__file__).parent)


def far(photos: Path, out: Path, machine: int, kind: str):
    code = SLOW + SHORT_LEASE.replace("0.5", "2.0") + FAR.format(here=HERE, root=str(out), lag=LAG_S, machine=machine)
    return start(words(photos, out, kind), code)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 90)


@pytest.mark.parametrize("kind", ["folder", "webdataset"])
@pytest.mark.parametrize("kills", [0, 1])
def test_machines_that_see_each_other_late_make_the_same_set(photos, tmp_path, kind, kills):
    alone = start(words(photos, tmp_path / "alone", kind))
    assert alone.wait(120) == 0
    out = tmp_path / "out"
    assert start(words(photos, out, kind, "--dry-run")).wait(120) == 0  # planned before the machines start
    machines = [far(photos, out, n, kind) for n in range(1, 4)]
    if kills:
        wait_for(lambda: len(list((out / "shards").glob("*.json"))) > 0)
        time.sleep(random.Random(0).uniform(0, 0.3))
        machines[0].kill()
    said = [one.communicate(timeout=120) for one in machines]
    for one, (stdout, stderr) in list(zip(machines, said, strict=True))[kills:]:
        # Who closes the books may not see every image yet: then it says so, and the same command goes on.
        assert one.returncode == 0 or "run again" in " ".join(stderr.split()), stderr + stdout
    made = [line.split()[1] for stdout, _ in said for line in stdout.splitlines() if line.startswith("made")]
    late = [int(line.split()[1]) for stdout, _ in said for line in stdout.splitlines() if line.startswith("late")]
    assert set(made) == {str(n) for n in range(6)} and any(late)
    assert start(words(photos, out, kind)).wait(120) == 0
    sets = ({name: data for name, data in tree(one).items() if not name.startswith("claims/")}
            for one in (out, tmp_path / "alone"))  # fmt: skip
    assert next(sets) == next(sets)


def test_the_view_is_late_for_what_others_do_and_not_for_ones_own(tmp_path, monkeypatch):
    for name in ("scandir", "stat", "unlink", "remove", "link", "replace", "rename", "mkdir"):
        monkeypatch.setattr(os, name, getattr(os, name))
    import builtins
    import io

    monkeypatch.setattr(os.path, "isdir", os.path.isdir)
    monkeypatch.setattr(builtins, "open", open)
    monkeypatch.setattr(io, "open", io.open)
    root = tmp_path / "root"
    root.mkdir()
    far_view.install(str(root), 0.2, 0)
    assert [one.name for one in os.scandir(root)] == []
    os.system(f"touch '{root}/others'")
    assert not (root / "others").exists() and [one.name for one in os.scandir(root)] == []
    (root / "own").write_text("x")
    assert (root / "own").read_text() == "x"
    with pytest.raises(FileExistsError):
        os.link(root / "own", root / "others")  # the server knows
    wait_for(lambda: (root / "others").exists(), 5)
    os.system(f"rm '{root}/others'")
    assert "others" in {one.name for one in os.scandir(root)}
    wait_for(lambda: "others" not in {one.name for one in os.scandir(root)}, 5)
