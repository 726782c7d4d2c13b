"""`calibrate camera` and `generate --cameras` through the command line: the file, that it is the same again, that the
pairs come from it and are the same whatever the workers, that a run goes on with these cameras alone, and mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.calib import fitting, held_out
from degrade_engine.cli import main
from degrade_engine.engine.artefact import read_json, write_json_atomic
from degrade_engine.engine.classical.camera import Camera, apply, draw, shot
from degrade_engine.engine.classical.camera_degrader import FittedCameras
from degrade_engine.engine.classical.degraders import open_degrader, replay
from degrade_engine.engine.classical.dice import throw
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import encode_png, read_rgb

LR = 64  # pixels a side


@pytest.fixture(scope="module")
def lr(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen LR of one synthetic camera."""
    folder = tmp_path_factory.mktemp("lr")
    for at, path in enumerate(sorted((samples / "hr").iterdir())[:9]):
        image = read_rgb(path)
        for part, pixels in enumerate((image[:512, :512], image[-512:, -512:])):
            one = shot(draw(5, 3), throw(at, part))
            (folder / f"{path.stem}-{part}.png").write_bytes(encode_png(apply(pixels, one, scale=4, noise_seed=at)))
    return folder


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in ((fitting, "SHARP", 24), (held_out, "LOOKED", 12), (held_out, "POOL", 40)):
        monkeypatch.setattr(module, name, value)


def fit(lr: Path, samples: Path, out: Path, *more: object) -> int:
    words = ["calibrate", "camera", "--lr", lr, "--hr", samples / "hr", "-o", out, *more]
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three cameras that were drawn."""
    path = tmp_path_factory.mktemp("cameras") / "cameras.json"
    write_json_atomic(path, FittedCameras(tuple(draw(5, at) for at in range(3)), (0.5, 0.6, 0.7), {}, 3, {}, {}, 0, {}))
    return path


def generate(samples: Path, out: Path, *more: object) -> int:
    words = ["generate", "--degrader", "camera", "--hr", samples / "hr", "--out", out, "--pairs", 12, "--lr-size", 32,
             "--shard-pairs", 4, "--quiet", *more]  # fmt: skip
    return main([str(word) for word in words])


def images(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "lq").iterdir())} | {
        "manifest": (out / "manifest.jsonl").read_bytes()
    }


def test_the_fitted_cameras_are_nearer_and_the_same_tries_give_the_same_file(
    lr: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    files = [tmp_path / f"{threads}.json" for threads in (1, 2)]
    for threads, path in enumerate(files, 1):
        assert fit(lr, samples, path, "--tries", 40, "--threads", threads) == 0
    said = capsys.readouterr().out
    assert files[0].read_bytes() == files[1].read_bytes()
    found = read_json(FittedCameras, files[0])
    assert found.tried == 40 and 1 < len(found.cameras) <= 6 and list(found.distance) == sorted(found.distance)
    assert found.lr["fitted_to"] == 12 and found.lr["held_out"] == 6 and found.hr["photographs"] == 9
    apart = {name: one["distance"] for name, one in found.held_out.items()}
    assert apart["fitted"] < 0.85 * min(apart["unfitted"], apart["bicubic"]), apart
    assert f"Distance by measures{apart['bicubic']:17.3f}{apart['unfitted']:12.3f}{apart['fitted']:12.3f}" in said
    assert "6 photographs are few to judge by" in said and f"{files[0]} holds the nearest" in said


def test_time_ends_a_fit_and_no_sharp_photographs_are_needed(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["calibrate", "camera", "--lr", samples / "hr", "--minutes", 1e-6, "-o", tmp_path / "my.json"]
    assert main([str(word) for word in words]) == 0
    assert "at half their size, are the sharp photographs" in capsys.readouterr().out
    found = read_json(FittedCameras, tmp_path / "my.json")
    assert found.tried == 24 and found.hr["given"] is False and found.hr["photographs"] == found.lr["fitted_to"] == 6


def test_the_verdict_needs_both_distances_and_both_others() -> None:
    near, far, rough = (held_out.Standing(*both, {}) for both in ((1.0, 0.1), (2.0, 0.2), (0.9, 0.3)))
    assert fitting.Compared(near, far, far, {}).nearer
    for fitted, unfitted, bicubic in ((far, near, far), (far, far, near), (rough, far, far)):
        assert not fitting.Compared(fitted, unfitted, bicubic, {}).nearer


def test_it_needs_no_torch(lr: Path, samples: Path, tmp_path: Path) -> None:
    words = ["calibrate", "camera", "--lr", str(lr), "--hr", str(samples / "hr"), "--tries", "1", "-o", "my.json"]
    code = f"import sys; sys.modules['torch'] = None\nfrom degrade_engine.cli import main; sys.exit(main({words!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "my.json").is_file()


def test_each_pair_is_of_a_fitted_camera_whatever_the_workers(cameras: Path, samples: Path, tmp_path: Path) -> None:
    for threads in (1, 3):
        assert generate(samples, tmp_path / str(threads), "--cameras", cameras, "--threads", threads) == 0
    assert generate(samples, tmp_path / "two", "--cameras", cameras, "--processes", 2) == 0
    assert images(tmp_path / "1") == images(tmp_path / "3") == images(tmp_path / "two")
    rows = [json.loads(line) for line in (tmp_path / "1" / "manifest.jsonl").read_text().splitlines()]
    drawn = [Camera.from_json(row["start"]["parameters"]) for row in rows]
    known = read_json(FittedCameras, cameras).cameras
    of = [[one.lens for one in known].index(camera.lens) for camera in drawn]
    assert all(known[at].jpeg == camera.jpeg for at, camera in zip(of, drawn, strict=True))
    assert set(of) == {0, 1, 2} and len({camera.shot for camera in drawn}) == 12, "each with a shot of its own"
    gt, lq = (read_rgb(tmp_path / "1" / name / f"{rows[0]['name']}.png") for name in ("gt", "lq"))
    assert np.array_equal(replay(rows[0]["start"], gt, scale=4), lq)
    assert main(["report", str(tmp_path / "1"), "-o", str(tmp_path / "report.html")]) == 0


def test_a_run_does_not_go_on_with_other_cameras(
    cameras: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert generate(samples, tmp_path / "out", "--cameras", cameras) == 0
    before = images(tmp_path / "out")
    page = json.loads(cameras.read_text())
    moved = tmp_path / "moved.json"  # the same cameras by another name and with other distances: the same plan
    moved.write_text(json.dumps(page | {"distance": [1.0, 2.0, 3.0], "seed": 7}))
    assert generate(samples, tmp_path / "out", "--cameras", moved) == 0
    page["cameras"][1]["handling"]["gain"] += 0.01
    moved.write_text(json.dumps(page))
    capsys.readouterr()
    for more in (["--cameras", moved], []):
        assert generate(samples, tmp_path / "out", *more) == 2
        assert "holds a run with other settings" in capsys.readouterr().err
    assert images(tmp_path / "out") == before


def test_without_cameras_the_degrader_is_as_it_was() -> None:
    degrader = open_degrader("camera")
    assert [degrader.draw(3, pair, 4) for pair in range(4)] == [draw(3, pair) for pair in range(4)]
    assert "cameras" not in degrader.settings and "lens" in degrader.settings


def test_the_page_of_a_tuned_model_has_cameras_too(cameras: Path, tmp_path: Path) -> None:
    page = json.loads(cameras.read_text())
    tuned = tmp_path / "my.json"
    tuned.write_text(json.dumps({"training": [{"stage": "sample"}, {"data": {"cameras": page["cameras"]}}]}))
    assert open_degrader("camera", cameras=tuned) == open_degrader("camera", cameras=cameras)
    for without in ([], [{}], [{"data": {"cameras": "none"}}], 3):
        tuned.write_text(json.dumps({"training": without}))
        with pytest.raises(DegradeError, match="a model without fitted cameras"):
            open_degrader("camera", cameras=tuned)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--degrader", "binned", "--cameras", "c.json"], "cameras with camera only"),
        (["--degrader", "camera", "--weights", "c.json"], "weights with binned only"),
        (["--degrader", "camera", "--cameras", "c.json", "--degrader-options", "o.toml"], "both cameras and options"),
        (["--degrader", "camera", "--cameras", "gone.json"], "gone.json"),
        (["--degrader", "camera", "--cameras", "none.json"], "no camera came"),
        (["--degrader", "camera", "--cameras", "broken.json"], "broken.json"),
    ],
)
def test_mistakes_are_said(
    words: list[str], said: str, cameras: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    page = json.loads(cameras.read_text())
    Path("c.json").write_text(json.dumps(page))
    Path("none.json").write_text(json.dumps(page | {"cameras": [], "distance": []}))
    Path("broken.json").write_text(json.dumps(page | {"format": "degrade-engine/fitted-cameras/2"}))
    Path("o.toml").write_text("")
    assert main(["generate", "--hr", str(samples / "hr"), "--pairs", "2", "--out", "out", *words]) == 2
    assert said in capsys.readouterr().err and not Path("out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-o", "my.txt"], "a file that ends in .json"),
        (["-o", "gone/my.json"], "an existing folder"),
        (["--minutes", 1, "--tries", 2], "--minutes and --tries were both given"),
    ],
)
def test_mistakes_of_the_fit_are_said_before_it(
    more: list[object], said: str, lr: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert fit(lr, samples, Path("my.json"), *more) == 2
    told = capsys.readouterr()
    assert said in told.err and not told.out
