"""`generate` and where its photographs lie: the same bytes from everywhere, one scan a run, changes named."""

import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from degrade_engine.cli import main
from degrade_engine.engine.inputs import inventory, sources
from degrade_engine.engine.inputs.inventory_page import INVENTORY

USUAL = "--pairs 40 --lr-size 16 --scale 2 --degrader bicubic --seed 3 --shard-pairs 4".split()


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for seed, name in enumerate(["a.png", "b/c.jpg", "b/d.webp", "é.png", "e.tif", "f.png"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (40 + seed, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)
    (root / "text.png").write_text("no image")
    return root


def generate(hr, out, *more):
    return main(["generate", "--hr", str(hr), "--out", str(out), *USUAL, *more])


def tree(out):
    """All that a run leaves but what says when and how fast."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "run.json")
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.parent.name != "shards"}


def rejects(out):
    return {one["path"]: one["reason"] for one in map(json.loads, (out / "rejects.jsonl").read_text().splitlines())}


@pytest.fixture
def no_scan(monkeypatch):
    def scan(*_, **__):
        raise AssertionError("the photographs were looked at again")

    def forbid():
        monkeypatch.setattr(inventory, "scan", scan)

    return forbid


def test_the_same_pairs_wherever_the_photographs_lie(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in photos.rglob("*.*"):
            archive.write(path, path.relative_to(photos))
    (photos / "all.txt").write_text("f.png\nb/c.jpg\nb/d.webp\na.png\né.png\ne.tif\ntext.png\n", encoding="utf-8")
    assert generate(photos, tmp_path / "wanted") == 0
    wanted = tree(tmp_path / "wanted")
    assert rejects(tmp_path / "wanted") == {"text.png": "not_an_image"}
    for n, where in enumerate(
        [f"{photos}/**/*.*", photos / "all.txt", f"zip://::{tmp_path}/a.zip", f"file://{photos}"]
    ):
        assert generate(where, tmp_path / f"out{n}") == 0
        assert tree(tmp_path / f"out{n}") == wanted, where


def test_a_repeated_call_does_not_look_again_unless_it_is_told_to(photos, tmp_path, no_scan):
    assert generate(photos, tmp_path / "out") == 0
    wanted = tree(tmp_path / "out")
    for shard in (tmp_path / "out" / "shards").iterdir():
        shard.unlink()
    no_scan()
    assert generate(photos, tmp_path / "out") == 0
    assert tree(tmp_path / "out") == wanted
    for asked in (["--rescan"], ["--identity", "mtime"], ["--pixel-limit", "5000"]):
        with pytest.raises(AssertionError, match="looked at again"):
            generate(photos, tmp_path / "out", *asked)
    page = (tmp_path / "out" / INVENTORY).read_bytes()
    for torn in (page[:-9], page[:200], page.replace(b'"bytes":', b'"bytes":1', 1), b""):
        (tmp_path / "out" / INVENTORY).write_bytes(torn)
        with pytest.raises(AssertionError, match="looked at again"):
            generate(photos, tmp_path / "out")


def test_plan_and_inventory_alone_make_the_same_bytes_elsewhere(photos, tmp_path, no_scan, capsys):
    assert generate(photos, tmp_path / "wanted") == 0
    capsys.readouterr()
    assert generate(photos, tmp_path / "planned", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "40 pairs in 3 shards, from 6 HR images" in said and "1 hr: not_an_image" in said and "no network" in said
    there = sorted(path.name for path in (tmp_path / "planned").iterdir())
    assert there == [INVENTORY, "plan.json", "shards"] and not list((tmp_path / "planned" / "shards").iterdir())
    assert str(tmp_path) not in (tmp_path / "planned" / INVENTORY).read_text()
    shutil.copytree(photos, tmp_path / "elsewhere" / "root")
    (tmp_path / "planned").rename(tmp_path / "elsewhere" / "out")
    shutil.rmtree(photos)
    no_scan()
    assert generate(tmp_path / "elsewhere" / "root", tmp_path / "elsewhere" / "out") == 0
    assert tree(tmp_path / "elsewhere" / "out") == tree(tmp_path / "wanted")


def test_a_pair_list_is_looked_at_once_too(photos, tmp_path, monkeypatch, capsys):
    (photos / "pairs.csv").write_text("hr\nb/c.jpg\ngone.png\na.png\nb/c.jpg\n")
    asked = ["generate", "--degrader", "bicubic", "--lr-size", "16", "--pair-list", str(photos / "pairs.csv")]
    asked += ["--scale", "2", "--out", str(tmp_path / "out"), "--patience", "0"]
    assert main(asked) == 2 and "gone.png is not there" in capsys.readouterr().err
    asked.append("--allow-missing")
    for _ in range(2):
        assert main(asked) == 3  # one pair of four cannot be made
        rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
        assert [row["hr"]["path"] for row in rows] == ["b/c.jpg", "a.png", "b/c.jpg"]
        assert rejects(tmp_path / "out") == {"gone.png": "missing", "1": "unusable_input"}
        monkeypatch.setattr(inventory, "examine", None)


@pytest.mark.parametrize("identity", ["size", "mtime", "sha256"])
def test_what_changed_or_vanished_since_the_plan_is_named(photos, tmp_path, monkeypatch, identity, capsys):
    out = tmp_path / "out"
    assert generate(photos, out, "--identity", identity, "--dry-run") == 0
    before = os.stat(photos / "a.png")
    data = bytearray((photos / "a.png").read_bytes())
    if identity == "size":
        data += b"\0"
    else:  # the same length, the same size in pixels
        data[-1] ^= 1
    (photos / "a.png").write_bytes(data)
    if identity == "sha256":
        os.utime(photos / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    elif identity == "mtime":
        os.utime(photos / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns + 1000))
    page = (out / INVENTORY).read_bytes()
    (photos / "f.png").unlink()
    found = [photo for photo in inventory.scan(photos, identity=identity).entries if photo.path == "a.png"]
    assert len(found) == 1  # still a fine image by its header
    monkeypatch.setattr(sources, "_there", lambda *_: True)  # of so few, the sample would see it before the first read
    asked = ["--identity", identity, "--patience", "0"]
    assert generate(photos, out, *asked) == 2 and "f.png is not there (ENOENT)" in capsys.readouterr().err
    assert generate(photos, out, *asked, "--allow-missing") == 0
    assert json.loads((out / "run.json").read_text())["missing"] == 1
    assert "skipped (--allow-missing): 1" in capsys.readouterr().out
    assert (out / INVENTORY).read_bytes() == page
    assert rejects(out) == {"a.png": "changed", "f.png": "missing", "text.png": "not_an_image"}
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 40


def test_another_place_with_other_photographs_is_another_plan(photos, tmp_path, capsys):
    assert generate(photos, tmp_path / "out") == 0
    shutil.copytree(photos, tmp_path / "other")
    (tmp_path / "other" / "a.png").rename(tmp_path / "other" / "z.png")
    missing, another = "other/a.png is not there", "other settings: hr was 6 images"
    for asked, said in ((["--patience", "0"], missing), (["--rescan"], another)):
        assert generate(tmp_path / "other", tmp_path / "out", *asked) == 2
        assert said in capsys.readouterr().err.replace("\n", " ")


def test_transparent_images_are_refused_as_asked(photos, tmp_path):
    Image.fromarray(np.full((60, 60, 4), 90, np.uint8)).save(photos / "glass.png")
    assert generate(photos, tmp_path / "white") == 0
    assert generate(photos, tmp_path / "refuse", "--alpha", "refuse") == 0
    assert "glass.png" not in rejects(tmp_path / "white")
    assert rejects(tmp_path / "refuse")["glass.png"] == "alpha"
    assert "alpha" not in json.loads((tmp_path / "white" / "plan.json").read_text())


def test_the_pixel_limit_holds_for_scan_and_decode(photos, tmp_path):
    assert generate(photos, tmp_path / "out", "--pixel-limit", "2150") == 0
    found = rejects(tmp_path / "out")
    assert {path for path, reason in found.items() if reason == "too_large"} == {"é.png", "e.tif", "f.png"} - {"é.png"}


def test_a_place_without_images_is_said(photos, tmp_path, capsys):
    for where, said in ((f"{photos}/*.jqg", "no hr image in"), (tmp_path / "a.zip", "a.zip is not there")):
        assert generate(where, tmp_path / "out") == 2
        assert said in capsys.readouterr().err.replace("\n", "")
    assert not (tmp_path / "out").exists()
