"""--format webp: the same pixels in every kind of sink, for other decoders, through kills, `check` and `report`."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sinks.check import check
from degrade_engine.engine.sinks.contract import HEAD, size_of

from ..pair_sets import KINDS, PAIRS, generate, photograph, photographs, put, stored, tree, words
from .test_sinks import SHARES, VICTIM, by_lmdb_keys, by_meta_info, by_name

ROLES = ("gt", "lq")
BAD = "0000007"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 160)


@pytest.fixture(scope="module")
def runs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each kind, and one of PNGs in a folder."""
    folder = tmp_path_factory.mktemp("runs")
    assert generate("folder", photos, folder / "png", "--lr-size", 32) == 0
    for kind in KINDS:
        assert generate(kind, photos, folder / kind, "--lr-size", 32, "--format", "webp") == 0
    return {name: folder / name for name in ("png", *KINDS)}


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (512, 512), (33, 2)])
def test_every_pixel_comes_back_through_other_decoders(height: int, width: int):
    dice = np.random.default_rng(height)
    for pixels in (
        dice.integers(0, 256, (height, width, 3), np.uint8),
        np.broadcast_to(np.arange(width, dtype=np.uint8)[:, None], (height, width, 3)),
        np.zeros((height, width, 3), np.uint8),
    ):
        data = images.encode_webp(pixels)
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(decoded[..., ::-1], pixels)
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            assert image.mode == "RGB" and not {"exif", "icc_profile"} & image.info.keys()
            assert np.array_equal(np.asarray(image), pixels)
        assert images.encode_webp(pixels.copy()) == data
        assert size_of(data[:HEAD], "it", "webp") == (height, width)


def test_what_is_no_lossless_webp_of_rgb():
    pixels = photograph(0, 64)
    with pytest.raises(DegradeError, match="16383"):
        images.encode_webp(np.zeros((1, 16384, 3), np.uint8))
    for other, options in (
        (pixels, {"lossless": False}),
        (np.dstack([pixels, pixels[..., :1]]), {"lossless": True}),
        (pixels, {"lossless": True, "icc_profile": b"x" * 200}),
    ):
        file = io.BytesIO()
        Image.fromarray(other).save(file, "WEBP", **options)
        with pytest.raises(DegradeError, match="lossless WebP of RGB"):
            size_of(file.getvalue()[:HEAD], "it", "webp")
    with pytest.raises(DegradeError, match="lossless WebP of RGB"):
        size_of(images.encode_png(pixels)[:HEAD], "it", "webp")
    with pytest.raises(DegradeError, match="8-bit RGB PNG"):
        size_of(images.encode_webp(pixels)[:HEAD], "it", "png")


def test_loaders_find_the_pixels_of_the_png_set(runs: dict[str, Path]):
    wanted = by_name(runs["png"])
    readers = [("folder", by_name), ("folder", by_meta_info), ("lmdb", by_lmdb_keys)]
    for kind, read in readers:
        found = read(runs[kind])
        assert found.keys() == wanted.keys() and len(found) == PAIRS
        assert all(np.array_equal(found[key][n], wanted[key][n]) for key in wanted for n in (0, 1))
    for stem in wanted:
        for role in ROLES:
            data = stored(runs["webdataset"], "webdataset", stem, role, "webp")
            assert data == stored(runs["folder"], "folder", stem, role, "webp")
            assert data == stored(runs["lmdb"], "lmdb", stem, role)
    for kind in KINDS:
        assert (runs[kind] / "manifest.jsonl").read_bytes() == (runs["png"] / "manifest.jsonl").read_bytes()
    assert (runs["lmdb"] / "lq.lmdb" / "meta_info.txt").read_text().startswith("0000000.webp (32,32,3) 0\n")
    assert (runs["folder"] / "meta_info_GT.txt").read_text().startswith("0000000.webp (128,128,3)\n")


def test_the_webdataset_library_decodes_it(runs: dict[str, Path]):
    import webdataset

    urls = sorted(str(path) for path in (runs["webdataset"] / "webdataset").iterdir())
    wanted = by_name(runs["png"])
    found = 0
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"):
        for role, pixels in zip(ROLES, wanted[sample["__key__"]], strict=True):
            assert np.array_equal(sample[f"{role}.webp"][..., ::-1], pixels)
        found += 1
    assert found == PAIRS


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_to_the_same_bytes(runs: dict[str, Path], photos: Path, tmp_path: Path, kind: str):
    share = SHARES[1:3]
    outs = [str(tmp_path / str(n)) for n in range(len(share) + 1)]
    line = json.dumps([words(kind, photos, Path("unused"), "--lr-size", 32, "--format", "webp"), outs, share])
    done = subprocess.run([sys.executable, "-c", VICTIM, line], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    for died, code in json.loads(done.stdout)[1:]:
        assert died and code == 0
    for out in outs:
        assert tree(Path(out)) == tree(runs[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_resume_check_status_and_report_know_it(runs, photos, tmp_path, kind, capsys):
    out = tmp_path / "set"
    shutil.copytree(runs[kind], out)
    before = tree(out)
    again = ("--lr-size", 32, "--format", "webp")
    assert generate(kind, photos, out, *again) == 0 and tree(out) == before
    assert main(["status", str(out)]) == 0
    assert main(["report", str(out), "-o", str(tmp_path / "page.html"), "--limit", "3"]) == 0
    assert main(["report", str(runs["png"]), "-o", str(tmp_path / "png.html"), "--limit", "3"]) == 0
    shown = [re.findall("<article.*</article>", (tmp_path / name).read_text(), re.DOTALL)
             for name in ("page.html", "png.html")]  # fmt: skip
    assert shown[0] and shown[0] == shown[1]
    capsys.readouterr()
    assert main(["check", str(out)]) == 0
    assert capsys.readouterr().out == f"{PAIRS} pairs ({kind}): no problem\n"
    whole = stored(out, kind, BAD, "lq", "webp")
    lossy = io.BytesIO()
    Image.open(io.BytesIO(whole)).save(lossy, "WEBP", quality=80)
    for data, said in (
        (images.encode_png(images.read_rgb(images.Encoded("it", whole))), "no lossless WebP"),
        (lossy.getvalue(), "no lossless WebP"),
        (whole[: len(whole) // 2], "cannot be decoded"),
    ):
        put(out, kind, BAD, "lq", data, "webp")
        found = [one for one in check(out).problems if one.check != "meta"]
        assert [(one.name, one.check) for one in found] == [(BAD, "mode")] and said in str(found[0])
    put(out, kind, BAD, "lq", None, "webp")
    if kind == "folder":  # what has vanished is made again
        assert generate(kind, photos, out, *again) == 0 and tree(out) == before
        (out / "gt" / f"{BAD}.png").write_bytes(images.encode_png(photograph(0, 64)))
        assert [one.check for one in check(out).problems] == ["file"]


def test_a_set_has_one_format(runs, photos, tmp_path, capsys):
    assert generate("folder", photos, runs["png"], "--lr-size", 32, "--format", "webp") == 2
    assert "file_format was png and is now webp" in capsys.readouterr().err
    assert generate("folder", photos, tmp_path / "new", "--format", "webp", "--gt", "link") == 2
    assert "keeps HR files as the PNGs that they are" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert generate("folder", photos, tmp_path / "lq", "--lr-size", 32, "--format", "webp", "--gt", "none") == 0
    assert stored(tmp_path / "lq", "folder", BAD, "lq", "webp") == stored(runs["folder"], "folder", BAD, "lq", "webp")
