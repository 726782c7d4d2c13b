"""--gt: HR files that are GT as they lie are linked, others are encoded; none are written where none are wanted."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.faults import Patience
from degrade_engine.engine.sinks import linking
from degrade_engine.engine.sinks.linking import is_plain_png

from ..pair_sets import generate, photograph, stored, tree


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 x 64, which is a whole GT, in every dress; and one that is larger."""
    folder = tmp_path_factory.mktemp("photos")
    pixels = [np.ascontiguousarray(photograph(n, 64)[:, :64]) for n in range(6)]
    plain, colour = Image.fromarray(pixels[1]), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    (folder / "plain.png").write_bytes(images.encode_png(pixels[0], 9))
    plain.save(folder / "icc.png", icc_profile=colour.tobytes())
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(pixels[2]).save(folder / "turned.png", exif=exif)
    Image.fromarray(pixels[3]).convert("L").save(folder / "gray.png")
    Image.fromarray(pixels[4]).save(folder / "photo.jpg", quality=95)
    (folder / "large.png").write_bytes(images.encode_png(np.ascontiguousarray(photograph(5, 80)[:, :80])))
    return folder


def test_only_a_plain_png_is_one(photos: Path, tmp_path: Path):
    assert {path.name for path in photos.iterdir() if is_plain_png(path)} == {"plain.png", "large.png"}
    whole = (photos / "plain.png").read_bytes()
    for cut in (0, 20, 33, 40, len(whole) - 13):
        (tmp_path / "cut.png").write_bytes(whole[:cut])
        assert not is_plain_png(tmp_path / "cut.png")


@pytest.mark.parametrize("kind", ["folder", "lmdb", "webdataset"])
def test_link_keeps_the_files_bytes_and_every_pixel(photos: Path, tmp_path: Path, kind: str, capsys):
    for gt in ("crop", "link"):
        assert generate(kind, photos, tmp_path / gt, "--gt", gt) == 0
    linked = 0
    for row in map(json.loads, (tmp_path / "link" / "manifest.jsonl").read_text().splitlines()):
        crop, link = (stored(tmp_path / gt, kind, row["name"], "gt") for gt in ("crop", "link"))
        if row["hr"]["path"] == "plain.png":
            linked += 1
            assert link == (photos / "plain.png").read_bytes() != crop
            if kind == "folder":
                assert (tmp_path / "link" / "gt" / f"{row['name']}.png").samefile(photos / "plain.png")
        else:
            assert link == crop
        assert stored(tmp_path / "crop", kind, row["name"], "lq") == stored(tmp_path / "link", kind, row["name"], "lq")
    assert 0 < linked < 20
    capsys.readouterr()
    main(["check", str(tmp_path / "link"), "--json"])  # whole images come again, and then so do their LQ
    assert json.loads(capsys.readouterr().out)["by_check"].keys() == {"duplicate"}
    assert main(["status", str(tmp_path / "link")]) == 0


def test_without_links_the_file_is_copied(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert generate("folder", photos, tmp_path / "link", "--gt", "link") == 0
    monkeypatch.setattr(linking.os, "link", lambda *_: (_ for _ in ()).throw(OSError("another device")))
    assert generate("folder", photos, tmp_path / "copy", "--gt", "link") == 0
    assert tree(tmp_path / "copy") == tree(tmp_path / "link")
    assert not any(path.samefile(photos / "plain.png") for path in (tmp_path / "copy" / "gt").iterdir())


def test_an_hr_file_that_cannot_be_read_for_a_while_is_linked_all_the_same(photos, tmp_path, monkeypatch, capsys):
    assert generate("folder", photos, tmp_path / "wanted", "--gt", "link") == 0
    real, failures = linking._is_plain, [OSError(errno.EIO, "Input/output error")] * 3

    def failing(path: Path) -> bool:
        if failures:
            raise failures.pop()
        return real(path)

    monkeypatch.setattr(linking, "_is_plain", failing)
    assert generate("folder", photos, tmp_path / "link", "--gt", "link") == 0 and not failures
    assert tree(tmp_path / "link") == tree(tmp_path / "wanted")
    monkeypatch.setattr(linking, "Patience", lambda: Patience(0))
    failures += [OSError(errno.EIO, "Input/output error")] * 99
    assert generate("folder", photos, tmp_path / "stopped", "--gt", "link") == 2
    assert "cannot be read (Input/output error, EIO)" in capsys.readouterr().err.replace("\n", " ")


def test_none_writes_lq_alone_and_says_so(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for gt in ("crop", "none"):
        assert generate("folder", photos, tmp_path / gt, "--gt", gt) == 0
    there, usual = tree(tmp_path / "none"), tree(tmp_path / "crop")
    assert set(usual) - set(there) == {one for one in usual if one.startswith(("gt/", "meta_info"))}
    about = ("plan.json", "README.md", "metadata.jsonl")
    assert all(there[name] == usual[name] for name in there if name not in about)
    assert generate("folder", photos, tmp_path / "none", "--gt", "none") == 0 and tree(tmp_path / "none") == there
    capsys.readouterr()
    for words in (["check"], ["report", "-o", str(tmp_path / "page.html")]):
        assert main([*words, str(tmp_path / "none")]) == 2
        assert "holds LR images without GT" in capsys.readouterr().err
    assert generate("folder", photos, tmp_path / "none", "--gt", "link") == 2
    assert "gt was none and is now link" in capsys.readouterr().err
    assert generate("lmdb", photos, tmp_path / "new", "--gt", "none") == 2
    assert "readers need pairs" in capsys.readouterr().err and not (tmp_path / "new").exists()
