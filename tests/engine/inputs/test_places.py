"""Folders, globs, lists and URLs: the same images have the same names and the same inventory wherever they lie."""

import os
import pickle
import shutil
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from degrade_engine.engine import images
from degrade_engine.engine.errors import BadImage, DegradeError, MachineFault
from degrade_engine.engine.faults import Patience
from degrade_engine.engine.inputs import globs, inventory, places, sources

fsspec = pytest.importorskip("fsspec")
NAMES = ["a.jpg", "a/b.png", "a-b.jpg", "a/deep/c d.jpg", "é.png", "z/[1].jpg", "z/.hidden/x.jpg", "z/notes.md"]


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for seed, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (20 + seed, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name, "PNG" if name.endswith(("png", "md")) else "JPEG")
    return root


def names(where):
    return [one.path for one in inventory.scan(where).entries]


def remote_twins(photos, tmp_path):
    """The same files behind three URLs."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for path in photos.rglob("*.*"):
        if path.is_file():
            memory.pipe(f"/bucket/photos/{path.relative_to(photos).as_posix()}", path.read_bytes())
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*"), reverse=True):
            archive.write(path, path.relative_to(photos))
    return ["memory://bucket/photos", f"zip://::{tmp_path}/photos.zip", f"file://{photos}"]


def test_the_inventory_and_the_pixels_are_the_same_wherever_the_images_lie(photos, tmp_path):
    wanted = inventory.scan(photos)
    assert [one.path for one in wanted.entries] == sorted(names(photos), key=str.encode) and len(wanted.entries) == 6
    (photos / "all.txt").write_text("\n".join(one.path for one in reversed(wanted.entries)), encoding="utf-8")
    everywhere = [*remote_twins(photos, tmp_path), str(photos), f"{photos}/**", str(photos / "all.txt")]
    for where in everywhere:
        found = inventory.scan(where)
        assert (found.entries, found.rejects) == (wanted.entries, wanted.rejects), where
        for one in found.entries:
            pixels = images.read_rgb(images.Encoded(one.path, found.place.read(one.path)))
            assert np.array_equal(pixels, images.read_rgb(photos / one.path)), where


def test_a_glob_keeps_what_fits(photos, tmp_path):
    wanted = {
        "**/*.jpg": ["a-b.jpg", "a.jpg", "a/deep/c d.jpg", "z/[1].jpg"],
        "*.jpg": ["a-b.jpg", "a.jpg"],
        "*/*": ["a/b.png", "z/[1].jpg"],
        "a/**/?.png": ["a/b.png"],
        "**/deep/**": ["a/deep/c d.jpg"],
        "[a-c].*": ["a.jpg"],
    }
    for pattern, found in wanted.items():
        root, _ = globs.split_glob(f"{photos}/{pattern}")
        short = [os.path.relpath(photos / name, root) for name in found]
        assert sorted(names(f"{photos}/{pattern}")) == sorted(short), pattern
    for url in remote_twins(photos, tmp_path)[:2]:
        glob = (
            url.replace("photos", "photos/**/*.jpg", 1)
            if url.startswith("memory")
            else url.replace("://", "://**/*.jpg")
        )
        assert names(glob) == wanted["**/*.jpg"], glob


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "x[1]")
    shutil.copytree(photos, tmp_path / "y.txt")
    assert names(str(tmp_path / "x[1]")) == names(str(tmp_path / "y.txt")) == names(photos)


def test_a_list_of_absolute_paths_is_named_from_their_common_folder(photos, tmp_path):
    lines = ["\ufeff" + f"{photos}/a/b.png", "", f"{photos}/a/deep/c d.jpg", f"{photos}/a/b.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    found = inventory.scan(str(tmp_path / "list.txt"))
    assert [one.path for one in found.entries] == ["b.png", "deep/c d.jpg"]
    assert [(one.path, one.reason) for one in found.rejects] == [("b.png", "duplicate")]


def test_what_a_list_names_and_is_not_there_is_named(photos):
    (photos / "list.txt").write_text("a.jpg\n../photos/a/b.png\ngone.jpg\na\nz/notes.md\nlist.txt\n")
    with pytest.raises(MachineFault, match="gone.jpg is not there") as error:
        inventory.scan(places.at(str(photos / "list.txt"), Patience(0)))
    assert "--allow-missing" in str(error.value)
    found = inventory.scan(places.at(str(photos / "list.txt"), Patience(0, allow_missing=True)))
    assert [one.path for one in found.entries] == ["../photos/a/b.png", "a.jpg", "z/notes.md"]
    reasons = {one.path: one.reason for one in found.rejects}
    assert reasons == {"gone.jpg": "missing", "a": "unreadable", "list.txt": "not_an_image"}


def test_a_name_in_a_list_that_is_no_utf8_is_left_out_alone(photos):
    (photos / "list.txt").write_bytes(b"\xef\xbb\xbfa.jpg\nM\xfcnchen.jpg\na/b.png\n" + b"x" * 5000 + b".png\n")
    found = inventory.scan(str(photos / "list.txt"))
    assert [one.path for one in found.entries] == ["a.jpg", "a/b.png"]
    assert [(one.path[:9], one.reason) for one in found.rejects][0] == ("M\\xfcnche", "bad_name")
    assert [one.reason for one in found.rejects][1] == "bad_name"


def test_a_pair_list_with_a_name_that_is_no_utf8_loses_that_pair_alone(photos):
    long = "y" * 5000
    (photos / "pairs.csv").write_bytes(f"hr\na.jpg\n{long}\nnul\0.jpg\na-b.jpg\n".encode() + b"M\xfcnchen.jpg\n")
    found = sources.from_list(photos / "pairs.csv", None, None, hr_size=8, reference_size=None)
    assert found.listed == ((0, 0), (-1, 0), (-1, 0), (1, 0), (-1, 0)) and len(found.rejects) == 3
    for data in (b"hr\n".decode().encode("utf-16"), b"\xff\xfe\n\xff\n"):
        (photos / "pairs.csv").write_bytes(data)
        with pytest.raises(DegradeError, match="not UTF-8 text"):
            sources.from_list(photos / "pairs.csv", None, None, hr_size=8, reference_size=None)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "lists no file"), ("a.jpg\n/b.jpg\n", "relative and absolute"), ("s3://b/a.jpg", "on this machine")],
)
def test_a_list_that_is_none(tmp_path, text, said):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DegradeError, match=said):
        places.at(str(tmp_path / "list.txt"))


def test_places_that_are_not_there_are_one_sentence(tmp_path, photos):
    (tmp_path / "no.zip").write_bytes(b"no zip at all")
    for where in (
        str(tmp_path / "gone"),
        str(tmp_path / "gone.txt"),
        f"{tmp_path}/gone/*.jpg",
        str(photos / "a.jpg"),
        "memory://gone",
        f"zip://::{tmp_path}/gone.zip",
        f"zip://::{tmp_path}/no.zip",
        "nosuchthing://a",
        "s3://bucket/a" if "s3fs" not in sys.modules else "memory://gone",
    ):
        with pytest.raises(DegradeError) as error:
            inventory.scan(where)
        assert "\n" not in str(error.value), where


@pytest.mark.parametrize(("where", "extra"), [("s3://bucket/a", "s3"), ("gs://bucket/a", "gcs")])
def test_a_store_whose_package_is_missing_names_the_extra(monkeypatch, where, extra):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    known = pytest.importorskip("fsspec.registry")._registry  # another test may have loaded them
    for scheme in ("s3", "gs", "gcs"):
        monkeypatch.delitem(known, scheme, raising=False)
    with pytest.raises(DegradeError, match=rf"pip install 'degrade-engine\[{extra}\]'"):
        places.at(where)


def test_places_go_to_other_processes(photos, tmp_path):
    (photos / "list.txt").write_text("a.jpg\n")
    for where in (str(photos), f"{photos}/*.jpg", str(photos / "list.txt"), remote_twins(photos, tmp_path)[1]):
        place = places.at(where)
        again = pickle.loads(pickle.dumps(place))
        assert (again.name, again.read("a.jpg")) == (place.name, (photos / "a.jpg").read_bytes())


def test_without_fsspec_a_url_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(DegradeError, match=r"degrade-engine\[remote\]"):
        places.at("memory://bucket/photos")


def test_a_remote_file_that_vanishes_or_breaks_is_named(photos, tmp_path, monkeypatch):
    where = remote_twins(photos, tmp_path)[0]
    place, lenient = places.at(where, Patience(0)), places.at(where, Patience(0, allow_missing=True))
    place.system.rm("/bucket/photos/a.jpg")
    with pytest.raises(MachineFault, match="a.jpg is not there"):
        place.read("a.jpg")
    with pytest.raises(BadImage) as error:
        lenient.read("a.jpg")
    assert error.value.reason == "missing"

    def broken(path, **_):
        raise RuntimeError("the bucket is on fire")

    monkeypatch.setattr(place.system, "cat_file", broken, raising=False)
    for one in (place, lenient):
        with pytest.raises(MachineFault, match="on fire"):
            one.read("a/b.png")
