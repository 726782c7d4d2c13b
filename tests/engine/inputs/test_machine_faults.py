"""A disk, a network or a folder that fails while photographs are looked at and read: the same bytes, at the latest from
the next call on; never other pairs, and never a photograph called bad."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine.errors import BadImage, MachineFault
from degrade_engine.engine.faults import Patience, fault
from degrade_engine.engine.inputs import folders, inventory, places, reading
from degrade_engine.engine.inputs.photographs import Entry

from ..pair_sets import photographs, tree

ERRORS = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOMEM)
CALLS = ("open", "fstat", "read", "close")


class Failing:
    """System calls on what lies in a folder: some of them fail. rule: (number of the call among these, path) -> whether
    it does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder, self.monkeypatch, self.count = str(folder), monkeypatch, 0
        self._paths: dict[int, str] = {}
        self._lock = threading.Lock()
        real_open, real_close = os.open, os.close

        def opened(path, *how, **more):
            handle = real_open(path, *how, **more)
            self._paths[handle] = os.fspath(path)
            return handle

        def closed(handle):
            self._paths.pop(handle, None)
            real_close(handle)

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "close", closed)

    def when(self, call: str, number: int, rule) -> None:
        real, self.count = getattr(os, call), 0

        def patched(where, *more, **named):
            path = self._paths.get(where, "") if isinstance(where, int) else os.fspath(where)
            if isinstance(path, str) and path.startswith(self.folder):
                with self._lock:
                    self.count += 1
                    fails = rule(self.count, path)
                if fails:
                    if call == "close":
                        real(where)
                    raise OSError(number, os.strerror(number), None if isinstance(where, int) else path)
            return real(where, *more, **named)

        self.monkeypatch.setattr(os, call, patched)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = photographs(tmp_path / "photos", 40)
    (root / "more").mkdir()
    for n in range(2):
        (root / f"{n}.png").rename(root / "more" / f"{n}.png")
    return root


def generate(photos: object, out: Path, *more: object) -> int:
    usual = "--pairs 12 --lr-size 16 --scale 2 --degrader bicubic --seed 3 --shard-pairs 4 --threads 1".split()
    hr = [] if photos is None else ["--hr", photos]
    return main([str(word) for word in ["generate", *hr, "--out", out, *usual, *more]])


def broken(photos: Path, out: Path, wanted: Path) -> None:
    """What a run that stopped has left is part of what was wanted, and nobody is blamed."""
    images = {f"{role}/{path.name}" for role in ("gt", "lq") for path in (out / role).glob("*")}
    assert all((out / name).read_bytes() == (wanted / name).read_bytes() for name in images)
    for record in (out / "shards").glob("*.json"):
        assert '"rejects": []' in record.read_text()
    assert not (out / "run.json").exists()


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_one_error_is_tried_again_and_a_lasting_one_stops(photos, tmp_path, monkeypatch, capsys, call, number):
    assert generate(photos, tmp_path / "wanted") == 0
    for at in (1, 3, 6, 8):  # of the scan's calls and of the decoding's
        with monkeypatch.context() as patch:
            failing = Failing(patch, photos)
            failing.when(call, number, lambda count, path, at=at: count == at)
            assert generate(photos, tmp_path / f"once{at}") == 0
            assert failing.count >= at
        assert tree(tmp_path / f"once{at}") == tree(tmp_path / "wanted")
    out, sign = tmp_path / "lasting", errno.errorcode[number]
    assert generate(photos, out, "--dry-run") == 0
    with monkeypatch.context() as patch:
        Failing(patch, photos).when(call, number, lambda count, path: path.endswith("2.png"))
        capsys.readouterr()
        assert generate(photos, out, "--patience", 0) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"{photos}/2.png cannot be read" in said and sign in said and "run the same command to continue" in said
    assert "Traceback" not in said
    broken(photos, out, tmp_path / "wanted")
    assert generate(photos, out) == 0 and tree(out) == tree(tmp_path / "wanted")


def test_a_folder_that_is_away_for_a_while_is_waited_for(photos, tmp_path, monkeypatch):
    assert generate(photos, tmp_path / "wanted") == 0
    assert generate(photos, tmp_path / "out", "--dry-run") == 0
    away, times = tmp_path / "away", []

    def leave(count, path):
        if count == 10:
            photos.rename(away)
            threading.Timer(0.3, lambda: (times.append(time.monotonic()), away.rename(photos))).start()
        return False

    Failing(monkeypatch, photos).when("open", errno.EIO, leave)
    assert generate(photos, tmp_path / "out") == 0 and len(times) == 1
    assert tree(tmp_path / "out") == tree(tmp_path / "wanted")


def test_a_folder_that_stays_away_stops_even_where_photographs_may_be_missing(photos, tmp_path, monkeypatch, capsys):
    assert generate(photos, tmp_path / "wanted") == 0
    for out, more in ((tmp_path / "a", ()), (tmp_path / "b", ("--allow-missing",))):
        assert generate(photos, out, "--dry-run") == 0
        photos.rename(tmp_path / "away")
        assert generate(photos, out, "--patience", 0, *more) == 2
        assert "is not there (ENOENT)" in capsys.readouterr().err.replace("\n", " ")
        (tmp_path / "away").rename(photos)
        assert generate(photos, out, *more) == 0
        assert tree(out) == tree(tmp_path / "wanted")
        assert json.loads((out / "run.json").read_text())["missing"] == 0


@pytest.mark.parametrize("call", ["scandir", "stat", "open", "read"])
def test_a_scan_drops_nothing_that_it_could_not_look_at(photos, tmp_path, monkeypatch, capsys, call):
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    photographs(tmp_path / "elsewhere", 41)
    wanted = inventory.scan(photos)
    assert len(wanted.entries) == 8 and not wanted.rejects
    for at in range(1, 9):
        with monkeypatch.context() as patch:
            Failing(patch, photos).when(call, errno.EIO, lambda count, path, at=at: count == at)
            found = inventory.scan(photos)
        assert (found.entries, found.rejects) == (wanted.entries, wanted.rejects)
    where = {"scandir": "more", "stat": "linked", "open": "1.png", "read": "1.png"}[call]
    with monkeypatch.context() as patch:
        Failing(patch, photos).when(call, errno.ESTALE, lambda count, path: path.endswith(where))
        for more in ((), ("--allow-missing",)):
            assert generate(photos, tmp_path / "out", "--patience", 0, *more) == 2
            said = capsys.readouterr().err.replace("\n", " ")
            assert where in said and "ESTALE" in said
    assert not (tmp_path / "out").exists()


def test_a_fault_ends_a_scan_at_once_however_many_files_there_are(tmp_path, monkeypatch):
    for n in range(3000):
        (tmp_path / f"{n}.png").touch()
    failing = Failing(monkeypatch, tmp_path)
    failing.when("open", errno.EIO, lambda count, path: True)
    began = time.monotonic()
    with pytest.raises(MachineFault, match="EIO"):
        inventory.scan(folders.Folder(tmp_path, patience=Patience(0.1)))
    assert failing.count < 40 and time.monotonic() - began < 20


def test_a_list_and_its_files_are_waited_for(photos, tmp_path, monkeypatch, capsys):
    listed = tmp_path / "pairs.csv"
    listed.write_text("hr\n3.png\nmore/0.png\n2.png\n")
    (photos / "all.txt").write_text("2.png\nmore/1.png\n")
    asked = ["generate", "--degrader", "bicubic", "--lr-size", "16", "--scale", "2", "--threads", "1"]
    for hr, name, more in ((photos, "pairs", ["--pair-list", listed]), (photos / "all.txt", "list", ["--pairs", 5])):
        words = [*asked, "--hr", hr, *more]
        assert main([str(one) for one in [*words, "--out", tmp_path / f"{name}-wanted"]]) == 0
        for at in range(1, 6):
            with monkeypatch.context() as patch:
                failing = Failing(patch, tmp_path)
                failing.when("read", errno.EIO, lambda count, path, at=at: count == at)
                assert main([str(one) for one in [*words, "--out", tmp_path / f"{name}{at}"]]) == 0
                assert failing.count >= at
            assert tree(tmp_path / f"{name}{at}") == tree(tmp_path / f"{name}-wanted")
        with monkeypatch.context() as patch:
            Failing(patch, tmp_path).when("open", errno.EIO, lambda count, path: path.endswith((".csv", ".txt")))
            assert main([str(one) for one in [*words, "--out", tmp_path / "stopped", "--patience", "0"]]) == 2
            assert "EIO" in capsys.readouterr().err and not (tmp_path / "stopped").exists()


def test_a_read_that_ends_early_says_nothing_of_the_file(photos, monkeypatch):
    place = folders.Folder(photos, patience=Patience(0.3))
    whole, real, counts = place.read("2.png"), os.read, iter((100, 0, 7, 10**9, 10**9))
    with monkeypatch.context() as patch:
        patch.setattr(os, "read", lambda handle, count: real(handle, min(count, next(counts))))
        assert place.read("2.png") == whole  # an end after 100 bytes, and then pieces
        patch.setattr(os, "read", lambda handle, count: b"")
        with pytest.raises(MachineFault, match=rf"its end came after 0 of {len(whole)} bytes, EIO"):
            place.read("2.png")


def test_sentences():
    said = str(fault("a/b.png", OSError(errno.EMFILE, "Too many open files")))
    assert said.startswith("a/b.png cannot be read (Too many open files, EMFILE). Fix: allow more open files")
    said = str(fault("b.png", MemoryError()))
    assert "there is not enough memory" in said and "ulimit -v" in said
    assert "instead of \\" in str(fault("hr\\b.png", FileNotFoundError(errno.ENOENT, "gone")))


def test_a_damaged_member_of_an_archive_is_the_files_own_fault(photos, tmp_path):
    pytest.importorskip("fsspec")
    name = tmp_path / "a.zip"
    with zipfile.ZipFile(name, "w") as archive:
        for path in photos.glob("*.png"):
            archive.write(path, path.name)
    data = bytearray(name.read_bytes())
    at = data.index(b"IDAT") + 40
    data[at] ^= 1
    name.write_bytes(data)
    place = places.at(f"zip://::{name}", Patience(0))
    found = inventory.scan(place)
    assert [one.reason for one in found.rejects] == ["corrupt"] and len(found.entries) == 1
    with pytest.raises(BadImage, match="is damaged in its archive"):
        place.read(found.rejects[0].path)


def remote_kinds() -> dict[str, Exception]:
    """What file systems raise for a machine's fault."""
    outage = FileNotFoundError("http://host/a.png")  # fsspec's HTTP, for a server that does not answer
    outage.__cause__ = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    return {
        "time-out": TimeoutError(), "refused": ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        "server": RuntimeError("503 Service Unavailable, url='http://user:word@host/a.png'"),
        "disk": OSError(errno.EIO, "An error occurred (InternalError)"), "web": outage,
    }  # fmt: skip


@pytest.fixture
def flaky(photos):
    """A file system whose answers are errors while `errors` holds some: (method, error, how many times)."""
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.spec import AbstractFileSystem

    class Flaky(MemoryFileSystem):
        protocol, store, pseudo_dirs, cachable = "flaky", {}, [""], False
        errors: dict[str, list[Exception]] = {}
        find = AbstractFileSystem.find  # as most have it: it passes over what it cannot list

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.replace("flaky://", "memory://"))

        def _or_fail(self, method, *args, **named):
            if self.errors.get(method):
                raise self.errors[method].pop()
            return getattr(super(), method)(*args, **named)

        def cat_file(self, *args, **named):
            return self._or_fail("cat_file", *args, **named)

        def info(self, *args, **named):
            return self._or_fail("info", *args, **named)

        def ls(self, *args, **named):
            return self._or_fail("ls", *args, **named)

    fsspec.register_implementation("flaky", Flaky, clobber=True)
    for path in photos.rglob("*.png"):
        Flaky().pipe(f"/hr/{path.relative_to(photos).as_posix()}", path.read_bytes())
    Flaky.errors = {}
    return Flaky


@pytest.mark.parametrize("kind", remote_kinds())
def test_a_remote_place_that_fails_is_asked_again_and_then_stops(flaky, photos, tmp_path, capsys, kind):
    assert generate(photos, tmp_path / "wanted") == 0
    for method in ("cat_file", "info", "ls"):
        flaky.errors = {method: [remote_kinds()[kind]] * 2}
        assert generate("flaky://hr", tmp_path / method) == 0 and not flaky.errors[method]
        assert tree(tmp_path / method) == tree(tmp_path / "wanted")
    out = tmp_path / "out"
    for method in ("cat_file", "info", "ls"):
        for more in ((), ("--allow-missing",)):
            flaky.errors = {method: [remote_kinds()[kind]] * 10**5}
            assert generate("flaky://hr", out, "--patience", 0, *more) == 2
            said = capsys.readouterr().err
            assert "flaky://hr" in said.replace("\n", "") and "word" not in said and "Traceback" not in said
            assert not out.exists()
    flaky.errors = {}
    assert generate("flaky://hr", out, "--dry-run") == 0
    flaky.errors = {"cat_file": [remote_kinds()[kind]] * 10**5}
    assert generate("flaky://hr", out, "--patience", 0, "--allow-missing") == 2
    flaky.errors = {}
    broken(photos, out, tmp_path / "wanted")
    assert generate("flaky://hr", out) == 0 and tree(out) == tree(tmp_path / "wanted")


def test_a_planned_file_that_a_server_no_longer_has_is_missing(flaky, photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert generate("flaky://hr", out, "--dry-run") == 0
    flaky().rm("/hr/3.png")
    assert generate("flaky://hr", out, "--patience", 0) == 2
    assert "flaky://hr/3.png is not there (ENOENT)" in capsys.readouterr().err.replace("\n", "")
    assert generate("flaky://hr", out, "--patience", 0, "--allow-missing") == 0
    assert json.loads((out / "run.json").read_text())["rejects"] == {"hr: missing": 1}


def test_fewer_bytes_than_a_server_says_are_asked_for_again(flaky, photos, monkeypatch):
    place, real = places.at("flaky://hr", Patience(0.3)), flaky.cat_file
    whole = (photos / "2.png").read_bytes()
    photo = Entry("2.png", len(whole), 40, 46)
    counts = iter((50, None))
    monkeypatch.setattr(flaky, "cat_file", lambda self, path, **more: real(self, path, **more)[: next(counts)])
    assert reading.read(place, photo).shape == (40, 46, 3)
    counts = iter([50] * 99)
    with pytest.raises(MachineFault, match=f"50 of {len(whole)} bytes came"):
        reading.read(place, photo)
    counts = iter([50] * 99)
    with pytest.raises(MachineFault, match="its end came after 50"):
        place.probe("2.png", 64)
    monkeypatch.undo()
    flaky().pipe("/hr/2.png", whole + b"\0")
    with pytest.raises(BadImage, match="when the run was planned") as error:
        reading.read(place, photo)
    assert error.value.reason == "changed"
    assert np.array_equal(reading.read(place, photo._replace(bytes=len(whole) + 1)).shape, (40, 46, 3))
