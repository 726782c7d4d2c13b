"""The folder of pairs: exact text, exact bytes, only whole files, refusal of what trainers refuse."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sinks import sink as sinks
from degrade_engine.engine.sinks.contract import check_stem, stem_of
from degrade_engine.engine.sinks.folder import FolderSink


def pair(seed, size=(12, 16), scale=4):
    rng = np.random.default_rng(seed)
    height, width = size
    return (
        rng.integers(0, 256, (height * scale, width * scale, 3), dtype=np.uint8),
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
    )


def tree(out):
    """Every file below `out` with the hash of its bytes."""
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_folder_is_exactly_the_contract(tmp_path):
    out = tmp_path / "new" / "pairs"
    sink = FolderSink(out)
    rows = []
    for index, size in enumerate([(12, 16), (8, 9)]):
        sink.write(stem_of(index), *pair(index, size))
        rows.append({"name": stem_of(index), "hr": {"path": "é\u2028.png"}, "score": None})
    sink.finish(rows, [{"path": "x.png", "reason": "empty"}])
    assert sorted(tree(out)) == [
        "gt/0000000.png", "gt/0000001.png", "lq/0000000.png", "lq/0000001.png",
        "manifest.jsonl", "meta_info_GT.txt", "meta_info_pair.txt", "metadata.jsonl", "rejects.jsonl",
    ]  # fmt: skip
    assert (out / "meta_info_GT.txt").read_bytes() == b"0000000.png (48,64,3)\n0000001.png (32,36,3)\n"
    assert (out / "meta_info_pair.txt").read_bytes() == (
        b"gt/0000000.png, lq/0000000.png\ngt/0000001.png, lq/0000001.png\n"
    )
    lines = (out / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert (out / "rejects.jsonl").read_text() == '{"path": "x.png", "reason": "empty"}\n'
    for index, size in enumerate([(12, 16), (8, 9)]):
        for role, wanted in zip(("gt", "lq"), pair(index, size), strict=True):
            stored = cv2.imread(str(out / role / f"{stem_of(index)}.png"), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(stored[..., ::-1], wanted)


def test_the_same_pairs_give_the_same_bytes_whatever_the_threads(tmp_path):
    stems = [stem_of(index) for index in range(24)]
    for name, threads in (("one", 1), ("many", 8)):
        sink = FolderSink(tmp_path / name)
        with ThreadPoolExecutor(threads) as pool:
            order = stems if threads == 1 else stems[::-1]
            list(pool.map(lambda stem, sink=sink: sink.write(stem, *pair(int(stem))), order))
        sink.finish(({"name": stem} for stem in stems), [])
    assert tree(tmp_path / "one") == tree(tmp_path / "many")


def test_extra_images_lie_apart(tmp_path):
    sink = FolderSink(tmp_path)
    sink.write("0000000", *pair(0))
    sink.write_extra("candidate0/0000000", pair(0)[1])
    sink.finish([{"name": "0000000"}], [])
    assert (tmp_path / "extra" / "candidate0" / "0000000.png").is_file()
    assert [one.name for one in (tmp_path / "gt").iterdir()] == ["0000000.png"]
    for name in ("0000000", "../gt/0000000", "a/../b", "A/0000000", "a/"):
        with pytest.raises(DegradeError):
            sink.write_extra(name, pair(0)[1])


@pytest.mark.parametrize("stem", ["", "a.b", "img_x4", "x2", "A", "é", "a b", "a/b", "..", "0000000\n"])
def test_stems_that_trainers_would_stumble_over(tmp_path, stem):
    with pytest.raises(DegradeError, match="name of a pair"):
        FolderSink(tmp_path).write(stem, *pair(0))
    assert list((tmp_path / "lq").iterdir()) == []


def test_stems_of_numbers_sort_like_the_numbers():
    assert stem_of(0) == "0000000" and stem_of(12345678) == "12345678"
    stems = [stem_of(index) for index in (0, 9, 10, 999, 9_999_999)]
    assert stems == sorted(stems) and [check_stem(stem) for stem in stems] == stems
    with pytest.raises(DegradeError):
        stem_of(-1)


def test_pairs_that_are_none(tmp_path):
    sink = FolderSink(tmp_path)
    gt, lq = pair(0)
    for bad in (
        (gt[:-1], lq),
        (gt[:, :48], lq),
        (lq, gt),
        (gt.astype(float), lq),
        (gt, lq[..., 0]),
        (gt, lq[:0]),
    ):
        with pytest.raises(DegradeError, match="0000000"):
            sink.write("0000000", *bad)
    assert tree(tmp_path) == {}
    sink.write("0000000", gt, lq)
    with pytest.raises(DegradeError, match="scale 2"):
        sink.write("0000001", *pair(1, scale=2))


def test_finish_compares_the_manifest_with_what_is_there(tmp_path):
    sink = FolderSink(tmp_path)
    for index in range(3):
        sink.write(stem_of(index), *pair(index))
    rows = [{"name": stem_of(index)} for index in range(3)]
    for wrong, said in (
        (rows + [{"name": "0000007"}], "0000007.png of the manifest"),
        (rows + rows[:1], "Two rows"),
        (rows[:2], "does not belong to this run"),
        ([*rows[:2], {"stem": "0000002"}], "None"),
        ([*rows[:2], {"name": "0000002", "score": float("nan")}], "JSON"),
    ):
        with pytest.raises(DegradeError, match=said):
            sink.finish(wrong, [])
        assert not (tmp_path / "manifest.jsonl").exists()
    gray = cv2.imencode(".png", pair(0)[0][..., 0])[1].tobytes()
    whole = (tmp_path / "gt" / "0000001.png").read_bytes()
    (tmp_path / "gt" / "0000001.png").write_bytes(gray)
    with pytest.raises(DegradeError, match="8-bit RGB"):
        sink.finish(rows, [])
    (tmp_path / "gt" / "0000001.png").write_bytes(whole)
    sink.finish(rows, [])
    (tmp_path / "lq" / "Thumbs.db").touch()
    with pytest.raises(DegradeError, match="Thumbs.db"):
        sink.finish(rows, [])


def test_an_empty_run_and_a_second_finish(tmp_path):
    sink = FolderSink(tmp_path)
    sink.finish([], [{"reason": "empty"}])
    assert (tmp_path / "manifest.jsonl").read_bytes() == b"" and not (tmp_path / ".partial").exists()
    sink.write("0000000", *pair(0))
    sink.finish([{"name": "0000000"}], [])
    assert (tmp_path / "rejects.jsonl").read_bytes() == b""
    assert (tmp_path / "meta_info_pair.txt").read_text() == "gt/0000000.png, lq/0000000.png\n"


def test_what_a_kill_left_is_cleaned_at_the_next_opening(tmp_path):
    FolderSink(tmp_path).write("0000000", *pair(0))
    before = tree(tmp_path)
    for name in ("host-1-aaaaaaaa-00000001", "host-1-bbbbbbbb-00000002"):
        (tmp_path / ".partial" / name).mkdir()
        (tmp_path / ".partial" / name / "4.tmp").write_bytes(b"half an im")
        (tmp_path / f".manifest.jsonl.{name}.tmp").write_bytes(b"{")
    FolderSink(tmp_path, alive=lambda: {name})
    left = {path for path in tree(tmp_path) if path not in before}
    assert left == {f".partial/{name}/4.tmp", f".manifest.jsonl.{name}.tmp"}
    FolderSink(tmp_path)
    assert tree(tmp_path) == before


def test_who_comes_while_another_cleans_keeps_its_files(tmp_path):
    def alive() -> set[str]:
        (tmp_path / ".partial" / "host-3-cccccccc-00000003").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".plan.json.host-3-cccccccc-00000003.tmp").write_bytes(b"{")
        return set()  # it was asked just before

    FolderSink(tmp_path, alive=alive)
    assert (tmp_path / ".plan.json.host-3-cccccccc-00000003.tmp").exists()
    assert (tmp_path / ".partial" / "host-3-cccccccc-00000003").is_dir()


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    sink = FolderSink(tmp_path)
    sink.write("0000000", *pair(0))
    before = tree(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sinks.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        sink.write("0000001", *pair(1))
    assert tree(tmp_path) == before


def test_sigkill_while_writing_leaves_only_whole_files(tmp_path):
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from degrade_engine.engine.sinks.contract import stem_of\n"
        "from degrade_engine.engine.sinks.folder import FolderSink\n"
        "sink, rng = FolderSink(Path(sys.argv[1])), np.random.default_rng(0)\n"
        "gt = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)\n"
        "for index in range(100000):\n    sink.write(stem_of(index), gt, gt[:128, :128])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    try:
        until = time.monotonic() + 30
        while len(list(tmp_path.glob("gt/*.png"))) < 5 and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    there = sorted(tmp_path.glob("gt/*.png"))
    assert len(there) >= 5 and len({path.read_bytes() for path in there}) == 1
    assert len({path.read_bytes() for path in tmp_path.glob("lq/*.png")}) == 1
    FolderSink(tmp_path)
    assert [path for path in (tmp_path / ".partial").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("where", [".partial", ".partial/link", ".partial/host-1-aaaaaaaa-00000001"])
def test_what_lies_behind_a_link_stays(tmp_path, where):
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "precious.txt").write_text("mine")
    out = tmp_path / "out"
    (out / where).parent.mkdir(parents=True)
    (out / where).symlink_to(behind, target_is_directory=True)
    sink = FolderSink(out)
    sink.write("0000000", *pair(0))
    sink.finish([{"name": "0000000"}], [])
    assert [path.name for path in behind.iterdir()] == ["precious.txt"] and not (out / ".partial").exists()
