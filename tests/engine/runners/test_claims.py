"""Claims: one holder of a piece of work, who may come to any end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from degrade_engine.engine import artefact
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.runners import claims
from degrade_engine.engine.runners.claims import Claims

from .children import holder

WORKER = """
import random, sys, time
from pathlib import Path
from degrade_engine.engine.runners.claims import Claims
out, seed, many = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
dice = random.Random(seed)
with Claims(out) as mine:
    while True:
        open_ = [n for n in range(many) if not (out / f"done{n}").exists()]
        if not open_:
            break
        what = dice.choice(open_[:4])
        if mine.take(str(what)):
            if not (out / f"done{what}").exists():
                with open(out / "log", "a") as log:
                    log.write(f"{what} begins\\n")
                time.sleep(0.002)
                (out / f"done{what}").touch()
                with open(out / "log", "a") as log:
                    log.write(f"{what} ends\\n")
            mine.release(str(what))
"""


def another(out: Path, monkeypatch: pytest.MonkeyPatch) -> Claims:
    """Claims of what passes for another process."""
    with monkeypatch.context() as patch:
        patch.setattr(claims, "process_name", lambda: f"other-1-{artefact.this_machine()}-{os.urandom(4).hex()}")
        return Claims(out)


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "claims").iterdir())


def test_one_of_two_has_it_and_a_leaver_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another(tmp_path, monkeypatch) as other:
        with Claims(tmp_path) as mine:
            assert mine.take("00001") and mine.take("00001") and not other.take("00001")
            assert other.take("00002") and not mine.take("00002")
            assert mine.others() == {other.name} and other.others() == {mine.name}
            assert not mine.lost("00001")
            mine.release("00001")
            assert other.take("00001")
            assert {name for name in names(tmp_path) if name[0] == "0"} == {"00001.0", "00002.0"}
        assert {name for name in names(tmp_path) if name[0] != "0"} == {other.name, f"{other.name}.lock"}
    assert not (tmp_path / "claims").exists()


def test_a_killed_process_frees_its_claims_at_once_on_its_machine(tmp_path: Path) -> None:
    with Claims(tmp_path) as mine, holder(tmp_path, "00001") as child:
        assert child.got.strip() == "[True]"  # type: ignore[attr-defined]
        assert not mine.take("00001") and mine.others() == {child.name}  # type: ignore[attr-defined]
        child.kill()
        child.wait()
        assert mine.others() == frozenset() and mine.take("00001")
        assert {"00001.0", "00001.1"} <= set(names(tmp_path))
        mine.release("00001")
        assert not [name for name in names(tmp_path) if name[0] == "0"]
        mine.sweep()
        assert names(tmp_path) == [mine.name, f"{mine.name}.lock"]


def test_a_stopped_process_loses_its_claims_after_a_lease_and_knows_it(tmp_path: Path) -> None:
    with Claims(tmp_path, 0.5) as mine, holder(tmp_path, "00001", lease_s=0.5) as child:
        time.sleep(0.7)
        assert not mine.take("00001")  # it lives, and says so
        os.kill(child.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 20
        while not mine.take("00001") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not mine.lost("00001")
        os.kill(child.pid, signal.SIGCONT)
        time.sleep(0.3)
        assert not mine.lost("00001")  # its heartbeat goes on, and takes nothing back
        child.communicate("\n", timeout=20)  # it leaves in order, and leaves what is another's
        assert not mine.lost("00001") and "00001.1" in names(tmp_path)


def test_who_was_superseded_has_lost_and_its_release_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claims(tmp_path) as mine:
        assert mine.take("00001")
        (tmp_path / "claims" / "00001.1").write_text("far-9-eeeeeeee-00000000")
        assert mine.lost("00001")
        mine.release("00001")
        assert "00001.1" in names(tmp_path) and "00001.0" not in names(tmp_path)
        assert mine.take("00001")  # nobody has the name that is written there


def test_another_machine_is_judged_by_its_heartbeat_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its locks cannot be seen from here: alive within the lease, dead after it, whatever any clock says."""
    with Claims(tmp_path, 60) as mine:
        far = tmp_path / "claims" / "far-7-eeeeeeee-00000000"
        far.write_text(far.name)
        os.link(far, tmp_path / "claims" / "00003.0")
        monkeypatch.setattr(time, "time", lambda: 0.0)  # no clock but the file system's counts
        assert mine.others() == {far.name} and not mine.take("00003")
        now = far.stat().st_mtime
        os.utime(far, (now - 55, now - 55))
        assert not mine.take("00003")
        os.utime(far, (now - 61, now - 61))
        assert mine.others() == frozenset() and mine.take("00003")


def test_a_claim_that_was_cut_short_counts_for_a_lease(tmp_path: Path) -> None:
    """Where there are no hard links, a kill may leave a claim without a name."""
    with Claims(tmp_path, 60) as mine:
        empty = tmp_path / "claims" / "00004.0"
        empty.touch()
        assert not mine.take("00004")
        now = empty.stat().st_mtime
        os.utime(empty, (now - 61, now - 61))
        assert mine.take("00004")


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(claims.os, "link", refuse)
    with Claims(tmp_path) as mine:
        assert mine.take("00001") and not mine.lost("00001")
        with another(tmp_path, monkeypatch) as other:
            assert not other.take("00001")


def test_processes_that_contend_and_die_never_work_on_one_thing_at_once(tmp_path: Path) -> None:
    """Four processes on sixty things; two are killed on the way, and others come in their place."""
    many = 60

    def start(seed: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), str(seed), str(many)])

    workers = [start(seed) for seed in range(4)]
    for seed, victim in enumerate(workers[:2]):
        deadline = time.monotonic() + 30
        while len(list(tmp_path.glob("done*"))) < 10 * (seed + 1) and time.monotonic() < deadline:
            time.sleep(0.002)
        victim.kill()
        victim.wait()
        workers.append(start(10 + seed))
    assert [worker.wait(60) for worker in workers[2:]] == [0] * 4
    lines = (tmp_path / "log").read_text().splitlines()
    began, open_ = Counter[str](), set[str]()
    for line in lines:
        what, word = line.split()
        if word == "begins":
            began[what] += 1
            open_.add(what)
        else:
            assert what in open_, f"{what} was worked on by two at once"
            open_.remove(what)
    assert len(began) == many and sum(began.values()) <= many + 2 and len(open_) <= 2
    with Claims(tmp_path) as mine:
        mine.sweep()
    assert not (tmp_path / "claims").exists()


def test_alone_waits_for_the_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    with another(tmp_path, monkeypatch) as other:
        with Claims(tmp_path) as mine:

            def second() -> None:
                with other.alone("finish", poll_s=0.01):
                    order.append("second")

            with mine.alone("finish"):
                thread = threading.Thread(target=second)
                thread.start()
                time.sleep(0.1)
                order.append("first")
            thread.join(20)
    assert order == ["first", "second"]


def test_the_last_that_leaves_and_the_first_that_comes_do_not_disturb_each_other(tmp_path: Path) -> None:
    def come_and_go(n: int) -> None:
        mine = Claims(tmp_path)
        mine.name = f"thread-{n}-{artefact.this_machine()}-0000000{n}"
        mine._heartbeat = tmp_path / "claims" / mine.name
        for turn in range(30):
            with mine:
                assert mine.take(f"{n}-{turn}")

    threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(3)]
    failed: list[object] = []
    threading.excepthook, before = lambda args: failed.append(args.exc_value), threading.excepthook
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    threading.excepthook = before
    assert failed == [] and not (tmp_path / "claims").exists()


def test_an_own_claim_that_could_not_be_removed_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink, refused = Path.unlink, []

    def once(path: Path, missing_ok: bool = False) -> None:
        if path.name == "plan.0" and not refused:
            refused.append(path)
            raise OSError(5, "Input/output error")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", once)
    with Claims(tmp_path) as mine:
        assert mine.take("plan")
        mine.release("plan")
        assert refused and (tmp_path / "claims" / "plan.0").exists()
        assert mine.take("plan")
        mine.release("plan")
    assert not (tmp_path / "claims").exists()


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DegradeError, match="cannot be written"), Claims(tmp_path / "file"):
        pass


def test_a_claim_that_could_not_be_given_back_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its own process, which may take it again, nor the end."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with Claims(tmp_path) as mine:
        assert mine.take("plan")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            mine.release("plan")
        assert mine.take("plan") and not mine.lost("plan")
    assert not (tmp_path / "claims").exists()


def test_a_folder_that_others_removed_is_made_anew_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Claims(out) as mine:
        assert mine.take("1")
        shutil.rmtree(out / "claims")
        assert mine.lost("1") and mine.others() == frozenset()
        mine.release("1")
        assert mine.take("1") and not mine.lost("1")
        shutil.rmtree(out)
        for ask in (mine.others, lambda: mine.take("2")):
            with pytest.raises(FileNotFoundError):
                ask()
        mine.release("1")
    assert not out.exists()
