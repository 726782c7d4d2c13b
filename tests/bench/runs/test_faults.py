"""`bench faults`: the call that is meant fails, once, wherever it is made; and a few runs mend what it broke."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter

import pytest

from degrade_engine import cli
from degrade_engine.bench.runs.faults import compile_tool, draw, pattern_of, wrongs
from degrade_engine.engine.errors import DegradeError


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    try:
        return compile_tool(tmp_path_factory.mktemp("tool"))
    except DegradeError as why:
        pytest.skip(str(why))


READS = """
import os, sys, threading
def read(name):
    try:
        print(name, len(open(name, 'rb', 0).read()), flush=True)
    except OSError as error:
        print(name, error.errno, flush=True)
read('a.txt')
thread = threading.Thread(target=read, args=('./a.txt',)); thread.start(); thread.join()
if not os.fork():
    read(os.path.abspath('a.txt')); os._exit(0)
os.wait()
read('../beside.txt')
"""


def watch(tool, folder, *fault, command=(sys.executable, "-c", READS)):
    """What the command printed, and the log's lines without the folder."""
    log = folder.parent / "log"
    words = [tool, log, *fault, "--", folder, "--", *command]
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines(), log.read_text().replace(f"{folder}/", "").splitlines()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "watched"
    folder.mkdir()
    (folder / "a.txt").write_text("four")
    (tmp_path / "beside.txt").write_text("beside")
    return folder


def test_calls_of_threads_and_children_are_seen(tool, folder):
    said, log = watch(tool, folder)
    assert [line.split()[-1] for line in said] == ["4", "4", "4", "6"]
    opened = [line for line in log if line.startswith("open") and line.endswith(" a.txt")]
    assert len(opened) == 3 and not any("beside" in line for line in log if line.startswith("read "))


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_one_call_fails_and_no_other(tool, folder, nth):
    said, log = watch(tool, folder, "openat", r".*/a\.txt", nth, 116)
    assert [line.split()[-1] for line in said] == ["116" if n == nth else "4" for n in (1, 2, 3)] + ["6"]
    assert [line for line in log if line.startswith("!")] == ["! openat a.txt"]


def test_a_failed_call_is_not_made(tool, folder):
    code = "import os\ntry: os.replace('a.txt', 'b.txt')\nexcept OSError as error: print(error.errno)"
    said, _ = watch(tool, folder, "rename", ".*", 1, 5, command=(sys.executable, "-c", code))
    assert said == ["5"] and os.listdir(folder) == ["a.txt"]


def test_the_commands_end_is_the_tools(tool, folder):
    words = [str(tool), str(folder.parent / "log"), "--", str(folder), "--", "sh", "-c", "exit 7"]
    assert subprocess.run(words, timeout=60).returncode == 7


def test_a_pattern_means_the_files_that_are_alike():
    lock = pattern_of("/out/claims/host-12-ab3f-99.lock")
    assert re.fullmatch(lock, "/out/claims/other_host-7-1234-00.lock")
    assert not re.fullmatch(lock, "/out/claims/host-12-ab3f-99")
    assert re.fullmatch(pattern_of("/out/lq/0000012.png"), "/out/lq/0000007.png")
    assert re.fullmatch(pattern_of("/out/plan.json"), "/out/plan.json")
    assert not re.fullmatch(pattern_of("/out/plan.json"), "/out/planXjson")


def test_every_kind_has_its_turn_before_another_comes_again():
    seen = Counter({("input", "read", "a"): 50, ("output", "fsync", "b"): 1, ("output", "write", "c"): 2})
    faults = list(draw(seen, ("EIO", "ENOMEM"), (), random.Random(0)))
    assert len(faults) == len(set(faults)) == 50 * 2 + 1 + 2
    assert {fault.call for fault in faults[:3]} == {"read", "fsync", "write"}
    assert {fault.error for fault in faults if fault.side == "output"} == {"EIO"}
    assert {fault.call for fault in draw(seen, ("EIO",), ("write",), random.Random(0))} == {"write"}


def test_what_is_a_wrong_end():
    assert wrongs(0, "", same=True, mended=True) == []
    assert wrongs(2, "Error: no", same=False, mended=True) == []
    assert wrongs(0, "", same=False, mended=True) == ["other bytes with exit code 0"]
    assert wrongs(1, "Traceback (most recent call last)", same=False, mended=True) == ["traceback", "another exit code"]
    assert wrongs(2, " \n", same=False, mended=False) == ["no sentence", "not mended"]
    assert wrongs(None, "", same=False, mended=True) == ["hung"]


@pytest.mark.parametrize(("sink", "processes"), [("folder", "1"), ("lmdb", "1"), ("webdataset", "3")])
def test_runs_mend_what_a_failing_call_broke(tool, tmp_path, samples, sink, processes):
    words = ["--hr", samples / "hr", "--reference", samples / "reference", "--sink", sink, "--processes", processes]
    out = tmp_path / "rows.jsonl"
    words += ["--call", "rename", "--call", "fsync"]
    code = cli.main(["bench", "faults", *map(str, words), "--injections", "2", "-o", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 0, [row["failures"] for row in rows]
    assert 0 < sum(row["injections"] for row in rows) == sum(row["identical_second"] for row in rows)
    assert sum(row["injections"] + row["missed"] for row in rows) == 2
