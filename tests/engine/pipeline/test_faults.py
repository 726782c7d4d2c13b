"""What goes wrong in the middle of a run, the engine, the disk, signals: nothing is lost, and the exit code says it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine.api import Engine
from degrade_engine.engine.inputs import sources
from degrade_engine.engine.pipeline import batches, stages
from degrade_engine.engine.runners import status
from degrade_engine.engine.sampling.batch import Begun
from degrade_engine.engine.sinks import sink

from ..pair_sets import photographs, tree

PAIRS = 24  # three shards of two batches of four


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


def words(engine: Path, photos: Path, out: Path, *more: object) -> list[str]:
    usual = ["--hr", photos, "--reference", photos, "--out", out, "--pairs", PAIRS, "--shard-pairs", 8, "--threads", 1]
    few = ["--candidates", 2, "--tau", "1:9", "--no-save-candidates"]
    return [str(word) for word in ["generate", "--engine", engine, *usual, *few, *more]]


@pytest.fixture(scope="module")
def whole(tiny_engine: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run without a fault."""
    out = tmp_path_factory.mktemp("whole") / "pairs"
    assert main(words(tiny_engine, photos, out)) == 0
    return out


def failing(monkeypatch: pytest.MonkeyPatch, *pairs: int) -> list[list[int]]:
    """Engines that raise for these pairs, or for all; returns the valid pairs of each call."""
    calls, real = [], Engine.begin

    def begin(self, batch, **options):
        calls.append([int(pair) for pair, valid in zip(batch.pairs, batch.valid, strict=True) if valid])
        if not pairs or set(pairs) & set(calls[-1]):
            raise RuntimeError("illegal memory access")
        return real(self, batch, **options)

    monkeypatch.setattr(Engine, "begin", begin)
    return calls


def test_a_pair_that_breaks_the_engine_is_named_and_its_neighbours_keep_their_bytes(
    tiny_engine, photos, whole, tmp_path, monkeypatch, capsys
):
    calls = failing(monkeypatch, 5, 17)
    out = tmp_path / "out"
    assert main(words(tiny_engine, photos, out)) == 3
    said = capsys.readouterr().out
    assert "22 of 24 pairs" in said and "2 pair: engine_error" in said
    refused = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert [(one["path"], one["reason"]) for one in refused] == [("5", "engine_error"), ("17", "engine_error")]
    assert refused[0]["detail"] == "RuntimeError: illegal memory access"
    assert [one.pair for one in status.status(out).failed] == [5, 17]
    there, wanted = tree(out), tree(whole)
    for gone in ("0000005", "0000017"):
        for role in ("gt", "lq"):
            del wanted[f"{role}/{gone}.png"]
    books = ("manifest.jsonl", "meta_info_GT.txt", "meta_info_pair.txt", "metadata.jsonl", "rejects.jsonl", "plan.json",
             "README.md")  # fmt: skip
    assert {k: v for k, v in there.items() if k not in books} == {k: v for k, v in wanted.items() if k not in books}
    lines = (whole / "manifest.jsonl").read_text().splitlines()
    assert (out / "manifest.jsonl").read_text().splitlines() == lines[:5] + lines[6:17] + lines[18:]
    assert len(calls) == 6 + 2 * 4  # two batches were run again, pair by pair


def test_a_broken_engine_stops_and_costs_no_pair(tiny_engine, photos, whole, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        calls = failing(patch)
        assert main(words(tiny_engine, photos, out)) == 2
    err = capsys.readouterr().err
    assert "fails on pair after pair" in err and "illegal memory access" in err and "Traceback" not in err
    assert not list(out.glob("shards/*.json")) and len(calls) == 2 * (1 + 4)  # a shard of which nothing was made
    with monkeypatch.context() as patch:
        patch.setattr(batches, "MOST_IN_SUCCESSION", 3)
        calls = failing(patch)
        assert main(words(tiny_engine, photos, out)) == 2
        assert len(calls) == 1 + 3
    assert main(words(tiny_engine, photos, out)) == 0
    assert tree(out) == tree(whole)


def test_an_engine_without_memory_stops_and_blames_no_pair(tiny_engine, photos, whole, tmp_path, monkeypatch, capsys):
    out, real = tmp_path / "out", Engine.begin
    said = "[ONNXRuntimeError] : 1 : FAIL : std::bad_alloc"

    def begin(self, batch, **options):
        if 5 in batch.pairs:
            raise RuntimeError(said)
        return real(self, batch, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "begin", begin)
        assert main(words(tiny_engine, photos, out)) == 2
    assert f"not enough memory ({said})" in capsys.readouterr().err.replace("\n", " ")
    assert "engine_error" not in "".join(path.read_text() for path in out.glob("shards/*.json"))
    assert main(words(tiny_engine, photos, out)) == 0 and tree(out) == tree(whole)


def test_a_reference_that_is_gone_stops_the_run_unless_it_may(tiny_engine, photos, whole, tmp_path, capsys):
    out, real = tmp_path / "out", tmp_path / "real"
    shutil.copytree(photos, real)
    asked = [*words(tiny_engine, photos, out, "--patience", 0)]
    asked[asked.index("--reference") + 1] = str(real)
    assert main([*asked, "--dry-run"]) == 0
    (real / "2.png").rename(tmp_path / "2.png")
    assert main(asked) == 2
    assert "real/2.png is not there (ENOENT)" in capsys.readouterr().err.replace("\n", "")
    (tmp_path / "2.png").rename(real / "2.png")
    assert main(asked) == 0 and tree(out) == tree(whole)
    for record in out.glob("shards/*.json"):
        record.unlink()
    (real / "2.png").unlink()
    assert main([*asked, "--allow-missing"]) == 0
    assert json.loads((out / "run.json").read_text())["rejects"] == {"reference: missing": 1}
    assert "skipped (--allow-missing): 1" in capsys.readouterr().out


def test_a_worker_says_what_it_cannot_read(tmp_path, monkeypatch, capsys):
    """The sentence of one process, by the one that was called."""
    out, photos = tmp_path / "out", photographs(tmp_path / "hr", 72)
    asked = ["generate", "--degrader", "bicubic", "--hr", photos, "--out", out, "--pairs", 70, "--lr-size", 16]
    asked = [str(word) for word in [*asked, "--processes", 2, "--patience", 0.1]]
    assert main([*asked, "--dry-run"]) == 0
    (photos / "3.png").rename(tmp_path / "3.png")
    monkeypatch.setattr(sources, "_there", lambda *_: True)  # of so few, this process would see it
    assert main(asked) == 2
    assert "hr/3.png is not there (ENOENT)" in capsys.readouterr().err.replace("\n", "")
    assert not (out / "run.json").exists()
    (tmp_path / "3.png").rename(photos / "3.png")
    assert main(asked) == 0


@pytest.mark.parametrize("kind", ["folder", "lmdb", "webdataset"])
def test_a_full_disk_stops_with_a_sentence_and_the_run_goes_on(
    tiny_engine, photos, whole, tmp_path, monkeypatch, capsys, kind
):
    def full(self, stem, *images):
        if stem == "0000014":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.out / "lq"))
        return real(self, stem, *images)

    out, real = tmp_path / "out", sink.Sink.write
    with monkeypatch.context() as patch:
        patch.setattr(sink.Sink, "write", full)
        assert main(words(tiny_engine, photos, out, "--sink", kind)) == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err and "run the same command to continue" in err and "Traceback" not in err
    assert main(words(tiny_engine, photos, out, "--sink", kind)) == 0
    if kind == "folder":
        assert tree(out) == tree(whole)


def test_a_disk_that_is_really_full(tiny_engine, photos, whole, tmp_path, capsys):
    out = tmp_path / "small"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(out)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        assert main(words(tiny_engine, photos, out)) == 2
        assert "No space left on device" in capsys.readouterr().err
        subprocess.run(["mount", "-o", "remount,size=20m", str(out)], check=True)
        assert main(words(tiny_engine, photos, out)) == 0
        assert tree(out) == tree(whole)
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_a_folder_that_takes_no_files(tiny_engine, photos, capsys):
    assert main(words(tiny_engine, photos, Path("/proc/pairs"))) == 2
    assert "cannot be written" in capsys.readouterr().err


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for a job in a script's background
from degrade_engine.cli import main
from degrade_engine.engine.api import Engine
from degrade_engine.engine.inputs import sources
fast = Engine.begin
def slow(self, batch, **options):
    made = fast(self, batch, **options)
    print("at work", flush=True)
    until = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < until:
        time.sleep(0.01)
    return made
Engine.begin = slow
sys.exit(main(sys.argv[2:]))
"""


def started(seconds: float, line: list[str]) -> subprocess.Popen:
    """The run in a process of its own, each batch taking so long, once its first batch is in the engine."""
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(seconds), *line], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert child.stdout is not None and child.stdout.readline() == "at work\n", child.communicate()[1]
    return child


@pytest.mark.parametrize("ending", ["the batch ends", "the second signal", "the grace ends"])
def test_sigterm_lets_the_batch_in_hand_end_and_commits(tiny_engine, photos, whole, tmp_path, ending):
    out, one_batch_a_shard = tmp_path / "out", ("--shard-pairs", 4)
    seconds, grace = (1.0, 20) if ending == "the batch ends" else (30.0, 0.5 if ending == "the grace ends" else 20)
    child = started(seconds, words(tiny_engine, photos, out, *one_batch_a_shard, "--grace", grace))
    child.send_signal(signal.SIGTERM)
    if ending == "the second signal":
        time.sleep(0.3)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
    said = child.communicate(timeout=15)[1]
    assert child.returncode == 143 and "Traceback" not in said
    made = 1 if ending == "the batch ends" else 0
    assert f"({made} of 6 shards)" in said and "Stopping after the current batch" in said
    assert len(list(out.glob("shards/*.json"))) == made
    assert main(words(tiny_engine, photos, out, *one_batch_a_shard)) == 0
    assert tree(out).keys() == tree(whole).keys()
    assert (out / "manifest.jsonl").read_bytes() == (whole / "manifest.jsonl").read_bytes()


def test_the_slowest_stage_is_named():
    assert stages.Flow(0.2, 0.7, 0.1, 0, 2, 0, 32).limit == "read"
    assert stages.Flow(0.2, 0.0, 0.7, 2, 2, 32, 32).limit == "write"


def test_queues_are_bounded_and_the_waits_are_told_apart():
    """A slow reader starves the engine; a slow writer blocks it; and nothing is read further ahead than agreed."""
    for read_s, write_s, limit in ((0.02, 0.0, "read"), (0.0, 0.02, "write")):
        loaded = []

        def load(pair, read_s=read_s, loaded=loaded):
            time.sleep(read_s)
            loaded.append(pair)
            return pair

        def write(write_s=write_s):
            time.sleep(write_s)
            return write_s

        with stages.Stages(1, behind=2, ahead=2) as line:
            for at, (shard, pairs) in enumerate(line.read(((n, [n]) for n in range(20)), load)):
                assert shard == pairs[0] == at and len(loaded) <= at + 3
                with line.timed("engine"):
                    time.sleep(0.001)
                line.write(write)
                assert line.flow().writing <= 2
            assert line.flow().limit == limit


def test_sums_of_a_run_are_in_its_page(whole):
    page = json.loads((whole / "run.json").read_text())
    assert sum(one["pairs"] for one in page["timeline"]) == PAIRS == sum(page["taus"].values())
    assert sum(page["scores"]["kept"].values()) == PAIRS == sum(page["scores"]["others"].values())
    seconds = page["seconds"]
    assert 0 < seconds["engine"] + seconds["starved"] + seconds["blocked"] <= seconds["wall"] + 0.01
    assert np.isclose(page["busy_share"], seconds["engine"] / seconds["wall"], atol=1e-3)


# --------------------------------------------------------------------------------- an engine that works by itself


def by_itself(monkeypatch: pytest.MonkeyPatch, *pairs: int, at: str = "result") -> list[tuple[str, int]]:
    """Engines whose results are made when they are asked for, as those of a GPU come later. Such of these pairs fail
    when they are begun, or then. Returns what was asked, with the batch's first pair."""
    asked, real = [], Engine.begin

    def begin(self, batch, **options):
        first = min(int(pair) for pair, valid in zip(batch.pairs, batch.valid, strict=True) if valid)
        broken = [pair for pair, valid in zip(batch.pairs, batch.valid, strict=True) if valid and pair in pairs]

        def fail(when: str) -> None:
            asked.append((when, first))
            if broken and when == at:
                raise RuntimeError("illegal memory access")

        def result():
            fail("result")
            return real(self, batch, **options).result()

        fail("begin")
        return Begun(False, result)

    monkeypatch.setattr(Engine, "begin", begin)
    return asked


def test_the_next_batch_is_begun_before_a_result_is_waited_for(tiny_engine, photos, whole, tmp_path, monkeypatch):
    asked, out = by_itself(monkeypatch), tmp_path / "out"
    assert main(words(tiny_engine, photos, out)) == 0
    assert tree(out) == tree(whole)
    whens, firsts = [when for when, _ in asked], [first for when, first in asked if when == "begin"]
    assert whens == ["begin", *["begin", "result"] * 5, "result"], "over the ends of shards too"
    assert [first for when, first in asked if when == "result"] == firsts and len(firsts) == PAIRS // 4


@pytest.mark.parametrize("at", ["begin", "result"])
def test_a_pair_that_breaks_it_is_named(tiny_engine, photos, whole, tmp_path, monkeypatch, at):
    by_itself(monkeypatch, 5, 17, at=at)
    out = tmp_path / "out"
    assert main(words(tiny_engine, photos, out)) == 3
    refused = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert [(one["path"], one["reason"]) for one in refused] == [("5", "engine_error"), ("17", "engine_error")]
    lines = (whole / "manifest.jsonl").read_text().splitlines()
    assert (out / "manifest.jsonl").read_text().splitlines() == lines[:5] + lines[6:17] + lines[18:]


INTERRUPTED = """
import os, signal, sys, time
from degrade_engine.cli import main
from degrade_engine.engine.api import Engine
from degrade_engine.engine.sampling.batch import Begun
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits "ignored"
real, asked = Engine.begin, []
def begin(self, batch, **options):
    if asked.count("begin") == 2:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
    asked.append("begin")
    def result():
        asked.append("result")
        return real(self, batch, **options).result()
    return Begun(False, result)
Engine.begin = begin
code = main(sys.argv[1:])
print(*asked)
sys.exit(code)
"""


def test_it_stops_with_what_it_has_begun(tiny_engine, photos, whole, tmp_path):
    """A signal while the last batch of the first shard is waited for: the batch that was begun after it is dropped with
    its shard, the shard is kept, and the next call goes on. In a process of its own, since a signal is all a process's.
    """
    out = tmp_path / "out"
    line = [sys.executable, "-c", INTERRUPTED, *words(tiny_engine, photos, out)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 130, done.stderr
    assert done.stdout.splitlines()[-1] == "begin begin result begin result result"
    assert [path.name for path in out.glob("shards/*.json")] == ["00000.json"]
    assert main(words(tiny_engine, photos, out)) == 0 and tree(out) == tree(whole)
