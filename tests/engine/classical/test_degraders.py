"""Every kind without networks keeps one contract: alone, replayed, and through `generate`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.classical import binned
from degrade_engine.engine.classical.degraders import DEGRADERS, open_degrader, replay
from degrade_engine.engine.errors import DegradeError

FOREVER = ("shards", "run.json")  # hold seconds, which differ from run to run


def photograph(seed: int, side: int = 72) -> np.ndarray:
    """uint8 [side, side + 6, 3]: blobs, an edge and a little noise."""
    dice = np.random.default_rng(seed)
    base = cv2.resize(dice.uniform(0, 255, (6, 7, 3)), (side + 6, side), interpolation=cv2.INTER_CUBIC)
    base[:, side // 2 :] *= 0.6
    return np.clip(base + dice.normal(0, 4, base.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hr")
    for n in range(4):
        (folder / f"{n}.png").write_bytes(images.encode_png(photograph(n)))
    return folder


def generate(kind: str, photos: Path, out: Path, *more: object) -> int:
    words = ["generate", "--degrader", kind, "--hr", photos, "--out", out, "--lr-size", 16, "--pairs", 20,
             "--shard-pairs", 16, *more]  # fmt: skip
    return main([str(word) for word in words])


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if name.split("/")[0] not in FOREVER}


@pytest.mark.parametrize("kind", DEGRADERS)
@pytest.mark.parametrize("scale", [2, 4])
def test_a_record_replays_byte_for_byte(kind, scale):
    hr, degrader, made = photograph(1)[:64, :64], open_degrader(kind), []
    for pair in range(12):
        lr, record = degrader.degrade(hr, scale=scale, seed=3, pair=pair, noise_seed=pair)
        assert lr.shape == (64 // scale, 64 // scale, 3) and lr.dtype == np.uint8
        assert np.array_equal(replay(json.loads(json.dumps(record)), hr, scale=scale), lr)
        made.append(lr.tobytes())
    assert len(set(made)) == (1 if "bicubic" in kind else 12)
    again, _ = degrader.degrade(hr, scale=scale, seed=3, pair=7, noise_seed=7)
    assert again.tobytes() == made[7]  # no matter what was drawn before


@pytest.mark.parametrize("kind", DEGRADERS)
def test_pairs_are_the_same_whatever_the_workers_and_their_manifest_replays(kind, photos, tmp_path):
    for workers in (1, 3):
        assert generate(kind, photos, tmp_path / str(workers), "--threads", workers) == 0
    out = tmp_path / "1"
    assert tree(out) == tree(tmp_path / "3") and len(list((out / "lq").iterdir())) == 20
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        gt, lq = (images.read_rgb(out / name / f"{row['name']}.png") for name in ("gt", "lq"))
        assert np.array_equal(replay(row["start"], gt, scale=4), lq) and row["reference"] is None
    assert main(["report", str(out), "-o", str(tmp_path / "report.html")]) == 0


SLOW = """
import sys, time
from degrade_engine.engine.classical.degrader import Degrader
from degrade_engine.cli import main
fast = Degrader.degrade
def slow(self, *args, **options):
    time.sleep(0.05)
    return fast(self, *args, **options)
Degrader.degrade = slow
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", DEGRADERS)
def test_a_killed_run_goes_on_to_the_same_bytes(kind, photos, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert generate(kind, photos, whole, "--threads", 1) == 0
    words = ["generate", "--degrader", kind, "--hr", photos, "--out", out, "--lr-size", 16, "--pairs", 20,
             "--shard-pairs", 16, "--threads", 1]  # fmt: skip
    child = subprocess.Popen([sys.executable, "-c", SLOW, *map(str, words)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob("lq/*.png")) and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.005)
    assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.wait(20)
    assert not (out / "run.json").exists()
    assert generate(kind, photos, out, "--threads", 1) == 0
    assert tree(out) == tree(whole)


def test_weights_decide_which_bins_are_made(tmp_path):
    only = 17
    shares = [0.0] * 75
    shares[only] = 1.0
    found = binned.Calibrated(binned.PAPER, tuple(shares), (0.0,) * 75, 25.0, {}, {}, {}, 72, 4, 0, 0.0, {})
    from degrade_engine.engine.artefact import write_json_atomic

    write_json_atomic(tmp_path / "weights.json", found)
    degrader = open_degrader("binned", weights=tmp_path / "weights.json")
    _, (q_low, q_high), (l_low, l_high), (s_low, s_high) = binned.PAPER.box(only)
    for pair in range(20):
        theta = degrader.draw(0, pair, 4)
        blur, _, grain, jpeg = theta.steps
        assert s_low <= blur.sigma_x <= s_high and l_low <= grain.level <= l_high and q_low <= jpeg.quality <= q_high
    assert degrader.sha256 != open_degrader("binned").sha256


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--degrader", "bsrgan", "--engine", "x"], "one of them"),
        (["--degrader", "bsrgan", "--tau", "3"], "--tau was given with the degrader bsrgan"),
        (["--degrader", "bicubic", "--weights", "w.json"], "weights with binned only"),
        (["--degrader", "bsrgan", "--degrader-options", "bad.toml"], "'jpeg_probb' is unknown"),
        ([], "neither --model nor --engine nor --degrader"),
    ],
)
def test_mistakes_are_said(words, said, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text("jpeg_probb = 0.5\n")
    assert main(["generate", "--hr", str(photos), "--pairs", "2", "--out", "out", *words]) == 2
    assert said in capsys.readouterr().err and not Path("out").exists()


def test_another_degrader_does_not_go_on_with_a_run(photos, tmp_path, capsys):
    out = tmp_path / "pairs"
    assert generate("bicubic", photos, out) == 0
    assert generate("bsrgan", photos, out) == 2
    assert "start was bicubic and is now bsrgan" in capsys.readouterr().err
    shutil.rmtree(out)


def test_bicubic_is_pillows(photos):
    hr = photograph(2)[:64, :64]
    lr, record = open_degrader("bicubic").degrade(hr, scale=4, seed=0, pair=0, noise_seed=0)
    assert np.array_equal(lr, images.resize_bicubic(hr, (16, 16))) and record == {"kind": "bicubic"}


def test_blur_bicubic_is_the_baseline_of_the_tables_and_its_sigma_may_be_drawn(tmp_path):
    hr = photograph(2)[:64, :64]
    lr, record = open_degrader("blur-bicubic").degrade(hr, scale=4, seed=0, pair=0, noise_seed=0)
    assert np.array_equal(lr, cv2.GaussianBlur(images.resize_bicubic(hr, (16, 16)), (0, 0), 0.5))
    assert record["parameters"] == {"sigma": 0.5}
    options = tmp_path / "wider.toml"
    options.write_text("sigma = [0.4, 1.2]\n")
    drawn = [open_degrader("blur-bicubic", options).draw(0, pair, 4).sigma for pair in range(50)]
    assert 0.4 <= min(drawn) < 0.5 < 1.1 < max(drawn) <= 1.2
    options.write_text("sigma = [0.5, 0.2]\n")
    with pytest.raises(DegradeError, match="sigma is"):
        open_degrader("blur-bicubic", options)


def test_the_page_of_degraders_names_every_one(root: Path):
    rows = [line for line in (root / "docs" / "degraders.md").read_text().splitlines() if line.startswith("| `")]
    assert {word for line in rows for word in line.split("|")[1].replace("`", "").replace(",", " ").split()} - {
        "--degrader"
    } == set(DEGRADERS)


def test_a_record_of_no_kind_is_refused():
    with pytest.raises(DegradeError, match="of the kind 'magic'"):
        replay({"kind": "magic"}, photograph(0), scale=2)


def test_a_pair_list_of_hr_alone(photos, tmp_path):
    listed = tmp_path / "hr.csv"
    listed.write_text("hr\n2.png\n0.png\n2.png\n")
    out = tmp_path / "pairs"
    command = ["generate", "--degrader", "bsrgan", "--hr", photos, "--lr-size", 16, "--pair-list", listed, "--out", out]
    assert main([str(word) for word in command]) == 0
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [row["hr"]["path"] for row in rows] == ["2.png", "0.png", "2.png"]
    assert rows[0]["start"] != rows[2]["start"], "a pair's parameters are its own"
