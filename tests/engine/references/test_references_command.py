"""`references`: photographs with known faults are found, the others are clustered, and `generate` draws by the list."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.references.findings import clusters, robust, silhouette
from degrade_engine.engine.references.look import bands, mark_of

SIDE, GOOD = 96, 12


def scene(seed: int) -> np.ndarray:
    """Ellipses of all sizes with noise, uint8 [SIDE, SIDE, 3]: edges everywhere, and something in every band."""
    dice = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    for size in np.geomspace(40, 3, 60):
        middle, axes = dice.integers(0, SIDE, 2).tolist(), (int(size), int(size * dice.uniform(0.4, 1)))
        colour = dice.integers(20, 230, 3).tolist()
        cv2.ellipse(image, middle, axes, float(dice.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return np.clip(image + dice.normal(0, 3, image.shape), 1, 254).astype(np.uint8)


def put(path: Path, pixels: np.ndarray) -> None:
    path.write_bytes(images.encode_png(np.ascontiguousarray(pixels)))


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good photographs, whose EXIF names one camera, and one with each fault."""
    folder, tags = tmp_path_factory.mktemp("camera"), Image.Exif()
    tags[0x010F], tags[0x0110] = "Maker", "One"
    for n in range(GOOD):
        Image.fromarray(scene(n)).save(folder / f"good{n:02d}.png", exif=tags)
    put(folder / "sky.png", np.clip(np.random.default_rng(0).normal(150, 4, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8))
    put(folder / "white.png", np.where(np.arange(SIDE)[:, None, None] < 40, 255, scene(50)).astype(np.uint8))
    small = Image.fromarray(scene(51)[: SIDE // 2, : SIDE // 2])
    put(folder / "larger.png", np.array(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    soft = cv2.GaussianBlur(scene(52), (0, 0), 0.9) + np.random.default_rng(1).normal(0, 2, (SIDE, SIDE, 3))
    put(folder / "soft.png", np.clip(soft, 1, 254).astype(np.uint8))
    Image.fromarray(scene(3)).resize((90, 90)).save(folder / "twice.jpg", quality=85)
    tags[0x0110] = "Two"
    Image.fromarray(scene(53)).save(folder / "other.png", exif=tags)
    return folder


def references(*words: object) -> int:
    return main(["references", *map(str, words)])


@pytest.fixture(scope="module")
def looked(camera: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("looked")
    words = [camera, "--model", "realdgen-tiny", "--lr-size", 32, "--crops", 3, "--threads", 1, "-o", out / "page.html",
             "--list", out / "list.jsonl", "--features", out / "f.npy", "--table", out / "t.csv"]  # fmt: skip
    assert references(*words) == 0
    return out


def listed(path: Path) -> dict[str, dict]:
    pages = map(json.loads, path.read_text().splitlines())
    return {Path(page["path"]).name: page for page in pages}


@pytest.mark.parametrize(
    ("name", "word"),
    [("sky.png", "flat"), ("white.png", "white or black"), ("larger.png", "made larger"), ("soft.png", "edges"),
     ("twice.jpg", "nearly the same as good03.png"), ("other.png", "taken with Maker Two, most others with Maker One")],
)  # fmt: skip
def test_each_fault_is_found_by_its_word(looked: Path, name: str, word: str):
    page = listed(looked / "list.jsonl")[name]
    assert page["weight"] == 0 and "cluster" not in page
    assert any(word in said for said in page["found"]), page


def test_good_photographs_have_a_weight_and_a_cluster(looked: Path):
    good = {name: page for name, page in listed(looked / "list.jsonl").items() if name.startswith("good")}
    assert len(good) == GOOD and sum(page["weight"] for page in good.values()) >= GOOD - 1
    assert all(isinstance(page["cluster"], int) for page in good.values() if page["weight"])


def test_features_and_table_have_a_row_a_crop(looked: Path, camera: Path):
    features, rows = np.load(looked / "f.npy"), list(csv.DictReader((looked / "t.csv").open()))
    assert features.shape == (len(rows), 128) and features.dtype == np.float32
    assert len(rows) == 3 * (GOOD + 6)
    assert {row["camera"] for row in rows} == {"", "Maker One", "Maker Two"}
    row = next(row for row in rows if row["path"] == "good05.png")
    assert row["side"] == "32" and row["flat"] == "False" and row["weight"] == "1"


def test_the_page_shows_crops_and_runs_no_script(looked: Path):
    page = (looked / "page.html").read_text()
    assert page.count("data:image/") == GOOD + 6 and "<script" not in page
    assert "Cluster 1" in page and "Not for use" in page and "near-duplicate" in page


def test_generate_draws_by_the_list_and_its_manifest_names_the_cluster(looked, tiny_engine, samples, tmp_path):
    words = ["generate", "--engine", tiny_engine, "--hr", samples / "hr", "--reference", looked / "list.jsonl", "--out",
             tmp_path / "out", "--pairs", 30, "--tau", 0, "--start", "bicubic", "--threads", 1]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    pages = listed(looked / "list.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    for row in rows:
        page = pages[Path(row["reference"]["path"]).name]
        assert page["weight"] == 1 and row["reference"]["cluster"] == page["cluster"]


def test_an_engine_reads_crops_of_its_own_size(camera, tiny_engine, tmp_path, capsys):
    table, page = tmp_path / "t.jsonl", tmp_path / "p.html"
    assert references(camera, "--model", tiny_engine, "--table", table, "-o", page) == 0
    assert {json.loads(line)["side"] for line in table.read_text().splitlines()} == {16}
    assert references(camera, "--model", tiny_engine, "--lr-size", 64, "-o", page) == 2
    assert "the engine's LR size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--features", "f.csv"], "ends in .npy"),
        (["--lr-size", 33], "a multiple of"),
        (["--lr-size", 512], "smaller --lr-size"),
        (["--model", "nothing"], "is not a model"),
    ],
)
def test_mistakes(camera, tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert references(camera, *words) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_clusters_are_found_where_there_are_some_and_not_where_there_are_none():
    dice = np.random.default_rng(0)
    one = dice.normal(0, 1, (30, 16))
    assert set(clusters(one)) == {1}
    three = np.concatenate([one[:14], one[14:24] + 8, one[24:] - 8])
    assert clusters(three) == [1] * 14 + [2] * 10 + [3] * 6
    apart = np.abs(np.subtract.outer(np.array([0.0, 1, 10, 11]), np.array([0.0, 1, 10, 11])))
    assert silhouette(apart, np.array([0, 0, 1, 1])) == pytest.approx((1 - 1 / 10.5 + 1 - 1 / 9.5) / 2)
    assert robust(np.array([1.0, 2, 3, 4, 100]))[-1] == pytest.approx(97 / 1.4826)


def test_bands_and_marks():
    dice = np.random.default_rng(1)
    assert bands(dice.normal(100, 2, (256, 256)).astype(np.float32)) == pytest.approx([20 * np.log10(2)] * 4, abs=0.4)
    image = scene(7)
    again = cv2.resize(image, (72, 72), interpolation=cv2.INTER_AREA)
    assert (mark_of(image) ^ mark_of(again)).bit_count() <= 2
    assert (mark_of(image) ^ mark_of(scene(8))).bit_count() > 12
