"""`match`: sets that are like a camera and sets that are not, in every kind of folder, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.build import build
from degrade_engine.engine.report import match as matching
from degrade_engine.engine.report.filters import FILTERS, detail_features, filters, random_features
from degrade_engine.engine.report.gathered import tiles
from degrade_engine.engine.report.match import match
from degrade_engine.engine.report.measures import MEASURES, Mean
from degrade_engine.engine.report.verdict import Column, Verdict

from ..pair_sets import KINDS, generate
from .test_verdict import camera, scene

SCENES, SIDE = 14, 64


def put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.ascontiguousarray(pixels)))


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera's photographs of scenes that no set shows, larger than the LR."""
    folder = tmp_path_factory.mktemp("camera")
    for n in range(SCENES):
        small = images.resize_bicubic(scene(500 + n, 384), (96, 96))
        put(folder / f"{n}.png", camera(small, 700 + n))
    return folder


def foreign(folder: Path, **of: float) -> Path:
    """HR/ and LR/ as others make them, by the camera of the defaults or another."""
    for n in range(SCENES):
        sharp = scene(n, 4 * SIDE)
        put(folder / "HR" / f"{n}.png", sharp)
        put(folder / "LR" / f"{n}x4.png", camera(images.resize_bicubic(sharp, (SIDE, SIDE)), n, **of))
    return folder


def look(folder: Path, shots: Path, most: int = 28, **more) -> matching.Match:
    return match(folder, shots, most=most, **more)


def test_lr_of_the_camera_are_like_it_and_bicubic_is_not(shots, tmp_path):
    found = look(foreign(tmp_path), shots)
    assert found.beside["noise"] == found.beside["chroma"] == "same"
    assert not {"low", "high"} & set(found.beside.values()), found.sentence
    assert found.verdict.outcomes["bicubic", "real"]["noise"] == "low"
    assert found.far.frechet["lr"].value < found.far.frechet["bicubic"].value / 5
    assert found.far.frechet["lr"].interval[1] < found.far.frechet["bicubic"].interval[0]
    assert found.far.measures["lr"] < found.far.measures["bicubic"] / 2
    assert (
        found.far.measures["lr"] < 2 * found.far.halves[0] and found.far.frechet["lr"].value < 3 * found.far.halves[1]
    )
    assert found.sentence.startswith(("LR are like the camera's", "LR are as near to the camera's"))
    assert (found.gathered.side, len(found.gathered.lq), len(set(found.gathered.shots))) == (64, SCENES, SCENES)


@pytest.mark.parametrize(("of", "key", "came", "said"), [
    ({"noise": 1.0}, "noise", "low", "--noise"), ({"noise": 9.0}, "noise", "high", "less noise"),
    ({"blur": 1.8}, "sharpness", "low", "--reference"),
])  # fmt: skip
def test_another_camera_is_named_with_what_to_do(shots, tmp_path, of, key, came, said):
    found = look(foreign(tmp_path, **of), shots)
    assert found.beside[key] == came and said in found.sentence and "than the camera's: " in found.sentence
    assert found.sentence.count(".") - found.sentence.count("--noise ") <= 2  # one sentence


def test_the_noise_that_is_advised_mends_the_noise(shots, tmp_path):
    sentence = look(foreign(tmp_path / "one", noise=1.0), shots, whole=False).sentence
    level = float(sentence.partition("(--noise ")[2].partition(")")[0])
    assert level == pytest.approx(np.hypot(4, 0) - 0.13, abs=0.5)  # sqrt(4² - 1²) = 3.87
    again = look(foreign(tmp_path / "two", noise=float(np.hypot(1, level))), shots, whole=False)
    assert again.beside["noise"] == "same"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_set_is_read(kind, shots, tmp_path, capsys):
    for n in range(6):
        put(tmp_path / "hr" / f"{n}.png", scene(n, 256))
    assert generate(kind, tmp_path / "hr", tmp_path / "run", "--lr-size", 64) == 0
    capsys.readouterr()
    assert main(["match", str(tmp_path / "run"), "--against", str(shots), "--limit", "20", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page["format"] == "degrade-engine/match/1" and page["photographs"] == {"lr": 6, "real": SCENES}
    assert page["left_out"] == [] and page["crop"] == 64 and page["images"]["lr"] == 20
    assert page["outcomes"]["lr to real"] == page["outcomes"]["bicubic to real"]  # it is bicubic
    assert page["distance"]["frechet"]["lr"] == page["distance"]["frechet"]["bicubic"]
    assert page["distance"]["measures"]["lr"] == page["distance"]["measures"]["bicubic"] > 0.1
    for column in page["columns"].values():
        assert column.keys() == {"label", *(of.key for of in MEASURES)}
    assert len(page["edge_percent"]["lr"]) == 9


def test_the_same_call_says_the_same_and_a_seed_moves_the_crops(shots, tmp_path):
    folder = foreign(tmp_path)
    one, again, other = (look(folder, shots, most=20, seed=seed).to_json() for seed in (0, 0, 1))
    assert one == again and one["columns"]["real"] != other["columns"]["real"]


def test_what_cannot_be_used_is_named_and_left_out(shots, tmp_path, capsys):
    folder = foreign(tmp_path / "set")
    whole = (folder / "LR/3x4.png").read_bytes()
    (folder / "LR/3x4.png").write_bytes(whole[:200])
    put(folder / "LR/4x4.png", images.read_rgb(folder / "LR/4x4.png")[:50])
    put(folder / "HR/5.png", scene(5, 250))
    (folder / "HR/6.png").unlink()
    own = tmp_path / "camera"
    for n in range(12):
        put(own / f"{n}.png", images.read_rgb(shots / f"{n}.png"))
    (own / "torn.png").write_bytes(whole[: len(whole) // 2])
    put(own / "tiny.png", scene(1, 64)[:24])
    assert main(["match", str(folder), "--against", str(own), "--limit", "20"]) == 0
    came = capsys.readouterr()
    said = came.err.splitlines()
    assert all(line.startswith("left out: ") for line in said) and len(said) == 6, said
    for name in ("3", "4", "5", "6x4", "torn.png", "tiny.png"):
        assert any(f": {name}" in line or f"/{name}" in line for line in said), (name, said)
    assert came.out.splitlines()[0].endswith("from 10 photographs") and "Sharpness, %" in came.out


def test_few_photographs_do_not_decide(shots, tmp_path):
    one = tmp_path / "camera"
    put(one / "1.png", images.read_rgb(shots / "1.png"))
    found = look(foreign(tmp_path / "set", noise=9.0), one)
    assert set(found.beside.values()) == {"unsure"} and found.far.halves is None
    assert found.far.frechet["lr"].interval is None
    assert found.sentence == "There are too few photographs to tell LR from the camera's: give more of both."


@pytest.mark.parametrize(("words", "said"), [
    (["nowhere", "--against", "CAMERA"], "nowhere is not there"),
    (["SET", "--against", "nowhere"], "nowhere is not there"),
    (["SET", "--against", "EMPTY"], "holds no photograph of 32 x 32"),
    (["EMPTY", "--against", "CAMERA"], "holds no pairs"),
    (["SMALL", "--against", "CAMERA"], "The LQ have 16 pixels"),
])  # fmt: skip
def test_a_mistake_is_a_sentence(shots, tmp_path, words, said, capsys):
    (tmp_path / "empty").mkdir()
    for n in range(3):
        put(tmp_path / "small/HR" / f"{n}.png", scene(n, 64))
        put(tmp_path / "small/LR" / f"{n}.png", images.resize_bicubic(scene(n, 64), (16, 16)))
    there = {"CAMERA": shots, "SET": foreign(tmp_path / "set"), "EMPTY": tmp_path / "empty",
             "SMALL": tmp_path / "small"}  # fmt: skip
    assert main(["match", *(str(there.get(word, word)) for word in words)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_parts_of_one_photograph_count_as_one(shots, tmp_path):
    for n in range(4):
        for part in range(3):
            sharp = scene(10 * n + part, 4 * SIDE)
            put(tmp_path / "gt" / f"{n}_s{part + 1:03d}.png", sharp)
            put(tmp_path / "lq" / f"{n}_s{part + 1:03d}.png", images.resize_bicubic(sharp, (SIDE, SIDE)))
    assert set(look(tmp_path, shots, whole=False).gathered.scenes) == set("0123")


def test_generate_ends_with_what_the_lr_are_beside_the_references(shots, tmp_path, capsys, tiny_bundle):
    engine = build(tiny_bundle, tmp_path / "engine", lr_size=32, batch=4, candidates=1, threads=1).folder
    for n in range(6):
        put(tmp_path / "hr" / f"{n}.png", scene(n, 4 * SIDE))
    words = ["generate", "--engine", str(engine), "--hr", str(tmp_path / "hr"), "--reference", str(shots), "--pairs",
             "8", "--out", str(tmp_path / "run")]  # fmt: skip
    assert main(words) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "LR are " in said or "too few photographs to tell LR" in said


def test_too_much_variety_is_far_although_the_mean_is_right(shots, tmp_path):
    for n in range(SCENES):
        sharp = scene(n, 4 * SIDE)
        put(tmp_path / "HR" / f"{n}.png", sharp)
        noise = 1.0 if n % 2 else 7.0  # the camera has 4
        put(tmp_path / "LR" / f"{n}.png", camera(images.resize_bicubic(sharp, (SIDE, SIDE)), n, noise=noise))
    varied, steady = look(tmp_path, shots), look(foreign(tmp_path / "steady"), shots)
    noise = {one.key: one.means["noise"] for one in varied.verdict.columns}
    assert noise["lr"].value == pytest.approx(noise["real"].value, rel=0.15)
    assert noise["lr"].spread > 4 * noise["real"].spread
    assert varied.far.measures["lr"] > 2 * steady.far.measures["lr"]


# ---- its parts ----


def test_tiles_do_not_overlap_and_lie_inside():
    dice = np.random.default_rng(0)
    found = tiles(200, 330, 64, 100, dice)
    assert len(found) == 15 and len(tiles(200, 330, 64, 4, dice)) == 4
    covered = np.zeros((200, 330), int)
    for top, left, height, width in found:
        covered[top : top + height, left : left + width] += 1
    assert covered.max() == 1 and covered.sum() == 15 * 64 * 64


def test_random_features_are_a_convolution():
    torch = pytest.importorskip("torch", reason="needs the extra train")
    image = np.random.default_rng(1).integers(0, 256, (2, 40, 52, 3), np.uint8)
    weights, bias = (torch.from_numpy(values) for values in filters())
    x = torch.from_numpy(image).permute(0, 3, 1, 2).double() / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    wanted = torch.nn.functional.conv2d(x, weights, bias, stride=4, padding=2).flatten(2).transpose(1, 2)
    assert np.abs(random_features(list(image)) - wanted.numpy()).max() < 1e-4


def test_detail_features_hear_blur_and_noise_and_hardly_contrast():
    image = scene(3, 128)
    faint, soft = (image // 2 + 60).astype(np.uint8), cv2.GaussianBlur(image, (0, 0), 1.0)
    own, less, blurred = (np.square(one).mean() for one in detail_features([image, faint, soft]))
    assert less == pytest.approx(own, rel=0.05) and blurred < own / 3
    assert detail_features([np.full((64, 64, 3), 90, np.uint8)]).shape[2] == FILTERS


@pytest.mark.parametrize("outcome", ["low", "high"])
@pytest.mark.parametrize("of", MEASURES, ids=lambda of: of.key)
def test_something_can_be_done_about_every_difference(of, outcome):
    noise: dict[str, Mean | None] = {"noise": Mean(1.0, None, 1, 1, np.zeros(1))}
    columns = [Column(key, key, noise, None) for key in ("lr", "real")]
    said = matching.sentence(Verdict(columns, {("lr", "real"): {of.key: outcome}}, []))
    near = matching.sentence(Verdict(columns, {("lr", "real"): {of.key: outcome}}, []), near=True)
    assert near.startswith("LR are as near to the camera's photographs as those are to one another, though ")
    differs, _, todo = said.partition(" than the camera's: ")
    assert differs == f"LR are {of.low if outcome == 'low' else of.high}" and len(todo) > 20
