"""Is it good? Sets whose LR are like their references, or are not, and what the report says of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.report import report, verdict
from degrade_engine.engine.report.measures import MEASURES

from ..pair_sets import generate

PHOTOS, PAIRS = 12, 30


def scene(seed: int, side: int) -> np.ndarray:
    """uint8 [side, side, 3]: gray rectangles on gray."""
    dice = np.random.default_rng(seed)
    image = np.full((side, side, 3), 128, np.uint8)
    for _ in range(30):
        top, left = dice.integers(0, side - 16, 2)
        image[top : top + dice.integers(16, side // 2), left : left + dice.integers(16, side // 2)] = dice.integers(
            40, 216
        )
    return image


def camera(image: np.ndarray, seed: int, blur: float = 0.8, noise: float = 4.0) -> np.ndarray:
    soft = cv2.GaussianBlur(image, (0, 0), blur)
    return np.clip(np.rint(soft + np.random.default_rng(seed).normal(0, noise, image.shape)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty bicubic pairs of twelve photographs, LR of 64 pixels."""
    folder = tmp_path_factory.mktemp("verdict")
    (folder / "hr").mkdir()
    for n in range(PHOTOS):
        (folder / "hr" / f"{n}.png").write_bytes(images.encode_png(scene(n, 256)))
    more = ("--pairs", PAIRS, "--lr-size", 64)
    assert generate("folder", folder / "hr", folder / "run", *more) == 0
    return folder / "run"


def with_camera(plain: Path, out: Path, references: bool = True, **of: float) -> Path:
    """The run, its LR by a camera, with references of other scenes by the camera of the defaults."""
    shutil.copytree(plain, out)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    (out / "extra" / "reference").mkdir(parents=True)
    for n, row in enumerate(rows):
        lq = out / "lq" / f"{row['name']}.png"
        lq.write_bytes(images.encode_png(camera(images.read_rgb(lq), n, **of)))
        if references:
            row["reference"] = {"path": f"{n % PHOTOS}.jpg", "crop": [0, 0, 64, 64]}
            own = camera(images.resize_bicubic(scene(100 + n % PHOTOS, 256), (64, 64)), 1000 + n)
            (out / "extra" / "reference" / f"{row['name']}.png").write_bytes(images.encode_png(own))
    (out / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return out


def test_lr_of_the_references_camera_are_like_them_and_bicubic_is_not(plain, tmp_path):
    found = report.open_report(with_camera(plain, tmp_path / "run")).verdict
    beside = found.outcomes["lr", "real"]
    assert "low" not in beside.values() and "high" not in beside.values()
    assert beside["noise"] == beside["chroma"] == "same"
    assert "as noisy" in found.sentences[0] and "the references" in found.sentences[0]
    ratio = found.sentences[-1]
    assert ratio.startswith("Sharpness over bicubic's: LR 0.") and "references 0." in ratio
    bicubic, lr = (found.column(key).means["noise"] for key in ("bicubic", "lr"))
    assert lr.value > 2 * bicubic.value and lr.photographs == PHOTOS and lr.images == PAIRS
    low, high = lr.interval
    assert low < lr.value < high


@pytest.mark.parametrize(("of", "key", "came"), [({"noise": 9.0}, "noise", "high"), ({"noise": 1.0}, "chroma", "low"),
                                                 ({"blur": 1.8}, "sharpness", "low")])  # fmt: skip
def test_another_camera_is_told_from_the_references(plain, tmp_path, of, key, came):
    found = report.open_report(with_camera(plain, tmp_path / "run", **of)).verdict
    assert found.outcomes["lr", "real"][key] == came
    measure = next(one for one in MEASURES if one.key == key)
    assert (measure.high if came == "high" else measure.low) in found.sentences[0]


def test_without_references_bicubic_alone_is_beside(plain):
    found = report.open_report(plain).verdict
    assert found.sentences[0].startswith("This run had no references") and ("lr", "real") not in found.outcomes
    beside = found.outcomes["lr", "bicubic"]
    assert {beside[of.key] for of in MEASURES if of.first} == {"same"}  # it is bicubic
    assert not {"low", "high"} & set(beside.values())
    assert "References" not in report.html(report.open_report(plain), 2).partition("<script>")[0]


def test_few_photographs_do_not_decide(plain, tmp_path):
    out = with_camera(plain, tmp_path / "run", noise=9.0)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        row["reference"]["path"] = "one.jpg"
    (out / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = report.open_report(out).verdict
    assert set(found.outcomes["lr", "real"].values()) == {"unsure"}
    assert "too few photographs to tell LR from the references" in found.sentences[0]


def test_sentences_read_well():
    outcomes = {"sharpness": "same", "noise": "same", "blocks": "high", "spectrum": "unsure"}
    assert verdict.compared("LR", "the references", outcomes) == (
        "LR are as sharp and as noisy as the references, but blockier. "
        "Fine detail cannot be told apart with so few photographs."
    )
    assert verdict.compared("LR", "bicubic", {"noise": "high", "sharpness": "low"}) == (
        "LR are softer and noisier than bicubic."
    )
    assert [verdict.listed(list("abc"[:n])) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


# ---- two runs ----


def test_two_runs_of_one_seed_stand_side_by_side(plain, tmp_path, capsys):
    one, two = plain, with_camera(plain, tmp_path / "noisy & <b>", references=False)
    found = report.open_report(one, two)
    assert found.verdict.outcomes["lr", "second"]["noise"] == "low"
    assert [column.key for column in found.verdict.columns] == ["bicubic", "lr", "second"]
    assert main(["report", str(one), str(two), "-o", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert text.count("<b>LR of A") == text.count("<b>LR of B") == 24 == text.count("<article")
    assert "noisy &amp; &lt;b&gt;" in text and "noisy & <b>" not in text
    capsys.readouterr()
    assert main(["report", str(one), str(two), "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page["second"]["plan"]["seed"] == page["plan"]["seed"] and "lr to second" in page["verdict"]["outcomes"]


def test_runs_of_other_crops_are_refused_in_a_sentence(plain, tmp_path):
    for name, said in (("seed", "has the seed 7"), ("lr_size", "has the LR size 7"), ("scale", "has the scale 7")):
        shutil.copytree(plain, tmp_path / name)
        page = json.loads((plain / "plan.json").read_text()) | {name: 7}
        (tmp_path / name / "plan.json").write_text(json.dumps(page))
        with pytest.raises(DegradeError, match=said):
            report.open_report(plain, tmp_path / name)
    for name, change in (("crop", {"path": "0.png", "crop": [1, 1, 256, 256]}), ("photo", {"path": "other.png"})):
        shutil.copytree(plain, tmp_path / name)
        rows = [json.loads(line) for line in (plain / "manifest.jsonl").read_text().splitlines()]
        rows[3]["hr"] |= change
        (tmp_path / name / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(DegradeError, match="Pair 0000003 shows"):
            report.open_report(plain, tmp_path / name)


def test_a_shorter_second_run_is_compared_where_both_have_pairs(plain, tmp_path):
    short = tmp_path / "short"
    assert generate("folder", plain.parent / "hr", short, "--pairs", 20, "--lr-size", 64, degrader="blur-bicubic") == 0
    found = report.open_report(plain, short)
    assert len(found.looked) == len(found.others) == 20
    assert all(one.row.hr == two.row.hr for one, two in zip(found.looked, found.others, strict=True))
    assert found.verdict.outcomes["lr", "second"]["sharpness"] in ("high", "same")
