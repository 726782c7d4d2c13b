"""A model by name or path: its engine is built at the first use, once, and found again."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import degrade_engine
from degrade_engine import DegradeError
from degrade_engine.cli import main
from degrade_engine.engine import build, images, machine
from degrade_engine.engine.engine_spec import open_engine_spec
from degrade_engine.models import ready
from degrade_engine.models.catalogue import bundled

SIZES: dict[str, Any] = {"lr_size": 16, "batch": 2, "candidates": 2, "threads": 1}
ENGINE_OF = """
import sys
from degrade_engine.engine import parity
from degrade_engine.models.ready import engine_of
{before}
sizes = dict(lr_size=16, batch=2, candidates=2, threads=1)
engine_of(sys.argv[1], **sizes, cache=sys.argv[2], say=lambda text: print(text, flush=True))
"""


@pytest.fixture()
def named(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A name whose bundle the package carries."""
    model = replace(bundled()["realdgen-tiny"], name="tiny", bundle=tiny_bundle)
    monkeypatch.setattr(ready, "bundled", lambda: {"tiny": model})
    return "tiny"


@pytest.fixture()
def no_building(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called: from now on nothing can be built."""

    def stop() -> None:
        def refuse(*given: object) -> None:
            raise AssertionError("it is built again")

        monkeypatch.setattr(build, "_write_parts", refuse)

    return stop


def a_checkpoint(folder: Path, weights: bytes = b"weights") -> Path:
    """Two files that only an export would look into."""
    (folder / "own.json").write_text("{}")
    (folder / "own.safetensors").write_bytes(weights)
    return folder / "own.safetensors"


@pytest.fixture()
def exports(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A stand-in for the export, which needs torch: where each went."""
    made: list[Path] = []
    fake = types.ModuleType("degrade_engine.export")

    def export_checkpoint(checkpoint: Path, out: Path) -> Path:
        made.append(out)
        shutil.rmtree(out, ignore_errors=True)  # as the export puts another in its place
        return Path(shutil.copytree(tiny_bundle, out))

    fake.export_checkpoint = export_checkpoint  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "degrade_engine.export", fake)
    return made


def test_the_first_use_builds_and_says_so_and_the_second_does_neither(
    named: str, tmp_path: Path, no_building: Callable[[], None]
) -> None:
    said: list[str] = []
    first = ready.engine_of(named, **SIZES, cache=tmp_path, say=said.append)
    spec = open_engine_spec(first)  # through its gate: it would be refused
    assert (spec.lr_size, spec.batch, spec.candidates) == (16, 2, 2) and first.parent == tmp_path / "engines"
    assert "building it once" in said[0] and "parity gate" in " ".join(said) and "built in" in said[-1]
    no_building()
    said.clear()
    assert ready.engine_of(named, **SIZES, cache=tmp_path, say=said.append) == first and said == []


def test_what_auto_takes_is_said_each_time(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: ("AVX2",))
    monkeypatch.setattr(machine, "nvidia", lambda: machine.Gpus(reason="none"))
    first = ready.engine_of(named, **SIZES, cache=tmp_path)
    for _ in range(2):
        said: list[str] = []
        assert ready.engine_of(named, **SIZES, precision="auto", cache=tmp_path, say=said.append) == first
        assert len(said) == 1 and said[0].startswith("--precision auto is fp32: this processor multiplies neither")


@pytest.mark.parametrize("change", [{"lr_size": 32}, {"batch": 1}, {"candidates": 1}, {"precision": "fp16"}])
def test_another_engine_has_another_place(named: str, tmp_path: Path, change: dict[str, Any]) -> None:
    first = ready.engine_of(named, **SIZES, cache=tmp_path)
    assert ready.engine_of(named, **SIZES | change, cache=tmp_path) != first and first.is_dir()


def test_another_version_or_bundle_has_another_place(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "bundle"  # of the same name
    shutil.copytree(tiny_bundle, other)
    page = json.loads((other / "bundle.json").read_text())
    (other / "bundle.json").write_text(json.dumps(page | {"parent": {"checkpoint_sha256": "1" * 64}}))
    monkeypatch.setenv("DEGRADE_ENGINE_CACHE", str(tmp_path / "cache"))
    made = {ready.engine_of(tiny_bundle, **SIZES), ready.engine_of(other, **SIZES)}
    monkeypatch.setattr(ready, "_version", lambda: "9.9")
    made.add(ready.engine_of(tiny_bundle, **SIZES))
    assert len(made) == 3 and all(one.parent == tmp_path / "cache" / "engines" for one in made)


def test_a_large_lr_is_tiled_over_the_usual_engine(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "LR_SIZE", 16)
    with degrade_engine.open_model(named, **SIZES | {"lr_size": 24}, cache=tmp_path, progress=False) as engine:
        assert engine.spec.lr_size == 16 and engine.lr_size == (24, 24)


def test_a_broken_engine_is_built_again(named: str, tmp_path: Path) -> None:
    folder = ready.engine_of(named, **SIZES, cache=tmp_path)
    (folder / "content.onnx").write_bytes(b"torn")
    assert ready.engine_of(named, **SIZES, cache=tmp_path) == folder
    open_engine_spec(folder)


def test_a_checkpoint_is_exported_once(exports: list[Path], tmp_path: Path, no_building: Callable[[], None]) -> None:
    checkpoint, said = a_checkpoint(tmp_path), list[str]()
    first = ready.engine_of(checkpoint, **SIZES, cache=tmp_path, say=said.append)
    assert "exporting own.safetensors" in said[0] and exports[0].parent == tmp_path / "bundles"
    ready.engine_of(checkpoint, **SIZES | {"batch": 3}, cache=tmp_path)
    assert len(exports) == 1
    (exports[0] / "content.onnx").write_bytes(b"torn")  # a damaged bundle is none
    ready.engine_of(checkpoint, **SIZES, cache=tmp_path)
    assert len(exports) == 2
    a_checkpoint(tmp_path, b"other weights")
    ready.engine_of(checkpoint, **SIZES, cache=tmp_path)
    assert len(exports) == 3 and exports[2] != exports[0]
    no_building()
    assert ready.engine_of(first) == first


def test_two_processes_build_once(tiny_bundle: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", ENGINE_OF.format(before=""), str(tiny_bundle), str(tmp_path)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("making denoiser" in text for text in said) == 1, said
    assert len([one for one in (tmp_path / "engines").iterdir() if one.is_dir()]) == 1


def test_a_build_that_was_killed_is_not_used_and_is_cleared_away(tiny_bundle: Path, tmp_path: Path) -> None:
    """Killed in its parity gate: all networks lie there, in a folder of another name."""
    before = "parity.check = lambda *given, **named: print('KILL', flush=True) or sys.stdin.read()"
    words = [sys.executable, "-c", ENGINE_OF.format(before=before), str(tiny_bundle), str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "KILL" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    left = [one.name for one in (tmp_path / "engines").iterdir() if one.is_dir()]
    assert len(left) == 1 and left[0].startswith(".") and left[0].endswith(".tmp")
    said: list[str] = []
    folder = ready.engine_of(tiny_bundle, **SIZES, cache=tmp_path, say=said.append)
    assert "making denoiser" in said and open_engine_spec(folder).parity.passed
    assert [one for one in (tmp_path / "engines").iterdir() if one.is_dir()] == [folder]


def test_what_needs_torch_is_said_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "degrade_engine.export", None)
    monkeypatch.setenv("DEGRADE_ENGINE_CACHE", str(tmp_path / "cache"))
    words = [
        "generate",
        "--model",
        "syndiff-canon",
        "--hr",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--pairs",
        "1",
    ]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: syndiff-canon has to be exported first, which needs torch and onnx")
    assert "pip install 'degrade-engine[train,cpu]'" in said and not (tmp_path / "out").exists()
    assert main(["export", "syndiff-canon", "-o", str(tmp_path / "bundle")]) == 2
    assert "degrade-engine[train,cpu]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            "realdgen-huge",
            "realdgen-huge is not a model. Expected: .*realdgen-tiny.*a bundle folder or an engine folder",
        ),
        ("srresnet-tiny", "of the kind srresnet, which makes no pairs"),
        ("nothing.safetensors", "nothing.safetensors does not exist"),
        ("folder", "holds no bundle.json"),
    ],
)
def test_what_is_no_model_is_a_sentence(model: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DegradeError, match=said):
        ready.engine_of(model, cache=tmp_path / "cache")


def test_a_name_is_the_packages_unless_a_folder_here_holds_a_bundle(
    named: str, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / named).mkdir()
    assert ready.bundle_of(named) == tiny_bundle
    (tmp_path / named / "bundle.json").touch()
    assert ready.bundle_of(named) == Path(named)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for role, side in (("hr", 80), ("reference", 24)):
        (folder / role).mkdir()
        for n in range(2):
            pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
            (folder / role / f"{n}.png").write_bytes(images.encode_png(pixels))
    return folder


def lq(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((out / "lq").iterdir())]


def test_a_run_by_name_is_the_run_of_its_engine(
    named: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEGRADE_ENGINE_CACHE", str(tmp_path / "cache"))
    places = {"hr": photos / "hr", "reference": photos / "reference"}
    words = [
        f"--{name}={value}" for name, value in (places | {"pairs": 3, "lr-size": 16, "batch": 2, "threads": 1}).items()
    ]
    assert main(["generate", "--model", named, "--out", str(tmp_path / "a"), *words]) == 0
    said = capsys.readouterr().err
    assert "tiny has no engine here yet: building it once" in said and "through its parity gate" in said
    again: dict[str, Any] = places | {"pairs": 3, "lr_size": 16, "batch": 2, "threads": 1}
    made = degrade_engine.generate(tmp_path / "b", model=named, **again)
    said = capsys.readouterr().err
    assert "building" not in said and "3 pairs at scale 4" in said
    (engine,) = (one for one in (tmp_path / "cache" / "engines").iterdir() if one.is_dir())
    words = [word for word in words if not word.startswith("--batch")]
    assert main(["generate", "--engine", str(engine), "--out", str(tmp_path / "c"), *words]) == 0
    assert made.pairs == 3 and lq(tmp_path / "a") == lq(tmp_path / "b") == lq(tmp_path / "c")
    assert open_engine_spec(engine).candidates == 3
    del again["threads"]
    planned = degrade_engine.plan(model=named, candidates=1, **again)
    assert planned.plan.options.recipe.candidates == 1, "one engine of one candidate, not three computed for one"
    assert [one for one in (tmp_path / "cache" / "engines").iterdir() if one.is_dir()] == [engine]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "e"}, "--model was given with --engine or --degrader"),
        ({"degrader": "camera"}, "--model was given with --engine or --degrader"),
        ({"model": None, "degrader": "camera", "batch": 2}, "--batch was given without --model"),
        ({"pairs": 2.5}, "pairs is 2.5"),
        ({"hr": "nowhere"}, "The folder nowhere is not there"),
        ({"reference": "nothing.txt"}, "nothing.txt"),
        ({"batch": 1.5}, "batch is 1.5"),
        ({"precision": "fp4"}, "precision is 'fp4'"),
    ],
)
def test_mistakes_are_said_before_anything_is_built(
    named: str, photos: Path, tmp_path: Path, change: dict[str, Any], said: str, no_building: Callable[[], None]
) -> None:
    no_building()
    asked = {
        "model": named,
        "hr": photos / "hr",
        "reference": photos / "reference",
        "pairs": 2,
        "cache": tmp_path / "c",
    }
    with pytest.raises(DegradeError, match=said):
        degrade_engine.generate(tmp_path / "out", progress=False, **asked | change)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_an_engine_folder_has_its_sizes(named: str, tmp_path: Path) -> None:
    engine = ready.engine_of(named, **SIZES, cache=tmp_path)
    with pytest.raises(DegradeError, match="--batch was given, and .* is an engine already"):
        ready.engine_of(engine, batch=4)
