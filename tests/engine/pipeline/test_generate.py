"""A run from PNGs to PNGs, with real ONNX networks of a few hundred weights: what it writes, refuses and
survives.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from degrade_engine.cli import main
from degrade_engine.engine import columns, images
from degrade_engine.engine import plan as plans
from degrade_engine.engine.build import build
from degrade_engine.engine.classical import degraders
from degrade_engine.engine.inputs import inventory
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.pipeline import generate as shards
from degrade_engine.engine.pipeline import progress, records
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.sampling.batch import BatchResult
from degrade_engine.kernels import select

LR, K = 16, 3
RECOMMENDED = KINDS["realdgen"].recipes["recommended"]
USUAL = ("--pairs", 30, "--seed", 5, "--shard-pairs", 8)  # four shards of two batches
FOREVER = ("shards", "run.json")  # hold seconds, which differ from run to run


@pytest.fixture(scope="session")
def engines(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Engines of batch 1 and 4 from the tiny bundle: LR size 16, 3 candidates."""
    folder = tmp_path_factory.mktemp("engines")
    for batch in (1, 4):
        build(tiny_bundle, folder / str(batch), lr_size=LR, batch=batch, candidates=K, threads=1)
    return {batch: folder / str(batch) for batch in (1, 4)}


def photograph(seed: int, height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3]: blobs, an edge and a little noise."""
    random = np.random.default_rng(seed)
    base = cv2.resize(random.uniform(0, 255, (6, 7, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    base[:, width // 2 :] *= 0.6
    return np.clip(base + random.normal(0, 4, base.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """hr/ with 5 photographs, one of them exactly a crop, and reference/ with 4, in subfolders too."""
    folder = tmp_path_factory.mktemp("photos")
    for name, count, height, width in (("hr", 5, 64, 70), ("reference", 4, 16, 20)):
        (folder / name / "deeper").mkdir(parents=True)
        for n in range(count):
            path = folder / name / ("deeper" if n % 2 else ".") / f"{name}{n}.png"
            path.write_bytes(images.encode_png(photograph(n, height + 3 * n, width + n)))
    return folder


def generate(engine: Path, photos: Path | None, out: Path, *options: object) -> int:
    """The command, in this process; returns its exit code."""
    folders = [] if photos is None else ["--hr", photos / "hr", "--reference", photos / "reference"]
    words = ["generate", "--engine", engine, "--out", out, "--threads", 1, *folders, *options]
    return main([str(word) for word in words])


def tree(folder: Path, *without: str) -> dict[str, bytes]:
    """Relative path -> bytes of every file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if name.split("/")[0] not in without}


def manifest(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def rejects(out: Path) -> dict[str, str]:
    """path -> reason."""
    lines = (out / "rejects.jsonl").read_text().splitlines()
    return {one["path"]: one["reason"] for one in map(json.loads, lines)}


@pytest.fixture(scope="session")
def run(engines: dict[int, Path], photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 30 pairs in four shards, with the candidates saved."""
    out = tmp_path_factory.mktemp("run") / "pairs"
    assert generate(engines[4], photos, out, *USUAL) == 0
    return out


def test_a_run_writes_what_the_output_contract_says(run: Path):
    names = [f"{pair:07d}.png" for pair in range(30)]
    for folder, side in (("gt", 4 * LR), ("lq", LR)):
        assert sorted(path.name for path in (run / folder).iterdir()) == names
        for name in names:
            data = (run / folder / name).read_bytes()
            opened = Image.open(io.BytesIO(data))
            assert (opened.format, opened.mode, opened.size) == ("PNG", "RGB", (side, side))
            assert set(opened.info) <= {"dpi"} and not opened.getexif()  # no ICC, no EXIF, no text
    assert (run / "meta_info_GT.txt").read_text().splitlines() == [f"{name} (64,64,3)" for name in names]
    assert (run / "meta_info_pair.txt").read_text().splitlines() == [f"gt/{name}, lq/{name}" for name in names]
    assert (run / "rejects.jsonl").read_text() == ""
    left = {path.name for path in run.iterdir()}
    assert left == {
        "gt",
        "lq",
        "extra",
        "shards",
        "plan.json",
        "inventory.jsonl",
        "run.json",
        "manifest.jsonl",
        "rejects.jsonl",
        "meta_info_GT.txt",
        "meta_info_pair.txt",
        "metadata.jsonl",
        "README.md",
    }


def test_the_manifest_says_how_each_pair_came_about(run: Path, photos: Path):
    rows = manifest(run)
    assert [row["pair"] for row in rows] == list(range(30))
    for row in rows:
        y, x, h, w = row["hr"]["crop"]
        gt = images.read_rgb(photos / "hr" / row["hr"]["path"])[y : y + h, x : x + w]
        assert np.array_equal(gt, images.read_rgb(run / "gt" / f"{row['name']}.png"))
        y, x, h, w = row["reference"]["crop"]
        real = images.read_rgb(photos / "reference" / row["reference"]["path"])[y : y + h, x : x + w]
        assert np.array_equal(real, images.read_rgb(run / "extra/reference" / f"{row['name']}.png"))
        scores = [one["score"] for one in row["candidates"]]
        assert len(scores) == K and row["kept"] == int(np.argmin(scores))
        kept = run / "extra" / f"candidate{row['kept']}" / f"{row['name']}.png"
        assert kept.read_bytes() == (run / "lq" / f"{row['name']}.png").read_bytes()
        assert RECOMMENDED.tau[0] <= row["tau"] <= RECOMMENDED.tau[1] and row["steps"] == RECOMMENDED.steps
        assert row["start"] == {"kind": RECOMMENDED.start} and row["solver"] == RECOMMENDED.solver
    page = json.loads((run / "run.json").read_text())
    assert page["pairs"] == 30 and page["preset"] == "recommended" and page["rejects"] == {}
    steps = RECOMMENDED.steps
    assert page["executed_row_steps"] == 8 * steps * 4 * K and page["row_steps"] == 30 * steps * K


def test_a_second_call_repeats_nothing_and_changes_nothing(engines, photos, run, monkeypatch):
    before = tree(run)
    from degrade_engine.engine.api import Engine

    monkeypatch.setattr(Engine, "run", lambda *_, **__: pytest.fail("the engine ran again"))
    assert generate(engines[4], photos, run, *USUAL) == 0
    assert tree(run) == before


def test_a_changed_or_torn_record_or_a_missing_image_makes_its_shard_again(engines, photos, run, tmp_path, monkeypatch):
    out = tmp_path / "pairs"
    shutil.copytree(run, out)
    changed, torn = out / "shards" / "00000.json", out / "shards" / "00001.json"
    changed.write_text(changed.read_text().replace('"kept": 0', '"kept": 1').replace('"kept": 2', '"kept": 1'))
    torn.write_bytes(torn.read_bytes()[:-200])
    name = json.loads((out / "shards" / "00003.json").read_text())["rows"][0]["name"]
    (out / "lq" / f"{name}.png").unlink()
    done, real = [], shards.run
    monkeypatch.setattr(shards, "run", lambda plan, shard, **kw: done.append(shard) or real(plan, shard, **kw))
    assert generate(engines[4], photos, out, *USUAL) == 0
    assert done == [0, 1, 3]
    assert tree(out, *FOREVER) == tree(run, *FOREVER)


SLOW = """
import sys, time
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits "ignored"
from degrade_engine.cli import main
from degrade_engine.engine.api import Engine
fast = Engine.begin
def slow(self, batch, **options):
    time.sleep(0.25)
    return fast(self, batch, **options)
Engine.begin = slow
sys.exit(main(sys.argv[1:]))
"""


def stopped(engine: Path, photos: Path, out: Path, number: int, when: Callable[[], bool]) -> subprocess.Popen:
    """The 30 pairs again, slowly, in a process of their own, which gets the signal when `when()` says so."""
    words = [
        "generate",
        "--engine",
        engine,
        "--hr",
        photos / "hr",
        "--reference",
        photos / "reference",
        "--out",
        out,
        *USUAL,
        "--threads",
        1,
    ]
    child = subprocess.Popen([sys.executable, "-c", SLOW, *map(str, words)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not when() and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.01)
    assert child.poll() is None, child.communicate()[1]
    os.kill(child.pid, number)
    child.wait(20)
    return child


@pytest.mark.parametrize("pieces", [1, 9])
def test_a_killed_run_that_goes_on_ends_with_the_same_bytes(engines, photos, run, tmp_path, pieces):
    """Killed with SIGKILL before the first shard is whole, and again in the second one."""
    out = tmp_path / "pairs"
    child = stopped(engines[4], photos, out, signal.SIGKILL, lambda: len(list(out.glob("lq/*.png"))) >= pieces)
    assert child.returncode == -signal.SIGKILL
    assert not (out / "run.json").exists()
    assert len(list(out.glob("shards/*.json"))) in ((0, 1) if pieces == 1 else (1, 2))
    assert generate(engines[4], photos, out, *USUAL) == 0
    assert tree(out, *FOREVER) == tree(run, *FOREVER)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(engines, photos, run, tmp_path, number):
    out = tmp_path / "pairs"
    child = stopped(engines[4], photos, out, number, lambda: len(list(out.glob("shards/*.json"))) == 1)
    assert child.returncode == 128 + number
    said = child.stderr.read()
    assert "Traceback" not in said and re.search(
        r"\([123] of 4 shards\); pairs of an unfinished shard are made again", said
    )
    assert generate(engines[4], photos, out, *USUAL) == 0
    assert tree(out, *FOREVER) == tree(run, *FOREVER)


def test_a_stop_just_after_a_shard_was_committed_counts_it(engines, photos, tmp_path, monkeypatch, capsys):
    write = records.write

    def interrupted(out, record):
        write(out, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "write", interrupted)
    assert generate(engines[4], photos, tmp_path / "pairs", *USUAL) == 130
    assert "(1 of 4 shards)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--seed", 6), "seed was 5 and is now 6"),
        (("--tau", "1:30"), f"tau was {RECOMMENDED.tau[0]}:{RECOMMENDED.tau[1]} and is now 1:30"),
        (("--no-filter",), "filter was True and is now False"),
        (("--pairs", 21), "pairs was 30 and is now 21"),
    ],
)
def test_a_folder_with_another_plan_is_refused_and_left_alone(engines, photos, run, capsys, options, field):
    before = tree(run)
    assert generate(engines[4], photos, run, *USUAL, *options) == 2
    assert field in capsys.readouterr().err
    assert tree(run) == before


def test_a_folder_that_is_not_ours_is_refused(engines, photos, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert generate(engines[4], photos, tmp_path, "--pairs", 4) == 2
    assert "is not a degrade-engine run" in capsys.readouterr().err


def test_the_batch_size_changes_no_pixel_by_more_than_one_level(engines, photos, tmp_path):
    options = ("--pairs", 12, "--tau", "1:7", "--steps", "full", "--seed", 3)
    for batch in (1, 4):
        assert generate(engines[batch], photos, tmp_path / str(batch), *options) == 0
    one, four = manifest(tmp_path / "1"), manifest(tmp_path / "4")
    assert [row["kept"] for row in one] == [row["kept"] for row in four]
    assert [row["tau"] for row in one] == [row["tau"] for row in four]
    off = []
    for row in one:
        pixels = [images.read_rgb(tmp_path / b / "lq" / f"{row['name']}.png").astype(int) for b in ("1", "4")]
        off.append(np.abs(pixels[0] - pixels[1]))
    assert np.max(off) <= 1 and np.mean(np.array(off) > 0) <= 0.001, (np.max(off), np.mean(np.array(off) > 0))


def test_nothing_depends_on_where_the_folders_lie_or_how_they_are_listed(engines, photos, run, tmp_path, monkeypatch):
    for name in ("hr", "reference"):  # copied in reverse: another place, another order on the disk
        for path in sorted((photos / name).rglob("*.png"), reverse=True):
            copy = tmp_path / "moved" / name / path.relative_to(photos / name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    scandir, backwards = os.scandir, []

    @contextmanager
    def reversed_scandir(folder):
        with scandir(folder) as listing:
            backwards.append(folder)
            yield iter(sorted(listing, key=lambda one: one.name, reverse=True))

    monkeypatch.setattr(os, "scandir", reversed_scandir)
    found = inventory.scan(photos / "hr")
    monkeypatch.undo()
    assert backwards and found == inventory.scan(photos / "hr")
    assert generate(engines[4], tmp_path / "moved", tmp_path / "pairs", *USUAL) == 0
    assert tree(tmp_path / "pairs", *FOREVER) == tree(run, *FOREVER)


def test_a_pair_list_makes_exactly_these_pairs_in_this_order(engines, photos, tmp_path):
    lines = [
        ("hr4.png", "deeper/reference1.png"),
        ("deeper/hr1.png", "reference2.png"),
        ("gone.png", "reference0.png"),
        ("hr4.png", "deeper/reference1.png"),
    ]
    with open(tmp_path / "pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows([("hr", "reference"), *lines])
    out = tmp_path / "out"
    asked = ["--pair-list", tmp_path / "pairs.csv", "--allow-missing"]
    assert generate(engines[4], photos, out, *asked[:2], "--patience", 0) == 2
    assert generate(engines[4], photos, out, *asked) == 3  # all but one
    rows = manifest(out)
    assert [row["pair"] for row in rows] == [0, 1, 3]
    assert [(row["hr"]["path"], row["reference"]["path"]) for row in rows] == [lines[0], lines[1], lines[3]]
    assert rejects(out) == {"gone.png": "missing", "2": "unusable_input"}
    assert sorted(path.name for path in (out / "lq").iterdir()) == [
        "0000000.png",
        "0000001.png",
        "0000003.png",
    ]


def test_a_pair_list_without_folders_is_relative_to_itself(engines, photos, tmp_path, capsys):
    listed = photos / "list.csv"
    listed.write_text("reference,hr\nreference/reference0.png,hr/hr0.png\n")
    assert generate(engines[4], None, tmp_path / "out", "--pair-list", listed) == 0
    assert manifest(tmp_path / "out")[0]["hr"]["path"] == "hr/hr0.png"
    for text, said in (
        ("a,b\n1,2\n", "has the columns a, b"),
        ("hr,reference\nx.png\n", "line 2"),
        ("hr,reference\n", "no pair"),
    ):
        listed.write_text(text)
        assert generate(engines[4], None, tmp_path / "other", "--pair-list", listed) == 2
        assert said in capsys.readouterr().err
    listed.unlink()


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What people have in their folders: each kind of file that is handled, and each that is refused."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "hr").mkdir()
    (folder / "reference").mkdir()
    (folder / "reference" / "real.png").write_bytes(images.encode_png(photograph(90, 20, 24)))
    (folder / "reference" / "tiny.png").write_bytes(images.encode_png(photograph(91, 15, 40)))
    pixels, hr = photograph(7, 64, 80), folder / "hr"
    image = Image.fromarray(pixels)
    image.convert("L").save(hr / "gray.png")
    cv2.imwrite(str(hr / "deep.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)
    image.convert("CMYK").save(hr / "cmyk.jpg", quality=95)
    image.putalpha(128)
    image.save(hr / "alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(hr / "turned.jpg", exif=exif, icc_profile=profile, quality=95)
    whole = images.encode_png(photograph(8, 70, 70))
    (hr / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (hr / "corrupt.png").write_bytes(whole[:60] + b"\0" * 400 + whole[460:])
    (hr / "empty.png").write_bytes(b"")
    (hr / "letter.jpg").write_text("Dear Sir or Madam")
    (hr / "small.png").write_bytes(images.encode_png(photograph(9, 63, 90)))
    (hr / "notes.txt").write_text("not an image, and does not say so")
    return folder


def test_odd_files_are_handled_or_named_and_the_run_goes_on(engines, odd, tmp_path, capsys):
    out = tmp_path / "out"
    assert generate(engines[4], odd, out, "--pairs", 40, "--shard-pairs", 16) == 0
    found = rejects(out)
    assert set(found) == {"truncated.png", "corrupt.png", "empty.png", "letter.jpg", "small.png", "tiny.png"}
    assert found["truncated.png"] == "truncated" and found["empty.png"] == "empty" and found["small.png"] == "too_small"
    assert found["corrupt.png"] in ("corrupt", "truncated") and found["letter.jpg"] == "not_an_image"
    assert len(manifest(out)) == 40  # a pair whose photograph cannot be decoded gets another one
    used = {row["hr"]["path"] for row in manifest(out)}
    assert used == {"gray.png", "deep.png", "cmyk.jpg", "alpha.png", "turned.jpg"}
    for row in manifest(out):
        gt = images.read_rgb(out / "gt" / f"{row['name']}.png")
        y, x, h, w = row["hr"]["crop"]
        assert np.array_equal(gt, images.read_rgb(odd / "hr" / row["hr"]["path"])[y : y + h, x : x + w])
        if row["hr"]["path"] == "turned.jpg":
            assert w == 64 and x == 0 and y <= 16  # 64 wide and 80 high, upright
    said = capsys.readouterr().out
    assert "40 of 40 pairs" in said and "1 hr: empty" in said and "1 reference: too_small" in said
    again = tmp_path / "again"
    assert generate(engines[4], odd, again, "--pairs", 40, "--shard-pairs", 16) == 0
    assert tree(again, *FOREVER) == tree(out, *FOREVER)


def test_a_listed_pair_that_fails_leaves_its_neighbours_bytes_alone(engines, odd, tmp_path):
    names = ["gray.png", "truncated.png", "alpha.png", "deep.png"]
    for name, listed in (("with", names), ("without", ["gray.png", "turned.jpg", "alpha.png", "deep.png"])):
        lines = "".join(f"{one},real.png\n" for one in listed)
        (tmp_path / f"{name}.csv").write_text("hr,reference\n" + lines)
        code = generate(engines[4], odd, tmp_path / name, "--pair-list", tmp_path / f"{name}.csv")
        assert code == (3 if name == "with" else 0)
    assert rejects(tmp_path / "with") == {"truncated.png": "truncated", "1": "unusable_input"}
    for pair in (0, 2, 3):
        one, other = (tmp_path / name / "lq" / f"{pair:07d}.png" for name in ("with", "without"))
        assert one.read_bytes() == other.read_bytes()
    assert not (tmp_path / "with" / "lq" / "0000001.png").exists()


def test_no_usable_input_is_an_error(engines, photos, odd, tmp_path, capsys):
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "empty.png").write_bytes(b"")
    words = ["generate", "--engine", engines[4], "--out", tmp_path / "out", "--pairs", 4]
    assert main([*map(str, words), "--hr", str(tmp_path / "hr"), "--reference", str(photos / "reference")]) == 2
    err = capsys.readouterr().err.replace("\n", " ")
    assert "no usable HR image (1 empty; empty.png is empty)" in err and "--lr-size" not in err
    whole = (odd / "hr" / "truncated.png").read_bytes()
    (tmp_path / "hr" / "cut.png").write_bytes(whole)
    assert main([*map(str, words), "--hr", str(tmp_path / "hr"), "--reference", str(photos / "reference")]) == 2
    assert "no pair could be made" in capsys.readouterr().err
    assert rejects(tmp_path / "out") == {"cut.png": "truncated", "empty.png": "empty"} | {
        str(pair): "unusable_input" for pair in range(4)
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--candidates", 13), "has 13 candidates per pair, and this engine makes 12 at most"),
        (("--tau", "9:3"), "tau is '9:3'"),
        (("--tau", 501), "tau is 501"),
        (("--steps", "0"), "steps is '0'"),
        (("--solver", "ddpm", "--eta", 1), "eta is 1 with the solver ddpm"),
        (("--pair-list", "x.csv"), "both given"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_in_a_sentence(engines, photos, tmp_path, capsys, options, said):
    assert generate(engines[4], photos, tmp_path / "out", "--pairs", 4, *options) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_fewer_candidates_than_the_engine_makes_keep_the_best_of_the_first(engines, photos, run, tmp_path):
    assert generate(engines[4], photos, tmp_path / "two", *USUAL, "--candidates", 2) == 0
    assert generate(engines[4], photos, tmp_path / "first", *USUAL, "--no-filter") == 0
    for three, two, first in zip(manifest(run), manifest(tmp_path / "two"), manifest(tmp_path / "first"), strict=True):
        assert two["candidates"] == three["candidates"][:2]
        assert two["kept"] == int(np.argmin([one["score"] for one in two["candidates"]]))
        assert first["kept"] == 0 and first["candidates"][0]["score"] is None
        name = f"{first['name']}.png"
        assert (tmp_path / "first/lq" / name).read_bytes() == (run / "extra/candidate0" / name).read_bytes()


@pytest.mark.parametrize("start", ["bicubic", "realesrgan", "bsrgan", "bsrgan-plus", "binned"])
def test_tau_0_returns_the_start_image(engines, photos, tmp_path, start):
    """The recorded parameters make the same image again."""
    out = tmp_path / "out"
    assert generate(engines[4], photos, out, "--pairs", 5, "--tau", 0, "--start", start, "--scale", 2) == 0
    for row in manifest(out):
        gt, lq = (images.read_rgb(out / kind / f"{row['name']}.png") for kind in ("gt", "lq"))
        assert gt.shape == (32, 32, 3) and lq.shape == (16, 16, 3) and row["tau"] == 0 and row["steps"] == 0
        assert row["start"]["kind"] == start and np.array_equal(lq, degraders.replay(row["start"], gt, scale=2))


def test_a_start_with_settings_of_its_own_is_another_plan(engines, photos, tmp_path, capsys):
    def plan(name: str, *options: str) -> dict:
        assert generate(engines[4], photos, tmp_path / name, "--pairs", 3, "--dry-run", *options) == 0
        return json.loads((tmp_path / name / "plan.json").read_text())

    own = tmp_path / "own.toml"
    own.write_text("noise_level = [50]\n")
    usual = plan("usual", "--start", "binned")
    noisy = plan("noisy", "--start", "binned", "--degrader-options", str(own))
    assert {key for key in usual if usual[key] != noisy[key]} == {"start_sha256"}
    assert "start_sha256" not in plan("bicubic")
    assert generate(engines[4], photos, tmp_path / "usual", "--pairs", 3, "--start", "binned", "--degrader-options",
                    str(own)) == 2  # fmt: skip
    assert "start_sha256 was" in capsys.readouterr().err
    refused = {"bicubic": "the degrader bicubic has no settings",
               "reconstruction": "options of a degrader came, and the start image is reconstruction"}  # fmt: skip
    for start, said in refused.items():
        options = ("--start", start, "--degrader-options", str(own))
        assert generate(engines[4], photos, tmp_path / "no", "--pairs", 3, *options) == 2
        assert said in capsys.readouterr().err


def test_the_paper_preset_is_algorithm_2(engines, photos, tmp_path):
    assert generate(engines[4], photos, tmp_path / "out", "--pairs", 6, "--preset", "paper") == 0
    rows = manifest(tmp_path / "out")
    assert all(row["steps"] == row["tau"] and 1 <= row["tau"] <= 30 for row in rows)
    assert {row["solver"] for row in rows} == {"ddpm"} and rows[0]["start"]["kind"] == "realesrgan"
    assert json.loads((tmp_path / "out" / "run.json").read_text())["preset"] == "paper"


def test_a_stranger_reads_the_pairs_as_basicsr_does(run: Path):
    """BasicSR's paired loader, from its description: meta_info line up to the first space names both files;
    cv2 reads them.
    """
    lines = (run / "meta_info_GT.txt").read_text().split("\n")
    keys = [line.split(" ")[0] for line in lines if line]
    for key in keys:
        stem, ending = os.path.splitext(os.path.basename(key))
        gt = cv2.imread(str(run / "gt" / key), cv2.IMREAD_UNCHANGED)
        lq = cv2.imread(str(run / "lq" / f"{stem}{ending}"), cv2.IMREAD_UNCHANGED)
        assert gt.dtype == lq.dtype == np.uint8 and gt.ndim == lq.ndim == 3 and gt.shape[2] == lq.shape[2] == 3
        assert gt.shape[0] == 4 * lq.shape[0] and gt.shape[1] == 4 * lq.shape[1]
    # folder scans: every file counts, and gt and lq are paired by name (BasicSR) or by sorted position (KAIR)
    scans = [sorted(os.listdir(run / kind)) for kind in ("gt", "lq")]
    assert scans[0] == scans[1] == keys
    # Real-ESRGAN's meta file: two paths a line, parted by a comma and a space
    for line in (run / "meta_info_pair.txt").read_text().splitlines():
        gt, lq = line.split(", ")
        assert (run / gt).is_file() and (run / lq).is_file()


@pytest.mark.parametrize(("candidates", "filtered", "kept"), [(3, True, 2), (2, True, None), (3, False, None)])
def test_candidates_that_are_not_numbers_are_never_kept(candidates, filtered, kept):
    """Scores of one pair: NaN, infinity (a pixel that is not a number), 0.3."""
    scores = np.array([[np.nan], [np.inf], [0.3]], np.float32)
    images_of = np.zeros((3, 1, LR, LR, 3), np.uint8)
    result = BatchResult(
        lr=images_of[0], start=images_of[0], candidates=images_of, degradation_error=scores,
        content_error=scores, score=scores, kept=select.choose(scores[:candidates]),
        finite=np.zeros(1, bool), row_steps=0, executed_row_steps=0, calls={},
    )  # fmt: skip
    options = SimpleNamespace(recipe=SimpleNamespace(candidates=candidates, filter=filtered))
    assert shards.choose(SimpleNamespace(options=options), result, 0) == kept


def test_the_time_left_goes_by_the_work_left(monkeypatch):
    """Three batches of 2, 4 and 9 steps, the first one of 4 pairs made in an earlier call."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    plan = a_plan(steps=[2] * 4 + [4] * 4 + [9] * 4)
    clock = progress.Clock(plan, [1, 2])
    assert clock.progress() == progress.Progress(4, 12, None, None)
    clock.batch((4, 5, 6, 7))
    now[0] += 10.0  # 5 units of work, and 10 more to do
    assert clock.progress() == progress.Progress(8, 12, 0.4, 20.0, made=4)
    clock.elsewhere(2)
    assert clock.progress().seconds_left == 0.0 and clock.progress().settled == 12


def a_plan(steps: list[int]) -> plans.Plan:
    """A plan in batches and shards of 4 pairs, with these steps."""
    photo = SimpleNamespace(path="a.png", bytes=1, height=99, width=99)
    options = plans.Options(
        seed=0, pairs=len(steps), scale=1, recipe=Recipe((0, 9), None, "even", "ddpm", 0.0, "bicubic", 1, filter=False),
        shard_pairs=4, save_candidates=False,
    )  # fmt: skip
    plan = plans.make(options, lr_size=16, batch=4, engine="", hr=[photo], reference=None)
    plan.__dict__["taus"] = columns.Column(np.array(steps))
    return plan
