"""A run is stopped while something hangs: a decode, a server, a worker. It ends all the same, and goes on later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from degrade_engine.bench.runs.kills import descendants, names, tree
from degrade_engine.cli import main

from ..pair_sets import photographs
from .children import SHORT_LEASE, SLOW, start, wait_for, words

HANGS = """
import time
from pathlib import Path
from degrade_engine.engine.inputs import {module}
def hangs(*given, **options):
    Path({reached!r}).touch()
    time.sleep(1000)
{module}.{name} = hangs
"""
AWAY = """
import fsspec, time
from pathlib import Path
from fsspec.implementations.local import LocalFileSystem
class Away(LocalFileSystem):
    protocol = "away"
    def cat_file(self, path, start=None, end=None, **more):
        if end is None:
            Path({reached!r}).touch()
            time.sleep(1000)
        return super().cat_file(path, start, end, **more)
fsspec.register_implementation("away", Away)
"""
BUSY = """
import hashlib, sys
from pathlib import Path
from degrade_engine.engine.pipeline.stops import listening
with listening(float(sys.argv[1])) as stop:
    Path(sys.argv[2]).touch()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes in one call, which no signal ends
"""
IMPATIENT = """
from degrade_engine.engine.runners import processes
processes.PATIENCE_S = 0.5
"""
TWICE = (signal.SIGINT, signal.SIGINT)
IN_TIME_S = 25  # what hangs, hangs for 1000 s; a busy machine takes seconds to end a process


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    assert main(words(photos, out)) == 0
    return tree(out)


def ended(process: subprocess.Popen[str], within: float) -> str:
    """What it said on stderr, if it ends within so many seconds."""
    began = time.monotonic()
    try:
        said = process.communicate(timeout=within)[1]
    finally:
        process.kill()
    assert time.monotonic() - began < within and "Traceback" not in said, said
    return said


@pytest.mark.parametrize(
    ("signals", "processes"), [((signal.SIGTERM,), ()), (TWICE, ()), ((signal.SIGTERM,), ("--processes", "2"))]
)
def test_a_decode_that_hangs_holds_no_stop_up(photos, whole, tmp_path, signals, processes):
    out, reached = tmp_path / "out", tmp_path / "reached"
    hangs = HANGS.format(module="reading", name="read", reached=str(reached))
    run = start(words(photos, out, "folder", *processes), hangs, tmp_path)
    wait_for(reached.exists)
    for number in signals:
        run.send_signal(number)
        time.sleep(0.2)
    said = ended(run, IN_TIME_S)
    assert run.returncode == 128 + signals[0] and "(0 of 6 shards)" in said
    assert main(words(photos, out)) == 0 and tree(out) == whole


def test_a_server_that_is_away_holds_no_stop_up(photos, tmp_path):
    pytest.importorskip("fsspec")
    reached = tmp_path / "reached"
    line = [word if word != str(photos) else f"away://{photos}" for word in words(photos, tmp_path / "out")]
    run = start([*line, "--grace", "2"], AWAY.format(reached=str(reached)))
    wait_for(reached.exists)
    run.send_signal(signal.SIGTERM)
    ended(run, IN_TIME_S)
    assert run.returncode == 128 + signal.SIGTERM


def test_ctrl_c_ends_a_scan_that_hangs(photos, tmp_path):
    reached = tmp_path / "reached"
    run = start(words(photos, tmp_path / "out"), HANGS.format(module="inventory", name="_look", reached=str(reached)))
    wait_for(reached.exists)
    run.send_signal(signal.SIGINT)
    assert "Interrupted." in ended(run, IN_TIME_S)
    assert run.returncode == 128 + signal.SIGINT


@pytest.mark.parametrize("grace", ["60", "0.5"])
def test_a_call_that_hears_no_signal_ends_at_the_second_one_or_with_the_grace(tmp_path, grace):
    reached = tmp_path / "reached"
    run = subprocess.Popen([sys.executable, "-c", BUSY, grace, str(reached)], stderr=subprocess.PIPE, text=True)
    wait_for(reached.exists)
    run.send_signal(signal.SIGTERM)
    if grace == "60":
        time.sleep(0.3)
        assert run.poll() is None
        run.send_signal(signal.SIGTERM)
    assert "Stopped at once" in ended(run, IN_TIME_S)
    assert run.returncode == 128 + signal.SIGTERM


def workers_of(parent: subprocess.Popen[str], out: Path) -> list[int]:
    """The pids of two workers, once both are at work."""
    wait_for(lambda: len([name for name in names(out / "claims") if "." not in name]) == 2)
    pids = [int(name.split("-")[1]) for name in names(out / "claims") if "." not in name]
    assert set(pids) <= set(descendants(parent.pid))
    return pids


def test_a_worker_that_hangs_is_ended_once_the_set_is_whole(photos, whole, tmp_path):
    out = tmp_path / "out"
    parent = start(words(photos, out, "folder", "--processes", "2"), SHORT_LEASE + SLOW + IMPATIENT, tmp_path)
    hung = workers_of(parent, out)[0]
    os.kill(hung, signal.SIGSTOP)
    said = ended(parent, 40)
    assert parent.returncode == 0, said
    assert "of 2 does not answer and is stopped" in said and not Path(f"/proc/{hung}").exists()
    there = {name: data for name, data in tree(out).items() if not name.startswith((".partial", "claims"))}
    assert there == whole
    assert main(words(photos, out)) == 0 and tree(out) == whole  # and nothing of it is left


@pytest.mark.parametrize("signals", [TWICE, (signal.SIGTERM,)])
def test_workers_that_all_hang_end_with_the_parent(photos, whole, tmp_path, signals):
    out = tmp_path / "out"
    parent = start(words(photos, out, "folder", "--processes", "2", "--grace", "1"), SLOW, tmp_path)
    hung = workers_of(parent, out)
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    for number in signals:
        parent.send_signal(number)
        time.sleep(0.2)
    said = ended(parent, IN_TIME_S)
    assert parent.returncode == 128 + signals[0] and "of 6 shards)" in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in hung)
    assert main(words(photos, out)) == 0 and tree(out) == whole


def test_a_set_that_nobody_can_tell_of_is_read_from_its_books(photos, whole, tmp_path):
    """The only worker is stopped right after run.json is there."""
    out = tmp_path / "out"
    stops = (
        IMPATIENT
        + """
import os, signal
from degrade_engine.engine.runners import runner
real = runner.finish
def finish(*given):
    page = real(*given)
    os.kill(os.getpid(), signal.SIGSTOP)
    return page
runner.finish = finish
"""
    )
    parent = start(words(photos, out, "folder", "--processes", "1"), stops, tmp_path)
    said, err = parent.communicate(timeout=60)
    assert parent.returncode == 0 and "96 of 96 pairs" in said, err
    assert json.loads((out / "run.json").read_text())["pairs"] == 96
    assert main(words(photos, out)) == 0 and tree(out) == whole


def test_a_command_ends_without_what_it_started(tmp_path):
    """A thread and a process that hang."""
    code = """
import multiprocessing, os, signal, threading, time
from degrade_engine.engine.pipeline.stops import leave
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,), daemon=True)
child.start()
os.kill(child.pid, signal.SIGSTOP)
threading.Thread(target=time.sleep, args=(1000,)).start()
print(child.pid, flush=True)
leave(3)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        child = int(process.stdout.readline())
        assert process.wait(10) == 3
        os.kill(child, signal.SIGKILL)
    finally:
        process.kill()
