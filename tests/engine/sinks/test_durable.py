"""A power cut: what is committed is there, and what was not brought to the disk is made again."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from degrade_engine.engine import sinks
from degrade_engine.engine.artefact import sha256_bytes
from degrade_engine.engine.pipeline import records
from degrade_engine.engine.runners import run_folder, runner
from degrade_engine.engine.sinks import durable

from ..pair_sets import KINDS, PARQUET, generate, photograph, photographs, put, tree, words
from ..power_cut import Disk, State, lay, shim


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 72)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shim(tmp_path_factory.mktemp("s"))


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each kind, to be read only."""
    folder = tmp_path_factory.mktemp("whole")
    for kind in KINDS:
        assert generate(kind, photos, folder / kind) == 0
    return {kind: folder / kind for kind in KINDS}


def committed(state: State, whole: Path) -> dict[str, int]:
    """What the whole records of a state count on: path -> bytes, as in the finished run."""
    plan, found = json.loads((whole / "shards/00000.json").read_text())["plan"], {}
    for shard in (0, 1):
        if state.get(f"shards/{shard:05d}.json", b"").endswith(b'"}\n'):
            head = records.read(whole, plan, shard)
            assert head is not None
            for where, sizes in head.sizes.items():
                ending = {".shards": "tar", "webdataset": "tar", "parquet": "parquet"}.get(where)
                names = [f"pairs-{shard:05d}.{ending}"] if ending else [f"{stem}.png" for stem in head.stems()]
                found |= {f"{where}/{name}": size for name, size in zip(names, sizes, strict=True)}
    return found


def lost(state: State, whole: Path) -> set[str]:
    """What is committed and not there. The tars of an LMDB make way for both databases."""
    gone = {name for name, size in committed(state, whole).items() if len(state.get(name, b"")) != size}
    databases = {f"{role}.lmdb/data.mdb": whole / f"{role}.lmdb" / "data.mdb" for role in ("gt", "lq")}
    if all(path.is_file() and state.get(name) == path.read_bytes() for name, path in databases.items()):
        gone = {name for name in gone if not name.startswith(".shards")}
    return gone


@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_at_any_rename_takes_nothing_that_is_committed(photos, whole, library, tmp_path, kind):
    disk = Disk(library, tmp_path / "out")
    disk.run(words(kind, photos, tmp_path / "out"))
    disk.close()
    assert tree(tmp_path / "out") == tree(whole[kind])
    states = [*disk.bytes_lost, *disk.names_lost]
    assert [(name, lost(state, whole[kind])) for name, state in states if lost(state, whole[kind])] == []
    assert sum(bool(committed(state, whole[kind])) for _, state in states) > 4
    seen: list[State] = []
    for name, state in states:
        if state not in seen and name.startswith(("shards", "run.json", "gt.lmdb", "lq.lmdb", ".partial/")):
            seen.append(state)
            lay(state, tmp_path / str(len(seen)))
            assert generate(kind, photos, tmp_path / str(len(seen))) == 0
            assert tree(tmp_path / str(len(seen))) == tree(whole[kind]), name


def older(out: Path) -> None:
    """Records as the release before wrote them, without sizes."""
    for path in (out / "shards").glob("*.json"):
        body, _, _ = path.read_bytes().rpartition(b'"sha256": "')
        first, line, rest = body.partition(b"\n")
        facts = json.loads(first.rstrip(b",") + b"}")
        facts.pop("sizes", None)
        facts["format"] = "degrade-engine/shard/2"
        body = json.dumps(facts)[:-1].encode() + b"," + line + rest
        path.write_bytes(body + b'"sha256": "' + sha256_bytes(body).encode() + b'"}\n')


def unfinished(kind: str, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *more: object) -> None:
    """A run whose shards are all committed, and which stopped before its books."""
    with monkeypatch.context() as patch:
        patch.setattr(runner, "finish", stopped)
        assert generate(kind, photos, out, *more) == 2
    assert len(list((out / "shards").iterdir())) == 2 and not (out / "run.json").exists()


def stopped(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


DAMAGES = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "cut to a tar's records": lambda data: data[: len(data) // 2 // 10240 * 10240],
    "zeros": lambda data: bytes(len(data)),
    "zeros at the end": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "something else": lambda data: b"<html>" * 50 + data[300:],
    "gone": None,
}
PARQUET_TOO = [("parquet", "parquet/pairs-00000.parquet", ())] if PARQUET else []
UNSEEN = {("tar", "zeros at the end"), ("webp", "zeros at the end")}  # as they may end


@pytest.mark.parametrize("record", ["of today", "of before"])
@pytest.mark.parametrize(
    ("sink", "victim", "more"),
    [
        ("folder", "gt/0000002.png", ()), ("lmdb", ".shards/pairs-00000.tar", ()),
        ("webdataset", "webdataset/pairs-00001.tar", ()), ("folder", "lq/0000019.webp", ("--format", "webp")),
        *PARQUET_TOO,
    ],
)  # fmt: skip
def test_going_on_makes_what_is_not_whole_again(photos, tmp_path, monkeypatch, sink, victim, more, record):
    out = tmp_path / "out"
    unfinished(sink, photos, out, monkeypatch, *more)
    wanted = tree(out)
    for name, damage in DAMAGES.items():
        if (victim.rpartition(".")[2], name) in UNSEEN:
            continue
        if record == "of before":
            older(out)
        before = times(out)
        if damage is None:
            (out / victim).unlink()
        else:
            (out / victim).write_bytes(damage(wanted[victim]))
        unfinished(sink, photos, out, monkeypatch, *more)
        assert tree(out) == wanted, name
        assert sum(when != before[path] for path, when in times(out).items()) == 1, "one shard alone is made again"
    before = times(out)
    assert generate(sink, photos, out, *more) == 0 and times(out) == before


def times(out: Path) -> dict[Path, int]:
    """When each record was written."""
    return {path: path.stat().st_mtime_ns for path in (out / "shards").glob("*.json")}


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros"])
def test_a_database_that_is_not_whole_is_made_again(photos, whole, tmp_path, damage):
    shutil.copytree(whole["lmdb"], tmp_path / "out")
    path = tmp_path / "out" / "lq.lmdb" / "data.mdb"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert generate("lmdb", photos, tmp_path / "out") == 0
    assert tree(tmp_path / "out") == tree(whole["lmdb"])


def test_an_image_of_a_database_that_is_no_image_is_seen(photos, whole, tmp_path):
    shutil.copytree(whole["lmdb"], tmp_path / "out")
    put(tmp_path / "out", "lmdb", "0000007", "gt", bytes(4000))
    (tmp_path / "out" / "gt.lmdb" / "lock.mdb").write_bytes(b"")
    assert generate("lmdb", photos, tmp_path / "out") == 0
    assert tree(tmp_path / "out") == tree(whole["lmdb"])


@pytest.mark.parametrize("kind", KINDS)
def test_extra_images_are_looked_at_unless_all_of_a_kind_are_gone(tmp_path, kind):
    sink, stems = sinks.open_sink(kind, tmp_path), ["0000000", "0000001"]
    image = photograph(0, 32)[:, :32]
    for stem in stems:
        sink.write_extra(f"start/{stem}", image)
        sink.write_extra(f"candidate0/{stem}", image)
        sink.write(stem, image, image[::4, ::4])
    sizes = sink.commit(0, [{"name": stem} for stem in stems])
    assert sorted(sizes) == sorted([*sink.folders, "extra/candidate0", "extra/start"])
    assert sink.holds(0, stems, sizes)
    (tmp_path / "extra/start/0000001.png").write_bytes(b"")
    assert not sink.holds(0, stems, sizes) and sink.holds(0, stems, {})
    shutil.rmtree(tmp_path / "extra/start")  # somebody wanted the room
    assert sink.holds(0, stems, sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_fails_when_it_is_asked_leaves_no_record(photos, whole, tmp_path, monkeypatch, capsys, kind):
    real = os.fsync

    def failing(handle: int) -> None:
        if ".tmp" not in os.readlink(f"/proc/self/fd/{handle}"):  # not the records' own
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "fsync", failing)
        patch.setattr(run_folder, "sync", lambda path: None)
        assert generate(kind, photos, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "Input/output error" in said and "Traceback" not in said
    assert list((tmp_path / "out" / "shards").iterdir()) == []
    assert generate(kind, photos, tmp_path / "out") == 0
    assert tree(tmp_path / "out") == tree(whole[kind])


def test_a_file_system_without_such_a_call_is_taken_as_it_is(photos, whole, tmp_path, monkeypatch):
    def unknown(handle: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    system = SimpleNamespace(open=os.open, close=os.close, O_RDONLY=os.O_RDONLY, fsync=unknown)
    monkeypatch.setattr(durable, "os", system)
    assert generate("folder", photos, tmp_path / "out") == 0
    assert tree(tmp_path / "out") == tree(whole["folder"])


class Ext4:
    """A small ext4 of its own, mounted at `at` for a `with` block."""

    def __init__(self, folder: Path) -> None:
        self._disk, self.at = folder / "disk", folder / "at"
        self.at.mkdir()
        self._disk.touch()
        os.truncate(self._disk, 2**26)

    def __enter__(self) -> Ext4:
        line = ["mkfs.ext4", "-q", str(self._disk)]
        if not shutil.which(line[0]) or subprocess.run(line, check=False).returncode or not self._mount():
            pytest.skip("no ext4 can be mounted here")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self.at)], check=True)

    def cut(self) -> None:
        """Take its power away."""
        handle = os.open(self.at, os.O_RDONLY)
        fcntl.ioctl(handle, 0x8004587D, struct.pack("I", 2))  # EXT4_IOC_SHUTDOWN: what the journal has not got is lost
        os.close(handle)

    def start_again(self) -> None:
        """As the machine would."""
        self.__exit__()
        assert self._mount()

    def _mount(self) -> bool:
        line = ["mount", "-o", "loop", str(self._disk), str(self.at)]
        return subprocess.run(line, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("kind", ["folder", "webdataset"])
def test_a_real_file_system_without_power(photos, tmp_path, kind):
    more = ("--pairs", 160)
    assert generate(kind, photos, tmp_path / "whole", *more) == 0
    with Ext4(tmp_path) as disk:
        out = disk.at / "out"
        line = [sys.executable, "-m", "degrade_engine", *words(kind, photos, out, *more)]
        child = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        while len(list(out.glob("shards/0*.json"))) < 4 and child.poll() is None:
            time.sleep(0.005)
        disk.cut()
        said = child.communicate(timeout=60)[1]
        assert child.returncode == 2 and said.count("Error:") == 1 and "Traceback" not in said, said
        disk.start_again()
        plan = json.loads((tmp_path / "whole/shards/00000.json").read_text())["plan"]
        sink = sinks.open_sink(kind, out)
        heads = [head for shard in range(10) if (head := records.read(out, plan, shard))]
        assert len(heads) >= 3 and all(sink.holds(head.shard, head.stems(), head.sizes) for head in heads)
        assert generate(kind, photos, out, *more) == 0
        assert tree(out) == tree(tmp_path / "whole")
