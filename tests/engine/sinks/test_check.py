"""`check` passes a good set of each kind and names each planted fault, and nothing else."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from degrade_engine.cli import main
from degrade_engine.engine.images import read_rgb, resize_bicubic
from degrade_engine.engine.sinks.check import check, look
from degrade_engine.engine.sinks.pairs import Sample, kind_of, pick

from ..pair_sets import KINDS, PAIRS, generate, photograph, photographs, put, stored

BAD = "0000007"
OTHER = "0000003"


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good set of each kind, LR size 32, to be read only."""
    folder = tmp_path_factory.mktemp("sets")
    photos = photographs(folder / "hr", 160)
    for kind in KINDS:
        assert generate(kind, photos, folder / kind, "--lr-size", 32) == 0
    return {kind: folder / kind for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_set_passes(sets, kind, capsys):
    assert kind_of(sets[kind]) == kind
    assert main(["check", str(sets[kind])]) == 0
    assert capsys.readouterr().out == f"{PAIRS} pairs ({kind}): no problem\n"


def test_hard_degradations_pass(tmp_path):
    photos = photographs(tmp_path / "hr", 160)
    for degrader in ("realesrgan", "bsrgan", "camera"):
        assert generate("folder", photos, tmp_path / degrader, "--lr-size", 32, degrader=degrader) == 0
        assert check(tmp_path / degrader).problems == ()


def png(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def changed(change: Callable[[np.ndarray], np.ndarray], **options: object) -> Callable[[bytes], bytes]:
    return lambda data: png(np.ascontiguousarray(change(pixels_of(data))), **options)


def deep(data: bytes) -> bytes:
    """The same picture as a PNG of 16 bits a channel."""
    import cv2

    return cv2.imencode(".png", pixels_of(data)[..., ::-1].astype(np.uint16) * 257)[1].tobytes()


def upside_down() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 3
    return exif


BLOTCHES = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (4, 4, 3)).repeat(8, 0).repeat(8, 1)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FAULTS = {  # role, change, the check that finds it, a word of what it says
    "gray": ("lq", changed(lambda p: p[..., 0]), "mode", "8 bits, L"),
    "alpha": ("gt", changed(lambda p: np.dstack([p, p[..., :1]])), "mode", "RGBA"),
    "16 bits": ("gt", deep, "mode", "16 bits"),
    "a profile": ("lq", changed(lambda p: p, icc_profile=PROFILE), "mode", "icc_profile"),
    "EXIF": ("gt", changed(lambda p: p, exif=upside_down()), "mode", "exif"),
    "a JPEG": ("lq", lambda data: b"\xff\xd8\xff" + data, "mode", "no PNG"),
    "no bytes": ("lq", lambda data: b"", "mode", "no bytes"),
    "half a file": ("gt", lambda data: data[: len(data) // 2], "mode", "cannot be decoded"),
    "a row less": ("lq", changed(lambda p: p[:-1]), "size", "32 x 31"),
    "scale 2": ("lq", lambda data: png(photograph(9, 64)[:64, :64]), "size", "64 x 64"),
    "one pixel down": ("lq", changed(lambda p: np.roll(p, 1, 0)), "shift", "+1.0 down"),
    "three HR pixels left": ("gt", changed(lambda p: np.roll(p, 3, 1)), "shift", "right"),
    "ten pixels right": ("lq", changed(lambda p: np.roll(p, 10, 1)), "shift", "+10.0 right"),
    "mirrored": ("lq", changed(lambda p: p[:, ::-1]), "turned", "mirrored left to right"),
    "upside down": ("gt", changed(lambda p: p[::-1, ::-1]), "turned", "turned by 180 degrees"),
    "on its side": ("lq", changed(np.rot90), "turned", "turned left by 90 degrees"),
    "BGR": ("lq", changed(lambda p: p[..., ::-1]), "channels", "the GT's B, G, R"),
    "another picture": ("lq", changed(lambda p: BLOTCHES), "picture", "another picture"),
    "too red": ("lq", changed(lambda p: np.clip(p + np.array([30, 0, 0]), 0, 255).astype(np.uint8)), "colour", "+30"),
    "black": ("lq", changed(np.zeros_like), "constant", "black"),
    "one colour": ("lq", changed(lambda p: np.full_like(p, 77)), "constant", "one colour (77, 77, 77)"),
}


def problems(out: Path) -> list[tuple[str, str]]:
    return [(one.name, one.check) for one in check(out).problems]


@pytest.mark.parametrize("kind", KINDS)
def test_each_faulty_image_is_named_and_nothing_else(sets, tmp_path, kind, capsys):
    out = tmp_path / "set"
    shutil.copytree(sets[kind], out)
    for name, (role, change, wanted, said) in FAULTS.items():
        whole = stored(out, kind, BAD, role)
        put(out, kind, BAD, role, change(whole))
        found = [one for one in check(out).problems if one.check != "meta"]  # sizes on record do not fit then either
        assert [(one.name, one.check) for one in found] == [(BAD, wanted)], (name, found)
        assert said in str(found[0]), (name, found)
        put(out, kind, BAD, role, whole)
    assert main(["check", str(out)]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_that_have_each_other_s_lr(sets, tmp_path, kind):
    out = tmp_path / "set"
    shutil.copytree(sets[kind], out)
    lows = [stored(out, kind, stem, "lq") for stem in (BAD, OTHER)]
    for stem, low in zip((OTHER, BAD), lows, strict=True):
        put(out, kind, stem, "lq", low)
    said = [(one.name, one.check, one.came) for one in check(out).problems]
    assert sorted(said) == [
        (OTHER, "picture", f"the picture of {BAD}"), (BAD, "picture", f"the picture of {OTHER}"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_that_are_there_twice(sets, tmp_path, kind):
    out = tmp_path / "set"
    shutil.copytree(sets[kind], out)
    for role in ("gt", "lq"):
        put(out, kind, BAD, role, stored(out, kind, OTHER, role))
    assert problems(out) == [(BAD, "duplicate")] * 2
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    rows[int(BAD)]["hr"] = rows[int(OTHER)]["hr"]  # where the plan drew one crop twice, only the LQ is a problem
    (out / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = check(out)
    assert [one.check for one in report.problems if one.check != "manifest"] == ["duplicate"]
    assert "LQ" in str(report.problems[-1]) and report.shared_gt == 1


@pytest.mark.parametrize("kind", KINDS)
def test_half_pairs_and_counts(sets, tmp_path, kind):
    out = tmp_path / "set"
    shutil.copytree(sets[kind], out)
    put(out, kind, BAD, "lq", None)
    found = problems(out)
    lists = {"folder": 3, "lmdb": 3, "webdataset": 1, "parquet": 1}[kind]  # that name the pair: manifest and meta files
    assert sorted(found) == sorted([(BAD, "pair"), *[(BAD, "count")] * lists, ("run.json", "count")])
    if kind in ("webdataset", "parquet"):
        return
    put(out, kind, BAD, "gt", None)
    assert sorted(problems(out)) == sorted([*[(BAD, "count")] * lists, ("run.json", "count")])


@pytest.mark.parametrize("kind", KINDS)
def test_a_manifest_that_does_not_fit(sets, tmp_path, kind):
    out = tmp_path / "set"
    shutil.copytree(sets[kind], out)
    lines = (out / "manifest.jsonl").read_text().splitlines(keepends=True)
    (out / "manifest.jsonl").write_text("".join(lines[:5] + lines[6:] + ["{\n"]))
    assert problems(out) == [("manifest.jsonl line 20", "manifest"), ("0000005", "count")]
    (out / "manifest.jsonl").write_text("".join([lines[0], *lines]))
    assert problems(out) == [("0000000", "manifest")]
    for name in ("manifest.jsonl", "run.json"):
        (out / name).unlink()
    assert problems(out) == [("run.json", "run"), ("manifest.jsonl", "manifest")]


@pytest.mark.parametrize(("kind", "meta"), [("folder", "meta_info_GT.txt"), ("lmdb", "lq.lmdb/meta_info.txt")])
def test_meta_files_that_do_not_fit(sets, tmp_path, kind, meta):
    out = tmp_path / "set"
    shutil.copytree(sets[kind], out)
    path, whole = out / meta, (out / meta).read_text()
    side = "128,128" if kind == "folder" else "32,32"
    line = f"{BAD}.png ({side},3)" + (" 1" if kind == "lmdb" else "")
    for text, wanted in (
        (whole.replace(line, line.replace(side, "9,9")), [(BAD, "meta")]),
        (whole.replace(line + "\n", ""), [(BAD, "count")]),
        (whole + line + "\n", [(BAD, "meta")]),
        (whole + line.replace(BAD, "0000099") + "\n", [("0000099", "count")]),
        (whole + "rubbish\n", [(f"{meta} line 21", "meta")]),
    ):
        path.write_text(text)
        assert problems(out) == wanted
    path.unlink()
    assert problems(out) == [(meta, "meta")]


def test_strangers_in_the_folders(sets, tmp_path):
    out = tmp_path / "folder"
    shutil.copytree(sets["folder"], out)
    whole = (out / "gt" / f"{BAD}.png").read_bytes()
    (out / "gt" / "Thumbs.db").touch()
    (out / "lq" / ".hidden.png").write_bytes(whole)
    (out / "gt" / "a_x4.png").write_bytes(whole)
    (out / "lq" / "deeper.png").mkdir()
    found = [("gt/Thumbs.db", "file"), ("lq/.hidden.png", "file"), ("a_x4", "stem"), ("lq/deeper.png", "file")]
    assert sorted(problems(out)) == sorted(found)
    tar = tmp_path / "webdataset"
    shutil.copytree(sets["webdataset"], tar)
    first, second = sorted((tar / "webdataset").iterdir())
    first.write_bytes(first.read_bytes()[:5000])
    (tar / "webdataset" / "notes.txt").touch()
    found = problems(tar)
    assert ("webdataset/notes.txt", "file") in found and (f"webdataset/{first.name}", "file") in found
    shutil.copy(second, first)
    assert [one for one in problems(tar) if one[1] == "pair"] == [(f"{n:07d}", "pair") for n in range(16, 20)]


def test_the_page_and_the_exit_codes(sets, tmp_path, capsys):
    out = tmp_path / "set"
    shutil.copytree(sets["folder"], out)
    put(out, "folder", BAD, "lq", b"")
    assert main(["check", str(out), "--json", "--threads", "3"]) == 1
    page = json.loads(capsys.readouterr().out)
    assert page["ok"] is False and page["pairs"] == PAIRS and page["by_check"] == {"mode": 1}
    assert page["problems"][0]["name"] == BAD and page["problems"][0]["came"] == "no bytes"
    assert main(["check", str(out)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{BAD}: mode: wanted LQ as a whole 8-bit RGB PNG, came no bytes",
        f"{PAIRS} pairs (folder): 1 problems: 1 mode",
    ]
    assert main(["check", str(tmp_path)]) == 2
    assert "holds runs in folders of their own, such as set" in capsys.readouterr().err
    for role in ("gt", "lq"):
        shutil.rmtree(out / role)
    assert main(["check", str(out)]) == 2
    assert "holds no pairs that can be read" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_some_pairs_by_their_stems(sets, kind):
    found = pick(sets[kind], kind, [BAD, "0000099"])
    assert list(found) == [BAD] and found[BAD].gt == stored(sets[kind], kind, BAD, "gt")


@pytest.mark.parametrize("size", [(1, 1), (7, 40), (9, 11)])
def test_small_and_odd_images_are_looked_at_all_the_same(size):
    lq = photograph(3, 64)[: size[0], : size[1]]
    looked = look(Sample("a", png(np.kron(lq, np.ones((2, 2, 1), np.uint8))), png(lq)), scale=None)
    assert [one.check for one in looked.problems] == []
    assert looked.gt_size == (2 * size[0], 2 * size[1]) and looked.lq_size == size


def test_an_image_of_one_colour_is_named_where_its_partner_has_a_picture(root):
    def looked(gt: np.ndarray, lq: np.ndarray) -> list[tuple[str, str]]:
        gt = np.kron(gt, np.ones((2, 2, 1), np.uint8))
        return [(one.check, one.came) for one in look(Sample("a", png(gt), png(lq)), scale=2).problems]

    picture = resize_bicubic(read_rgb(root / "samples/hr/nyc.png"), (96, 96))
    flat = {value: np.full_like(picture, value) for value in (0, 77, 255)}
    noise = np.random.default_rng(0).normal(0, 40, picture.shape)
    for value, image in flat.items():
        came = "black" if value == 0 else f"one colour ({value}, {value}, {value})"
        assert looked(image, picture) == looked(picture, image) == [("constant", came)]
        assert looked(image, image) == []
        assert looked(image, np.clip(image + noise, 0, 255).astype(np.uint8)) == []
    assert looked(flat[0], flat[255])[0][0] == looked(flat[255], flat[77])[0][0] == "constant"
