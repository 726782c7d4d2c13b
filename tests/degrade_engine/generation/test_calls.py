"""A whole run from Python: the same folder as the command line's, by the same names."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import degrade_engine
from degrade_engine import DegradeError
from degrade_engine.cli import main
from degrade_engine.commands.generate import command
from degrade_engine.engine import images
from degrade_engine.engine.build import build
from degrade_engine.engine.recipe import Recipe

DEGRADER: dict[str, Any] = {"degrader": "camera", "lr_size": 16, "pairs": 9, "seed": 3, "threads": 1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for role, side in (("hr", 80), ("reference", 24)):
        (folder / role).mkdir()
        for n in range(3):
            pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
            (folder / role / f"{n}.png").write_bytes(images.encode_png(pixels))
    (folder / "hr" / "torn.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the kind realdgen: LR 16, 4 pairs a batch, 2 candidates."""
    out = tmp_path_factory.mktemp("engine") / "engine"
    return build(tiny_bundle, out, lr_size=16, batch=4, candidates=2, threads=1).folder


def tree(folder: Path) -> dict[str, bytes]:
    """Everything that does not hold seconds."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(("shards/", "run.json"))}


def test_a_run_of_an_engine_is_the_command_lines(engine: Path, photos: Path, tmp_path: Path) -> None:
    words = ["generate", "--engine", engine, "--hr", photos / "hr", "--reference", photos / "reference", "--out",
             tmp_path / "a", "--pairs", 9, "--seed", 3, "--threads", 1, "--candidates", 2, "--tau", "1:9", "--steps", 2,
             "--start", "camera", "--no-filter", "--scale", 2, "--sink", "webdataset"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    made = degrade_engine.generate(
        tmp_path / "b", engine=engine, hr=photos / "hr", reference=photos / "reference", pairs=9, seed=3,
        threads=1, candidates=2, tau=(1, 9), steps=2, start="camera", filter=False, scale=2, sink="webdataset",
        progress=False,
    )  # fmt: skip
    assert tree(made.out) == tree(tmp_path / "a") and made.manifest.is_file() and made.rejects_file.is_file()
    assert (made.pairs, made.asked, made.rejects) == (9, 9, {"hr: not_an_image": 1}) and made.seconds > 0


def test_a_run_without_networks_goes_on_and_says_how_far_it_is(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Any] = []
    words = ["generate", "--degrader", "camera", "--lr-size", 16, "--hr", photos / "hr", "--out", tmp_path / "a",
             "--pairs", 9, "--seed", 3, "--threads", 1]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    capsys.readouterr()
    made = degrade_engine.generate(tmp_path / "b", hr=photos / "hr", progress=told.append, **DEGRADER)
    assert tree(made.out) == tree(tmp_path / "a") and told[-1].settled == 9 and made.pairs_per_second is not None
    again = degrade_engine.generate(tmp_path / "b", hr=photos / "hr", progress=False, **DEGRADER)
    assert again.pairs == 9 and again.pairs_per_second is None and "9 of 9 pairs" in str(again)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(DegradeError, match="seed was 3 and is now 4"):
        degrade_engine.generate(tmp_path / "b", hr=photos / "hr", progress=False, **DEGRADER | {"seed": 4})
    degrade_engine.generate(tmp_path / "c", hr=photos / "hr", **DEGRADER)
    assert "9 pairs at scale 4 from 3 HR images; degrader camera" in capsys.readouterr().err


def test_a_plan_writes_nothing_and_is_the_runs(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    order = {name: value for name, value in DEGRADER.items() if name != "threads"}
    planned = degrade_engine.plan(hr=photos / "hr", **order)
    assert list(tmp_path.iterdir()) == [] and planned.plan.options.pairs == 9
    made = degrade_engine.generate(tmp_path / "out", hr=photos / "hr", progress=False, **DEGRADER)
    assert made.page["plan"] == planned.plan.sha256


def test_its_arguments_are_the_commands_options() -> None:
    """Recipe's fields are given as they are; two options are the command line's alone."""
    options = {param.name for param in command.params} - {
        "log_every",
        "log_format",
        "quiet",
        "verbose",
        "dry_run",
        "no_filter",
        "preset",  # recipe takes its names, too
    }
    fields = set(inspect.signature(Recipe).parameters)
    called = set(inspect.signature(degrade_engine.generate).parameters) - {"changes", "progress"}
    assert options - fields == called
    assert options & fields == fields - {"filter", "learned"}, "a learned table comes with --recipe"
    planned = set(inspect.signature(degrade_engine.plan).parameters) - {"changes"}
    assert planned < called


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"degrader": None}, "neither --model nor --engine nor --degrader was given"),
        ({"engine": "e"}, "--engine and --degrader were both given"),
        ({"tau": 3}, "--tau was given with the degrader camera"),
        ({"hr": None}, "--hr not given"),
        ({"pairs": None}, "--pairs not given"),
        ({"pairs": "9"}, "pairs is '9'"),
        ({"pairs": 2.5}, "pairs is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"devices": [0], "processes": 2}, "--processes and --devices were both given"),
        ({"devices": [0]}, "--devices was given, and this run needs no GPU"),
        ({"gt": "none", "sink": "lmdb"}, "--gt none was given with --sink lmdb"),
    ],
)
def test_a_mistake_is_a_sentence_and_writes_nothing(photos: Path, tmp_path: Path, change: dict, said: str) -> None:
    with pytest.raises(DegradeError, match=said):
        degrade_engine.generate(tmp_path / "out", progress=False, **{"hr": photos / "hr"} | DEGRADER | change)
    assert not (tmp_path / "out").exists()


def test_the_pages_run_is_one_call(
    root: Path, engine: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (root / "docs/python.md").read_text()
    example = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "import generate" in code)
    assert len(example.splitlines()) <= 5
    (tmp_path / "my").mkdir()
    for name, target in (("engine", engine), ("my/sharp", photos / "hr"), ("my/camera", photos / "reference")):
        (tmp_path / name).symlink_to(target)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example.replace("pairs=500", "pairs=6, candidates=2"), names)
    assert names["made"].pairs == 6 and len(list((tmp_path / "pairs" / "lq").iterdir())) == 6


@pytest.mark.parametrize("out", ["memory://run", "https://bucket/run", "file:///tmp/run"])
def test_such_a_url_is_no_output(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    """It became the folder ./memory:/run, and the run ended with exit code 0."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DegradeError, match="is a URL"):
        degrade_engine.generate(out, hr=photos / "hr", progress=False, **DEGRADER)
    with pytest.raises(DegradeError, match="is a URL"):
        degrade_engine.generate(Path(out), hr=photos / "hr", progress=False, **DEGRADER)
    words = ["generate", "--degrader", "camera", "--hr", str(photos / "hr"), "--pairs", "2", "--out", out]
    assert main(words) == main([*words, "--dry-run"]) == main(["report", ".", "-o", out]) == 2
    said = capsys.readouterr().err
    assert said.count(f"the output {out} is a URL") == 2 and said.count("a URL came") == 1
    assert not list(tmp_path.iterdir())
