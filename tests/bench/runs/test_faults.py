"""`bench faults`: the call that is meant fails, once, wherever it is made; and a few runs mend what it broke."""

import json
import os
import random
import re
import sys

import pytest

from degrade_engine import cli
from degrade_engine.bench.runs.faults import Seen, draw, wrongs
from degrade_engine.bench.runs.injection import Fault, Injector, pattern_of
from degrade_engine.engine.errors import DegradeError


@pytest.fixture(scope="module")
def injector(tmp_path_factory):
    try:
        return Injector(tmp_path_factory.mktemp("injector"))
    except DegradeError as why:
        pytest.skip(str(why))


READS = """
import os, sys, threading
def read(name):
    try:
        print(len(open(name, 'rb', 0).read()), file=sys.stderr, flush=True)
    except OSError as error:
        print(error.errno, file=sys.stderr, flush=True)
read('a.txt')
thread = threading.Thread(target=read, args=('./a.txt',)); thread.start(); thread.join()
if not os.fork():
    read(os.path.abspath('a.txt')); os._exit(0)
os.wait()
read('../beside.txt')
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path.resolve() / "watched"
    folder.mkdir()
    (folder / "a.txt").write_text("four")
    (folder.parent / "beside.txt").write_text("beside")
    return folder


def run(injector, folder, code, fault=None):
    return injector.run([sys.executable, "-c", code], [folder], fault, cwd=folder, patience_s=60)


def test_calls_of_threads_and_children_are_seen(injector, folder):
    ended = run(injector, folder, READS)
    assert ended.code == 0 and ended.hit is None and ended.said.split() == ["4", "4", "4", "6"]
    assert ended.calls.count(("openat", folder / "a.txt")) == 3
    assert {path for call, path in ended.calls if call == "read"} == {folder / "a.txt"}  # and not the one beside it


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_one_call_fails_and_no_other(injector, folder, nth):
    ended = run(injector, folder, READS, Fault("openat", r".*/a\.txt", nth, "ESTALE"))
    assert ended.said.split() == ["116" if n == nth else "4" for n in (1, 2, 3)] + ["6"]
    assert ended.hit == ("openat", folder / "a.txt")


def test_a_failed_call_is_not_made(injector, folder):
    code = "import os\nos.replace('a.txt', 'b.txt')"
    ended = run(injector, folder, code, Fault("rename", ".*", 1, "EIO"))
    assert ended.code == 1 and "[Errno 5]" in ended.said and os.listdir(folder) == ["a.txt"]


def test_what_hangs_is_killed(injector, folder):
    ended = injector.run(["sleep", "60"], [folder], patience_s=0.2)
    assert ended.code is None


def test_a_pattern_means_the_files_that_are_alike():
    lock = pattern_of("/out/claims/host-12-ab3f-99.lock")
    assert re.fullmatch(lock, "/out/claims/other_host-7-1234-00.lock")
    assert not re.fullmatch(lock, "/out/claims/host-12-ab3f-99")
    assert re.fullmatch(pattern_of("/out/lq/0000012.png"), "/out/lq/0000007.png")
    assert re.fullmatch(pattern_of("/out/plan.json"), "/out/plan.json")
    assert not re.fullmatch(pattern_of("/out/plan.json"), "/out/planXjson")


def test_every_kind_has_its_turn_before_another_comes_again():
    seen = {Seen("input", "read", "a"): 50, Seen("output", "fsync", "b"): 1, Seen("output", "write", "c"): 2}
    drawn = list(draw(seen, ("EIO", "ENOMEM"), random.Random(0)))
    assert len(drawn) == len(set(drawn)) == 50 * 2 + 1 + 2
    assert {fault.call for _, fault in drawn[:3]} == {"read", "fsync", "write"}
    assert {fault.error for kind, fault in drawn if kind.side == "output"} == {"EIO"}


def test_what_is_a_wrong_end():
    assert wrongs(0, "", same=True, mended=True) == []
    assert wrongs(2, "9 images\nError: no", same=False, mended=True) == []
    assert wrongs(0, "", same=False, mended=True) == ["other bytes with exit code 0"]
    assert wrongs(1, "Traceback (most recent call last)", same=False, mended=True) == ["traceback", "another exit code"]
    assert wrongs(2, "9 images", same=False, mended=False) == ["no sentence", "not mended"]
    assert wrongs(None, "", same=False, mended=True) == ["hung"]


@pytest.mark.parametrize(("sink", "processes"), [("folder", "1"), ("lmdb", "1"), ("webdataset", "3")])
def test_runs_mend_what_a_failing_call_broke(injector, tmp_path, samples, sink, processes):
    words = ["--hr", samples / "hr", "--reference", samples / "reference", "--sink", sink, "--processes", processes]
    out = tmp_path / "rows.jsonl"
    code = cli.main(["bench", "faults", *map(str, words), "--injections", "3", "-o", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 0, [row["failures"] for row in rows]
    assert 0 < sum(row["injections"] for row in rows) == sum(row["identical_second"] for row in rows)
    assert sum(row["injections"] + row["missed"] for row in rows) == 3
