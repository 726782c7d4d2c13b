"""Claims in an object store: one holder of a piece of work, who may come to any end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from degrade_engine.bench.runs.s3_server import Server, writing_to
from degrade_engine.engine import artefact, objects
from degrade_engine.engine.objects import ObjectPath
from degrade_engine.engine.runners import claims
from degrade_engine.engine.runners.object_claims import ObjectClaims, at_work

from .children import holder

WORKER = """
import random, sys, time
from degrade_engine.engine.objects import ObjectPath
from degrade_engine.engine.runners.object_claims import ObjectClaims
out, seed, many = ObjectPath("s3://bucket/run"), int(sys.argv[1]), int(sys.argv[2])
dice = random.Random(seed)
with ObjectClaims(out) as mine:
    while open_ := sorted(set(map(str, range(many))) - set((out / "done").listed())):
        what = dice.choice(open_[:4])
        if mine.take(what):
            if not (out / "done" / what).exists():
                (out / "log" / f"{what}-{seed}-{time.time_ns()}").put(b"")
                (out / "done" / what).put(b"")
            mine.release(what)
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(objects.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    objects._store.cache_clear()
    with Server() as server, writing_to(server):
        yield server
    objects._store.cache_clear()


OUT = ObjectPath("s3://bucket/run")


def elsewhere(
    monkeypatch: pytest.MonkeyPatch, lease_s: float = 60.0, machine: str = "0123abcd"
) -> ObjectClaims:  # fmt: skip
    """Claims of what passes for a process on another machine."""
    with monkeypatch.context() as patch:
        patch.setattr(claims, "process_name", lambda: f"other-1-{machine}-{os.urandom(4).hex()}")
        return ObjectClaims(OUT, lease_s)


def take_within(mine: ObjectClaims, what: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not (got := mine.take(what)) and time.monotonic() < until:
        time.sleep(0.05)
    return got


def test_a_claim_is_one_processs_until_it_is_given_back(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with ObjectClaims(OUT) as mine, holder(OUT, "1") as child:
        assert child.got.strip() == "[True]"
        assert mine.take("0") and mine.take("0") and not mine.take("1")
        assert mine.others() == {child.name} and not mine.lost("0")
        assert {(one.name, one.shards) for one in at_work(OUT)} == {(mine.name, (0,)), (child.name, (1,))}
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.wait(10) == 0 and take_within(mine, "1", 5)
        with elsewhere(monkeypatch) as other:
            mine.release("1")
            assert take_within(other, "1", 5)
    assert server.objects("run") == {} and mine.warning == ""


def test_a_killed_process_frees_its_claims_at_once_on_its_machine(server: Server, tmp_path: Path) -> None:
    with holder(OUT, "1") as child:
        child.kill()
        child.wait()
        assert len(list(tmp_path.glob("degrade-engine-*"))) == 1
        with ObjectClaims(OUT) as mine:
            assert mine.take("1") and not mine.others()
            assert {"claims/1.0", "claims/1.1", f"claims/{child.name}"} <= set(server.objects("run"))
            mine.sweep()
            assert set(server.objects("run")) == {"claims/1.1", f"claims/{mine.name}"}
    assert server.objects("run") == {}


def test_a_process_elsewhere_is_dead_after_a_lease(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    other = elsewhere(monkeypatch, 3.0)
    with ObjectClaims(OUT, 3.0) as mine, other:
        assert other.take("1")
        until = time.monotonic() + 4
        while time.monotonic() < until:  # its heart beats
            assert not mine.take("1")
            time.sleep(0.2)
        other._ended.set()  # now it does not
        began = time.monotonic()
        assert take_within(mine, "1", 10) and time.monotonic() - began > 1
        assert other.lost("1")
        other.release("1")  # leaves the claim of its successor
        assert "claims/1.1" in server.objects("run") and "claims/1.0" not in server.objects("run")


def test_a_lock_that_is_not_there_says_nothing(server: Server, tmp_path: Path) -> None:
    """Containers share a kernel, and so a machine's name, but no temporary folder."""
    with holder(OUT, "1") as child:
        child.kill()
        child.wait()
        (tmp_path / f"degrade-engine-{child.name}" / "lock").unlink()
        with ObjectClaims(OUT) as mine:
            assert not mine.take("1")


def test_a_claim_that_could_not_be_given_back_is_later(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with ObjectClaims(OUT, 1.0) as mine:
        assert mine.take("1")
        with server.outage():
            monkeypatch.setattr("degrade_engine.engine.runners.object_claims.RELEASE_S", 0.1)
            mine.release("1")
        until = time.monotonic() + 5
        while "claims/1.0" in server.objects("run"):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert mine.take("1")


def test_an_end_in_an_outage_is_known_on_its_machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("degrade_engine.engine.runners.object_claims.RELEASE_S", 0.1)
    with elsewhere(monkeypatch, machine=artefact.this_machine()) as other:
        assert other.take("1")
        server._down = True
    server._down = False
    assert set(server.objects("run")) == {f"claims/{other.name}", "claims/1.0"}
    with ObjectClaims(OUT) as mine:
        assert mine.take("1") and not mine.others()


def test_processes_that_all_want_everything_share_it(server: Server) -> None:
    server.faults = {"503": 0.03, "lost answer": 0.03, "lost request": 0.03}
    children = [subprocess.Popen([sys.executable, "-c", WORKER, str(n), "24"]) for n in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    counts = Counter(name.split("/")[0] for name in server.objects("run"))
    assert (counts["done"], counts["log"]) == (24, 24), "something was done twice"


def test_a_store_without_conditional_puts_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_unconditional", set())
    objects._store.cache_clear()
    with Server(conditional=False) as server, writing_to(server), ObjectClaims(OUT) as mine:
        assert "one process at a time" in mine.warning.lower() and mine.take("1")
    objects._store.cache_clear()


def test_names_are_this_machines() -> None:
    assert artefact.process_name().split("-")[-2] == artefact.this_machine()
