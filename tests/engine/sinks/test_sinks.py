"""Every kind of sink keeps one contract: trainers read it, its bytes depend on the plan alone, and a kill changes none.

The readers below are written from the descriptions of the loaders, not from the sinks; the libraries lmdb and
webdataset read too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import webdataset

from degrade_engine.cli import main
from degrade_engine.engine import images, sinks
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sinks import lmdb as sink_lmdb
from degrade_engine.engine.sinks import tars
from degrade_engine.engine.sinks.contract import stem_of

from ..pair_sets import KINDS, PAIRS, PARQUET, generate, photographs, put, tree, words

Read = dict[str, tuple[np.ndarray, np.ndarray]]  # key -> GT and LQ, BGR as OpenCV decodes them


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.fixture(scope="module")
def runs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each kind, to be read only."""
    folder = tmp_path_factory.mktemp("runs")
    for kind in KINDS:
        assert generate(kind, photos, folder / kind) == 0
    return {kind: folder / kind for kind in KINDS}


def decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    return image


def by_name(out: Path) -> Read:
    """BasicSR's folders, neosr's: every file is a pair, the LQ has the GT's name."""
    assert len(os.listdir(out / "gt")) == len(os.listdir(out / "lq"))
    return {
        os.path.splitext(name)[0]: tuple(decoded((out / role / name).read_bytes()) for role in ("gt", "lq"))
        for name in os.listdir(out / "gt")
    }


def by_position(out: Path) -> Read:
    """KAIR's folders: the n-th of one list with the n-th of the other."""
    lists = [sorted(str(path) for path in (out / role).rglob("*")) for role in ("gt", "lq")]
    return {Path(a).stem: (cv2.imread(a), cv2.imread(b)) for a, b in zip(*lists, strict=True)}


def by_meta_info(out: Path) -> Read:
    """Real-ESRGAN's paired list: two paths a line, relative to one folder."""
    lines = [line.strip().split(", ") for line in open(out / "meta_info_pair.txt")]
    return {Path(gt).stem: (cv2.imread(str(out / gt)), cv2.imread(str(out / lq))) for gt, lq in lines}


def by_lmdb_keys(out: Path) -> Read:
    """BasicSR's databases: keys are the meta file's lines up to the first dot, and have to be the same in both."""
    keys = {}
    for role in ("gt", "lq"):
        folder = str(out / f"{role}.lmdb")
        assert folder.endswith(".lmdb") and {"data.mdb", "lock.mdb", "meta_info.txt"} == set(os.listdir(folder))
        with open(folder + "/meta_info.txt") as lines:
            keys[role] = [line.split(".")[0] for line in lines]
    assert set(keys["gt"]) == set(keys["lq"])
    found: dict[str, list[np.ndarray]] = {key: [] for key in sorted(keys["gt"])}
    for role in ("gt", "lq"):
        client = lmdb.open(str(out / f"{role}.lmdb"), readonly=True, lock=False, readahead=False)
        with client.begin(write=False) as transaction:
            assert transaction.stat()["entries"] == len(found)
            for key in found:
                found[key].append(decoded(transaction.get(key.encode("ascii"))))
        client.close()
    return {key: (gt, lq) for key, (gt, lq) in found.items()}


def by_tar_members(out: Path) -> Read:
    """WebDataset's grouping, from its description: neighbours with one base name up to the first dot, read as a
    stream; a key is never met again.
    """
    samples: list[tuple[str, dict[str, bytes]]] = []
    for path in sorted((out / "webdataset").iterdir()):
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                key, ending = re.fullmatch(r"((?:.*/)?[^.]+)\.([^/]*)", member.name).groups()
                if not samples or samples[-1][0] != key:
                    samples.append((key, {}))
                assert ending not in samples[-1][1] and member.isreg()
                samples[-1][1][ending] = tar.extractfile(member).read()
    assert len({key for key, _ in samples}) == len(samples)
    return {key: (decoded(parts["gt.png"]), decoded(parts["lq.png"])) for key, parts in samples}


def by_webdataset(out: Path) -> Read:
    """The library itself; the JSON beside a pair is its manifest row."""
    rows = {row["name"]: row for row in map(json.loads, open(out / "manifest.jsonl"))}
    urls = sorted(str(path) for path in (out / "webdataset").iterdir())
    found = {}
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"):
        assert sample["json"] == rows[sample["__key__"]]
        found[sample["__key__"]] = (sample["gt.png"][..., ::-1], sample["lq.png"][..., ::-1])
    return found


@pytest.mark.parametrize(
    ("kind", "read"),
    [("folder", by_name), ("folder", by_position), ("folder", by_meta_info), ("lmdb", by_lmdb_keys),
     ("webdataset", by_tar_members), ("webdataset", by_webdataset)],
)  # fmt: skip
def test_a_stranger_reads_the_pairs(runs: dict[str, Path], photos: Path, kind: str, read: Callable[[Path], Read]):
    found = read(runs[kind])
    rows = [json.loads(line) for line in open(runs[kind] / "manifest.jsonl")]
    assert list(sorted(found)) == [row["name"] for row in rows] == [f"{n:07d}" for n in range(PAIRS)]
    for row in rows:
        y, x, h, w = row["hr"]["crop"]
        hr = images.read_rgb(photos / row["hr"]["path"])[y : y + h, x : x + w]
        gt, lq = found[row["name"]]
        assert np.array_equal(gt[..., ::-1], hr)
        assert np.array_equal(lq[..., ::-1], images.resize_bicubic(hr, (16, 16)))


def test_all_kinds_hold_the_same_pairs_and_books(runs: dict[str, Path]):
    for kind in KINDS[1:]:
        for name in ("manifest.jsonl", "rejects.jsonl"):
            assert (runs[kind] / name).read_bytes() == (runs["folder"] / name).read_bytes()
    top = {kind: {path.name for path in runs[kind].iterdir()} for kind in KINDS}
    books = {
        "plan.json",
        "inventory.jsonl",
        "run.json",
        "shards",
        "manifest.jsonl",
        "rejects.jsonl",
        "extra",
        "README.md",
    }
    assert top["lmdb"] | {"extra"} == books | {"gt.lmdb", "lq.lmdb"}
    for kind in KINDS[2:]:
        assert top[kind] | {"extra"} == books | {kind}
    metas = {"meta_info_GT.txt", "meta_info_pair.txt", "metadata.jsonl"}
    assert top["folder"] | {"extra"} == books | metas | {"gt", "lq"}
    names = sorted(path.name for path in (runs["webdataset"] / "webdataset").iterdir())
    assert names == ["pairs-00000.tar", "pairs-00001.tar"]
    lines = (runs["lmdb"] / "gt.lmdb" / "meta_info.txt").read_text().splitlines()
    assert lines == [f"{n:07d}.png (64,64,3) 1" for n in range(PAIRS)]


def test_the_report_shows_the_same_images_of_every_kind(runs: dict[str, Path], tmp_path: Path):
    shown = {}
    for kind in KINDS:
        assert main(["report", str(runs[kind]), "-o", str(tmp_path / f"{kind}.html"), "--limit", "3"]) == 0
        shown[kind] = re.findall("<article.*</article>", (tmp_path / f"{kind}.html").read_text(), re.DOTALL)
    assert shown["folder"] and shown["folder"] == shown["lmdb"] == shown["webdataset"]
    assert not PARQUET or shown["parquet"] == shown["folder"]


def test_the_bytes_know_no_clock_user_or_order(tmp_path):
    """The same pairs, written by eight threads in reverse, under another umask and a day later."""
    gt = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), np.uint8)
    rows = [{"name": stem_of(n)} for n in range(24)]
    for kind in KINDS:
        for name, threads in (("one", 1), ("many", 8)):
            sink, mask = sinks.open_sink(kind, tmp_path / kind / name), os.umask(0o077 if threads == 1 else 0o002)
            for shard, part in enumerate((range(16), range(16, 24))):
                with ThreadPoolExecutor(threads) as pool:
                    order = part if threads == 1 else part[::-1]
                    list(pool.map(lambda n, sink=sink: sink.write(stem_of(n), gt[n], gt[n, ::4, ::4]), order))
                sizes = sink.commit(shard, [rows[n] for n in order])
                assert sink.holds(shard, [stem_of(n) for n in order], sizes)
                assert sink.holds(shard, [stem_of(n) for n in order], {})
            sink.finish(iter(rows), [])
            os.umask(mask)
            for path in (tmp_path / kind / name).rglob("*"):
                os.utime(path, (86400 * threads, 86400 * threads))
        assert tree(tmp_path / kind / "one") == tree(tmp_path / kind / "many")


VICTIM = """
import json, os, signal, sys
from degrade_engine.cli import main
from degrade_engine.engine import api  # once, before the forks
from degrade_engine.engine.runners import runner
from degrade_engine.engine.sampling import starts
from degrade_engine.engine.sinks import lmdb, tars, webdataset

words, outs, shares = json.loads(sys.argv[1])
steps, end = [0], [None]

def step():
    steps[0] += 1
    if steps[0] == end[0]:
        os.kill(os.getpid(), signal.SIGKILL)

def around(function):
    def stepping(*args, **options):
        step()
        made = function(*args, **options)
        step()
        return made
    return stepping

def between(function):
    def stepping(*args, **options):
        for one in function(*args, **options):
            step()
            yield one
    return stepping

os.replace, os.fsync, os.unlink = around(os.replace), around(os.fsync), around(os.unlink)
tars.samples = between(tars.samples)
webdataset.TarSink._members = between(webdataset.TarSink._members)

def alone(out, at):
    # In a process of its own, killed before step `at`; returns its end, and the steps that it took where it lived.
    read, write = os.pipe()
    child = os.fork()
    if not child:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        end[0] = at
        code = main([*words, "--out", out])
        os.write(write, str(steps[0]).encode())
        os._exit(code)
    os.close(write)
    said = os.read(read, 20)
    return os.waitpid(child, 0)[1], int(said or 0)

total = alone(outs[0], None)[1]
said = [total]
for out, share in zip(outs[1:], shares):
    at = max(1, round(share * total))
    ends = [alone(out, at)[0], alone(out, 1 + at // 2)[0]]  # killed, killed again on the way back
    said.append([os.WIFSIGNALED(ends[0]), alone(out, None)[0]])
print(json.dumps(said))
"""
SHARES = (0.01, 0.5, 0.85, 0.96)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_at_any_step_goes_on_to_the_same_bytes(runs, photos, tmp_path, kind):
    """SIGKILL of real processes before and after renames, removals, tar members and puts, twice for each run."""
    outs = [str(tmp_path / str(n)) for n in range(len(SHARES) + 1)]
    line = json.dumps([words(kind, photos, Path("unused")), outs, SHARES])
    done = subprocess.run([sys.executable, "-c", VICTIM, line], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    total, *killed = json.loads(done.stdout)
    assert total > 60
    for out, (died, code) in zip(outs[1:], killed, strict=True):
        assert died and code == 0
        assert tree(Path(out)) == tree(runs[kind]), out
    assert tree(Path(outs[0])) == tree(runs[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_vanished_is_made_again_and_nothing_else(runs, photos, tmp_path, kind):
    from degrade_engine.engine.pipeline import generate as shards

    out = tmp_path / "out"
    shutil.copytree(runs[kind], out)
    done, real = [], shards.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "run", lambda plan, shard, **rest: done.append(shard) or real(plan, shard, **rest))
        assert generate(kind, photos, out) == 0
        assert done == [] and tree(out) == tree(runs[kind])
        if kind == "folder":
            (out / "lq" / "0000019.png").unlink()
        elif kind == "lmdb":
            shutil.rmtree(out / "lq.lmdb")
        else:
            next((out / kind).glob("pairs-00001.*")).unlink()
        assert generate(kind, photos, out) == 0
        assert done == ([0, 1] if kind == "lmdb" else [1])  # a database is one thing
        assert tree(out) == tree(runs[kind])
        if kind == "lmdb":
            put(out, kind, "0000003", "gt", None)
            assert generate(kind, photos, out) == 0
            assert done == [0, 1, 0, 1] and tree(out) == tree(runs[kind])


def test_a_torn_record_of_a_finished_lmdb_run_makes_one_shard_again(runs, photos, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(runs["lmdb"], out)
    (out / "shards" / "00000.json").write_text("{")
    assert generate("lmdb", photos, out) == 0
    assert tree(out) == tree(runs["lmdb"])


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_does_not_go_on_with_a_run(runs, photos, capsys, kind):
    other = KINDS[(KINDS.index(kind) + 1) % len(KINDS)]
    before = tree(runs[kind])
    assert generate(other, photos, runs[kind]) == 2
    assert f"sink was {kind} and is now {other}" in capsys.readouterr().err
    assert tree(runs[kind]) == before


@pytest.mark.parametrize("kind", KINDS)
def test_finish_refuses_what_is_no_pair_of_the_run(tmp_path, kind):
    gt = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    rows = [{"name": "0000000"}, {"name": "0000001"}]

    def filled(name: str) -> tuple[Path, sinks.Sink]:
        sink = sinks.open_sink(kind, tmp_path / name)
        for row in rows:
            sink.write(row["name"], gt, gt[::4, ::4])
        sink.commit(0, rows)
        return tmp_path / name, sink

    for name, wrong, said in (
        ("more", [*rows, {"name": "0000002"}], "0000002"),
        ("fewer", rows[:1], "0000001"),
        ("twice", [*rows, rows[0]], "Two rows"),
    ):
        out, sink = filled(name)
        with pytest.raises(DegradeError, match=said):
            sink.finish(wrong, [])
        assert not (out / "manifest.jsonl").exists() and not (out / "gt.lmdb").exists()
        sink.finish(rows, [])
        assert (out / "manifest.jsonl").exists()
    if kind != "lmdb":  # nobody reads among an LMDB's shards
        out, sink = filled("stray")
        (out / ("gt" if kind == "folder" else kind) / "Thumbs.db").touch()
        with pytest.raises(DegradeError, match="Thumbs.db"):
            sink.finish(rows, [])


def test_shards_without_a_pair_and_a_run_without_one(tmp_path):
    gt = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for kind in KINDS[1:]:
        sink = sinks.open_sink(kind, tmp_path / kind)
        sink.commit(0, [])
        sink.finish([], [])
        sink = sinks.open_sink(kind, tmp_path / kind)
        sink.write("0000000", gt, gt[::4, ::4])
        sink.commit(1, [{"name": "0000000"}])
        if kind == "lmdb":  # the databases are whole and have only to be made again
            sink.commit(0, [])
        sink.finish([{"name": "0000000"}], [])
    assert len(by_webdataset(tmp_path / "webdataset")) == len(by_lmdb_keys(tmp_path / "lmdb")) == 1


def test_a_tar_that_is_cut_short_is_said(runs, tmp_path):
    whole = (runs["webdataset"] / "webdataset" / "pairs-00000.tar").read_bytes()
    for cut in (100, len(whole) // 2, 700):
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        with pytest.raises(DegradeError, match="not a whole tar"):
            list(tars.samples(tmp_path / "cut.tar"))


def test_a_missing_library_is_one_sentence_before_anything_is_made(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sinks, "find_spec", lambda name: None)
    for kind, extra in (("lmdb", "sinks"), ("parquet", "parquet")):
        assert generate(kind, photos, tmp_path / "out") == 2
        said = capsys.readouterr().err
        assert f"pip install 'degrade-engine[{extra}]'" in said and "Traceback" not in said
        assert not (tmp_path / "out").exists()


def test_a_full_database_is_an_error_of_the_disk(photos, tmp_path, capsys, monkeypatch):
    whole = sink_lmdb.Writer
    monkeypatch.setattr(sink_lmdb, "Writer", lambda path, size, *rest: whole(path, 2**16, *rest))
    assert generate("lmdb", photos, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said and "MAP_FULL" in said and "run the same command to continue" in said
    monkeypatch.undo()
    assert generate("lmdb", photos, tmp_path / "out") == 0
    assert len(by_lmdb_keys(tmp_path / "out")) == PAIRS
