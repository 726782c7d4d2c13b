"""References of a run: flat crops give way to others of the same photograph; a list says how often each is drawn."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.inputs.flat import FLAT, is_flat, relief
from degrade_engine.engine.weights import Choice

from ..pair_sets import photographs

LR = 16


def busy(seed: int, height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3]: squares of eight pixels, far from flat."""
    squares = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return squares.repeat(8, 0).repeat(8, 1)[:height, :width].astype(np.uint8)


def put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.ascontiguousarray(pixels)))


@pytest.fixture(scope="module")
def hr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 90)


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs of which one half is sky, one of sky alone, and one without."""
    folder = tmp_path_factory.mktemp("camera")
    sky = np.full((64, 96, 3), 130, np.uint8)
    for n in range(2):
        put(folder / f"half{n}.png", np.concatenate([sky, busy(n, 64, 96)], axis=1))
    put(folder / "sky.png", sky)
    put(folder / "busy.png", busy(9, 64, 96))
    return folder


def generate(engine: Path, hr: Path, reference: object, out: Path, *more: object) -> int:
    words = ["generate", "--engine", engine, "--hr", hr, "--reference", reference, "--out", out, "--threads", 1,
             "--pairs", 40, "--tau", 0, "--start", "bicubic", *more]  # fmt: skip
    return main([str(word) for word in words])


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def crops(camera: Path, out: Path) -> list[tuple[str, np.ndarray]]:
    found = []
    for row in rows(out):
        for one in [row["reference"], *row.get("other_references", [])]:
            y, x, h, w = one["crop"]
            found.append((one["path"], images.read_rgb(camera / one["path"])[y : y + h, x : x + w]))
    return found


def test_noise_and_gradients_are_flat_and_structure_is_not():
    y, x = np.mgrid[:64, :64]
    dice = np.random.default_rng(0)
    sky = 120 + 0.5 * x - 0.4 * y + dice.normal(0, 6, (64, 64))
    edge = sky + 40 * (x > 40)
    for pixels, flat in ((sky, True), (edge, False), (np.zeros((64, 64)), True)):
        crop = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
        assert is_flat(crop) is flat, relief(crop)
    assert not is_flat(np.zeros((8, 8, 3), np.uint8))  # too small to be judged
    blocks = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((4, 4)))  # a checkerboard of 0 and 255
    assert relief((255 * blocks).astype(np.uint8)[..., None].repeat(3, axis=2)) == pytest.approx(127.5)
    assert FLAT < 127


@pytest.mark.parametrize("several", [1, 3])
def test_a_flat_crop_gives_way_to_another_of_its_photograph(tiny_engine, hr, camera, tmp_path, capsys, several):
    assert generate(tiny_engine, hr, camera, tmp_path / "a", "--references-per-pair", several) == 0
    said = "".join(capsys.readouterr())
    found = crops(camera, tmp_path / "a")
    assert len(found) == 40 * several
    assert Counter(path for path, crop in found if is_flat(crop)).keys() == {"sky.png"}
    page = json.loads((tmp_path / "a/run.json").read_text())
    alone = sum(path == "sky.png" for path, _ in found)
    assert page["flat_references"] == alone == sum(row.get("flat_references", 0) for row in rows(tmp_path / "a"))
    assert page["flat_passed_over"] > 0 and f"{page['flat_passed_over']} gave way" in said and f"{alone} are of" in said
    assert json.loads((tmp_path / "a/plan.json").read_text())["pass_flat"] is True
    assert generate(tiny_engine, hr, camera, tmp_path / "b", "--references-per-pair", several, "--shard-pairs", 1) == 0
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


def test_a_run_that_began_before_keeps_its_flat_crops(tiny_engine, hr, camera, tmp_path):
    out = tmp_path / "old"
    assert generate(tiny_engine, hr, camera, out, "--dry-run") == 0
    page = json.loads((out / "plan.json").read_text())
    del page["pass_flat"]
    (out / "plan.json").write_text(json.dumps(page))
    assert generate(tiny_engine, hr, camera, out) == 0
    assert {path for path, crop in crops(camera, out) if is_flat(crop)} > {"sky.png"}
    assert "pass_flat" not in json.loads((out / "plan.json").read_text())
    assert not any("flat_passed_over" in row for row in rows(out))
    assert generate(tiny_engine, hr, camera, tmp_path / "new") == 0  # crops that are not flat are the same
    same = [a["reference"] == b["reference"] for a, b in zip(rows(out), rows(tmp_path / "new"), strict=True)]
    changed = sum("flat_passed_over" in row for row in rows(tmp_path / "new"))
    assert 0 < changed == same.count(False)


def test_a_run_without_references_has_no_word_of_it(hr, tmp_path):
    words = ["generate", "--degrader", "camera", "--lr-size", 16, "--hr", hr, "--out", tmp_path / "out", "--pairs", 2]
    assert main([str(word) for word in words]) == 0
    assert "pass_flat" not in json.loads((tmp_path / "out/plan.json").read_text())


def listed(path: Path, *pages: dict) -> Path:
    path.write_text("".join(json.dumps(page) + "\n" for page in pages))
    return path


def test_a_list_says_how_often_each_is_drawn_and_the_manifest_names_the_cluster(tiny_engine, hr, camera, tmp_path):
    pages = [
        {"path": str(camera / "half0.png"), "weight": 3, "cluster": 1, "found": ["a word that nobody reads"]},
        {"path": str(camera / "half1.png"), "weight": 1, "cluster": 1},
        {"path": str(camera / "busy.png"), "cluster": "b"},
        {"path": str(camera / "sky.png"), "weight": 0},
    ]
    out = tmp_path / "pairs"
    list_of = listed(tmp_path / "references.jsonl", *pages)
    assert generate(tiny_engine, hr, list_of, out, "--references-per-pair", 2, "--pairs", 400) == 0
    drawn = Counter(row["reference"]["path"] for row in rows(out))
    assert drawn.keys() == {"half0.png", "half1.png", "busy.png"}
    assert 200 < drawn["half0.png"] < 280 and 50 < drawn["busy.png"] < 110  # 240 and 80 wanted
    clusters = {"half0.png": 1, "half1.png": 1, "busy.png": "b"}
    for row in rows(out):
        own = row["reference"]
        assert own["cluster"] == clusters[own["path"]]
        (other,) = row["other_references"]  # of the first one's cluster
        assert clusters[other["path"]] == own["cluster"]
    plan = json.loads((out / "plan.json").read_text())["reference_weights"]
    listed(list_of, *[{**page, "weight": 1} for page in pages])
    assert generate(tiny_engine, hr, list_of, out, "--references-per-pair", 2, "--pairs", 400) == 2
    assert generate(tiny_engine, hr, list_of, tmp_path / "other", "--dry-run") == 0
    assert json.loads((tmp_path / "other/plan.json").read_text())["reference_weights"] != plan


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ({"path": "busy.png", "weight": -1}, "the weight is -1"),
        ({"path": "busy.png", "weight": "2"}, "the weight is '2'"),
        ({"path": "busy.png", "cluster": [1]}, r"the cluster is \[1\]"),
        ({"weight": 1}, "line 1"),
        ({"path": "busy.png", "weight": 0}, "weight above 0"),
    ],
)
def test_a_list_that_is_none_is_a_mistake(tiny_engine, hr, camera, tmp_path, capsys, page, said):
    put(tmp_path / "busy.png", busy(9, 64, 96))
    assert generate(tiny_engine, hr, listed(tmp_path / "list.jsonl", page), tmp_path / "pairs") == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_choice_by_weights():
    choice = Choice([10, 11, 12, 13], [0.0, 1.0, 3.0, 0.0])
    drawn = Counter(choice.pick(int(word)) for word in np.random.default_rng(0).integers(0, 2**64, 4000, np.uint64))
    assert drawn.keys() == {11, 12} and abs(drawn[12] - 3000) < 120
    assert choice.pick(0) == 11 and choice.pick(2**64 - 1) == 12
    assert [Choice([5, 6]).pick(word) for word in (0, 2**63 - 1, 2**63)] == [5, 5, 6]
