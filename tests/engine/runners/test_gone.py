"""The output goes away, or holds what is not ours, or is finished by others while a process sleeps."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from degrade_engine.bench.runs.injection import Ended, Fault, Injector
from degrade_engine.bench.runs.kills import tree
from degrade_engine.cli import main
from degrade_engine.engine.errors import DegradeError

from ..pair_sets import KINDS, photographs
from .children import SHORT_LEASE, SLOW, start, wait_for, words


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("whole")
    for kind in KINDS:
        assert main(words(photos, folder / kind, kind)) == 0
    return {kind: tree(folder / kind) for kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "more"), [("folder", ()), ("lmdb", ()), ("webdataset", ()), ("folder", ("--processes", "2"))]
)
def test_an_output_that_is_deleted_is_one_sentence(photos, tmp_path, kind, more):
    out = tmp_path / "out"
    run = start(words(photos, out, kind, *more), SLOW, tmp_path)
    wait_for(lambda: len(list(out.glob("shards/0*.json"))) >= 2)
    os.rename(out, tmp_path / "elsewhere")
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 2 and said.count("Error:") == 1 and "Traceback" not in said, said
    assert f"{out} was removed while pairs were written to it" in said and not out.exists()


@pytest.fixture(scope="module")
def injector(tmp_path_factory: pytest.TempPathFactory) -> Injector:
    try:
        return Injector(tmp_path_factory.mktemp("tool"))
    except DegradeError as why:
        pytest.skip(str(why))


@pytest.mark.parametrize(
    ("kind", "more", "faults"),
    [
        ("folder", (), [(0.2, "ESTALE"), (0.5, "ENOENT")]), ("lmdb", (), [(0.7, "EIO"), (0.9, "EIO")]),
        ("webdataset", ("--processes", "2"), [(0.4, "EROFS")]),
    ],
)  # fmt: skip
def test_an_output_of_which_every_call_fails_is_one_sentence(photos, injector, tmp_path, kind, more, faults):
    def line(name: str) -> list[str]:
        return words(photos, tmp_path / name, kind, *more, "--pairs", "32", "--lease", "5")

    def run(name: str, fault: Fault | None = None) -> Ended:
        return injector.run([sys.executable, "-m", "degrade_engine", *line(name)], [tmp_path / name], fault)

    calls = len(run("whole").calls)
    for share, error in faults:
        ended = run(f"{share}", Fault("*", ".*", int(calls * share), error, on=True))
        assert ended.code == 2 and ended.said.count("Error:") == 1 and "Traceback" not in ended.said, ended.said
        assert main(line(f"{share}")) == 0
        assert tree(tmp_path / f"{share}") == tree(tmp_path / "whole")


SLEEPS = """
import os, signal
from degrade_engine.engine.runners import books, runner
def sleep():
    open({reached!r}, "w").close()
    os.kill(os.getpid(), signal.SIGSTOP)
rows, write = books.rows_in_order, runner.write_json_atomic
def rows_and_sleep(*given):
    for n, row in enumerate(rows(*given)):
        if n == {row}:
            sleep()
        yield row
def sleep_and_write(*given):
    if {row} < 0:
        sleep()
    write(*given)
books.rows_in_order, runner.write_json_atomic = rows_and_sleep, sleep_and_write
"""


@pytest.mark.parametrize(
    ("kind", "row", "gone"),
    [
        ("folder", 0, "the claims stay"), ("folder", 50, "the claims are gone"), ("folder", -1, "the claims stay"),
        ("lmdb", 95, "the claims are gone"), ("lmdb", -1, "the claims are gone"), ("webdataset", 50, "the claims stay"),
    ],
)  # fmt: skip
def test_who_sleeps_while_others_close_the_books_wakes_to_a_whole_set(photos, whole, tmp_path, kind, row, gone):
    out, reached = tmp_path / "out", tmp_path / "reached"
    sleeper = start(words(photos, out, kind), SHORT_LEASE + SLEEPS.format(reached=str(reached), row=row))
    wait_for(reached.exists)
    time.sleep(0.8)  # no heartbeat for longer than the lease
    other = start(words(photos, out, kind), SHORT_LEASE)
    assert other.wait(60) == 0, other.communicate()
    if gone == "the claims are gone":  # as another machine leaves it, which cannot see that the lock is held
        shutil.rmtree(out / "claims", ignore_errors=True)
    os.kill(sleeper.pid, signal.SIGCONT)
    said, err = sleeper.communicate(timeout=60)
    assert sleeper.returncode == 0 and "96 of 96 pairs" in said, err
    assert tree(out) == whole[kind]


@pytest.mark.parametrize("form", ["text", "bytes", "folder", "broken link"])
def test_what_others_put_among_the_claims_is_passed_over(photos, whole, tmp_path, form):
    out = tmp_path / "out"
    (out / "claims").mkdir(parents=True)
    strays = ["x", "0.tmp", "plan.swp", ".hidden", "README.md", "a-b.lock", "é.0", "-", "1.5.0"]
    for name in (*strays, "plan.5", "3.0"):  # the last two look like claims
        path = out / "claims" / name
        if form == "folder":
            path.mkdir()
        elif form == "broken link":
            path.symlink_to("nowhere")
        else:
            path.write_bytes(b"x" if form == "text" else os.urandom(5000))
            os.utime(path, (86400, 86400))
    assert main(words(photos, out)) == 0
    there = tree(out)
    assert {name: data for name, data in there.items() if not name.startswith("claims")} == whole["folder"]
    assert set(os.listdir(out / "claims")) >= set(strays)
    assert main(words(photos, out, "folder", "--processes", "2")) == 0
