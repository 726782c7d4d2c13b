"""The inventory of folders made here: what is found, what is named; order and place do not matter."""

import os
import pickle
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from degrade_engine.engine.errors import DegradeError, MachineFault
from degrade_engine.engine.faults import Patience
from degrade_engine.engine.images import kinds
from degrade_engine.engine.inputs.folders import Folder
from degrade_engine.engine.inputs.inventory import Entry, scan

from .odd_bytes import chunk, png


def photo(path, height=30, width=40, seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)


def paths(found):
    return [entry.path for entry in found.entries]


def reasons(found):
    return {one.path: one.reason for one in found.rejects}


def test_nested_sorted_by_bytes_with_sizes(tmp_path):
    names = ["b.png", "B.PNG", "a/z.jpg", "a.png", "a/b/c/deep.webp", "é.tiff", "a-b.gif", "10.bmp", "9.png"]
    for seed, name in enumerate(names):
        photo(tmp_path / name, 30 + seed, 40, seed)
    found = scan(tmp_path)
    assert paths(found) == sorted(names, key=str.encode) and found.rejects == ()
    assert found.entries[-1] == Entry("é.tiff", (tmp_path / "é.tiff").stat().st_size, 35, 40)


def test_rotated_images_have_their_upright_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(tmp_path / "a.jpg", 30, 50, exif=exif)
    assert (scan(tmp_path).entries[0].height, scan(tmp_path).entries[0].width) == (50, 30)


def test_other_files_and_hidden_ones_are_passed_over(tmp_path):
    photo(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "png").write_text("no ending")
    photo(tmp_path / ".hidden.png", seed=1)
    photo(tmp_path / ".git" / "b.png", seed=2)
    found = scan(tmp_path)
    assert paths(found) == ["a.png"] and found.rejects == ()


def test_whatever_looks_like_a_picture_is_counted_by_kind(tmp_path, monkeypatch):
    """Used, or among the rejects by a word of its kind; what is not read is not fetched either."""
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    photo(tmp_path / "a.jfif", seed=1, format="JPEG")
    photo(tmp_path / "really-a.jpg.heic", seed=2, format="JPEG")
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    (tmp_path / "IMG_0002.heif").write_bytes(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(500))
    (tmp_path / "b.jxl").write_bytes(b"\xff\x0a" + bytes(500))
    (tmp_path / "c.CR3").write_bytes(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(500))
    (tmp_path / "d.raf").write_bytes(b"FUJIFILMCCD-RAW 0201" + bytes(500))
    (tmp_path / "e.psd").write_bytes(b"8BPS\0\1" + bytes(500))
    (tmp_path / "f.tga").write_bytes(bytes(500))
    (tmp_path / "g.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(500))
    (tmp_path / "IMG_0001.aae").write_text("edits")
    read = []
    monkeypatch.setattr(Folder, "read", lambda self, path: read.append(path))
    found = scan(tmp_path)
    assert paths(found) == ["a.jfif", "really-a.jpg.heic"] and read == []
    assert reasons(found) == {
        "IMG_0001.HEIC": "unsupported_heic", "IMG_0002.heif": "unsupported_heic", "b.jxl": "unsupported_jxl",
        "c.CR3": "unsupported_cr3", "d.raf": "unsupported_raf", "e.psd": "unsupported_psd", "f.tga": "unsupported_tga",
        "g.svg": "unsupported_svg",
    }  # fmt: skip
    said = {one.path: one.detail for one in found.rejects}
    assert "degrade-engine[heif]" in said["IMG_0001.HEIC"] and "degrade-engine[jxl]" in said["b.jxl"]
    assert "raw" in said["c.CR3"] and "16-bit TIFF" in said["c.CR3"]


def test_hdr_is_known_at_the_scan(tmp_path):
    pixels = np.zeros((40, 40, 3), np.uint8)
    rows = [row.tobytes() for row in pixels]
    (tmp_path / "pq.png").write_bytes(png(rows, 40, 8, 2, extra=chunk(b"cICP", bytes((9, 16, 0, 1)))))
    (tmp_path / "srgb.png").write_bytes(png(rows, 40, 8, 2, extra=chunk(b"cICP", bytes((1, 13, 0, 1)))))
    found = scan(tmp_path)
    assert paths(found) == ["srgb.png"] and reasons(found) == {"pq.png": "unsupported"}


def test_unusable_files_are_named(tmp_path):
    photo(tmp_path / "good.png")
    photo(tmp_path / "low.png", 15, 40, seed=1)
    photo(tmp_path / "narrow.png", 30, 19, seed=2)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("this is not a photograph")
    os.mkfifo(tmp_path / "pipe.png")
    found = scan(tmp_path, (16, 20))
    assert paths(found) == ["good.png"]
    assert reasons(found) == {
        "empty.jpg": "empty",
        "low.png": "too_small",
        "narrow.png": "too_small",
        "pipe.png": "unreadable",
        "text.jpg": "not_an_image",
    }
    assert list(reasons(found)) == sorted(reasons(found))
    assert "40 x 15" in next(one.detail for one in found.rejects if one.path == "low.png")
    assert all(str(tmp_path) not in one.detail for one in found.rejects)


def test_an_image_of_exactly_the_minimum_is_used_and_the_limit_is_passed_on(tmp_path):
    photo(tmp_path / "a.png", 30, 40)
    assert len(scan(tmp_path, (30, 40)).entries) == 1
    assert reasons(scan(tmp_path, (31, 40))) == {"a.png": "too_small"}
    assert reasons(scan(tmp_path, pixel_limit=1199)) == {"a.png": "too_large"}


def test_a_file_too_long_for_the_pixel_limit_is_not_fetched(tmp_path):
    photo(tmp_path / "a.png", 10, 10)
    with open(tmp_path / "a.png", "ab") as file:
        file.truncate(100 * 32 + 1)
    assert reasons(scan(tmp_path, pixel_limit=100)) == {"a.png": "too_large"}
    assert len(scan(tmp_path, pixel_limit=101).entries) == 1


def test_many_files_in_many_folders_are_looked_at_in_threads_and_stay_in_order(tmp_path):
    photo(tmp_path / "model.png", 10, 12)
    data = (tmp_path / "model.png").read_bytes()
    names = [f"{n % 7}/{n * 7919 % 1000:03d}.png" for n in range(900)]
    for n, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data + n.to_bytes(3, "big"))
    counts = []
    found = scan(tmp_path, on_files=counts.append)
    assert paths(found) == sorted([*names, "model.png"]) and counts == [256, 512, 768]
    assert found.entries[0].height == 10 and int(found.entries.lengths.sum()) == 900 * (len(data) + 3) + len(data)


def test_entries_are_a_sequence_that_can_be_pickled(tmp_path):
    for n in range(5):
        photo(tmp_path / f"{n}é.png", 10 + n, 12, seed=n)
    entries = scan(tmp_path, identity="mtime").entries
    again = pickle.loads(pickle.dumps(entries))
    assert again == entries and list(again) == [entries[n] for n in range(5)] and entries[-1].path == "4é.png"
    assert entries[1:3] == (entries[1], entries[2]) and entries.take([3, 0])[0] == entries[3]
    assert entries != scan(tmp_path, identity="sha256").entries
    with pytest.raises(IndexError):
        entries[5]


def test_links_are_followed_once_and_loops_end(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    photo(root / "a" / "1.png", seed=1)
    photo(outside / "2.png", seed=2)
    photo(outside / "sub" / "3.png", seed=3)
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self").symlink_to(".")
    (root / "0link").symlink_to(outside)
    (root / "zlink").symlink_to(outside)
    (outside / "back").symlink_to(root)
    (root / "0alias").symlink_to(root / "a")  # sorts before the real folder, which is used all the same
    (root / "file.png").symlink_to(outside / "2.png")
    found = scan(root, duplicates="keep")
    assert paths(found) == ["0link/2.png", "0link/sub/3.png", "a/1.png", "file.png"]
    assert reasons(scan(root)) == {"file.png": "duplicate"}


def test_duplicates(tmp_path):
    photo(tmp_path / "m" / "one.png")
    shutil.copy(tmp_path / "m" / "one.png", tmp_path / "a copy.png")
    os.link(tmp_path / "m" / "one.png", tmp_path / "z.png")
    photo(tmp_path / "same size.bmp", seed=1)
    photo(tmp_path / "same size too.bmp", seed=2)
    found = scan(tmp_path)
    assert paths(found) == ["a copy.png", "same size too.bmp", "same size.bmp"]
    assert reasons(found) == {"m/one.png": "duplicate", "z.png": "duplicate"}
    assert all("a copy.png" in one.detail for one in found.rejects)
    assert len(scan(tmp_path, duplicates="keep").entries) == 5


def test_neither_listing_order_nor_place_matters(tmp_path, monkeypatch):
    root = tmp_path / "first"
    for seed in range(12):
        photo(root / "abc"[seed % 3] / f"{seed % 5}.png", 20 + seed, seed=seed)
    photo(tmp_path / "x" / "0.png", seed=99)
    for name in ("l1", "l2"):
        (root / name).symlink_to("../x")
    photo(root / "b" / "copy.png", 20, seed=0)
    wanted = scan(root)
    real = os.scandir

    class Shuffled:
        def __init__(self, path):
            with real(path) as listing:
                self.inside = list(listing)
            random.Random(0).shuffle(self.inside)

        def __enter__(self):
            return iter(self.inside)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    again = scan(root)
    monkeypatch.undo()
    assert again == wanted and len(wanted.rejects) == 1
    shutil.copytree(root, tmp_path / "elsewhere", symlinks=True)
    moved = scan(tmp_path / "elsewhere")
    assert (moved.entries, moved.rejects) == (wanted.entries, wanted.rejects)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    photo(tmp_path / "a.png")
    photo(tmp_path / "locked" / "b.png", seed=1)
    real = os.scandir

    def locked(path):
        if str(path).endswith(("locked", "alone")):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(MachineFault, match=r"locked cannot be read \(Permission denied, EACCES\)"):
        scan(Folder(tmp_path, patience=Patience(0)))
    found = scan(Folder(tmp_path, patience=Patience(0, allow_missing=True)))
    assert paths(found) == ["a.png"] and reasons(found) == {"locked": "no_access"}
    (tmp_path / "alone").mkdir()
    with pytest.raises(MachineFault, match="Permission denied"):
        scan(Folder(tmp_path / "alone", patience=Patience(0)))


def test_a_file_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    photo(tmp_path / "a.png")
    real = os.open

    def refused(path, *how, **more):
        if str(path).endswith("a.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, *how, **more)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(MachineFault, match="a.png cannot be read .*--allow-missing"):
        scan(Folder(tmp_path, patience=Patience(0)))
    assert reasons(scan(Folder(tmp_path, patience=Patience(0, allow_missing=True)))) == {"a.png": "no_access"}


def test_a_link_that_leads_nowhere_may_have_led_to_a_folder(tmp_path):
    photo(tmp_path / "a.png")
    (tmp_path / "more").symlink_to(tmp_path / "not mounted")
    with pytest.raises(MachineFault, match="more is not there"):
        scan(Folder(tmp_path, patience=Patience(0)))
    assert reasons(scan(Folder(tmp_path, patience=Patience(0, allow_missing=True)))) == {"more": "missing"}


def test_a_name_that_is_not_utf8_is_named_in_ascii(tmp_path):
    photo(tmp_path / "a.png")
    try:
        os.rename(os.fsencode(tmp_path / "a.png"), os.fsencode(tmp_path) + b"/\xff.png")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    assert reasons(scan(tmp_path)) == {"\\xff.png": "bad_name"}


def test_a_root_that_is_no_folder(tmp_path):
    photo(tmp_path / "a.png")
    for root in (tmp_path / "none", tmp_path / "a.png"):
        with pytest.raises(DegradeError, match="folder"):
            scan(root)
    (tmp_path / "empty").mkdir()
    assert len(scan(tmp_path / "empty").entries) == 0
