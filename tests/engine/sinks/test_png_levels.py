"""How PNGs are written is settled when a run begins, stands in plan.json, and stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import encoding
from degrade_engine.engine.sinks import Output
from degrade_engine.kernels import loader

from ..pair_sets import KINDS, generate, photographs, stored, tree, words

STEM = "0000002"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "hr", 160)


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the kernels are not compiled."""
    monkeypatch.setattr(loader, "_load", lambda: (None, loader.Status(None, "none")))


def page(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "plan.json").read_text())
    return found


def begin(photos: Path, out: Path, *more: object) -> None:
    """A run that was planned, and stopped before its first pair."""
    assert main([*words("folder", photos, out, "--lr-size", 32, *more), "--dry-run"]) == 0


def written_by(out: Path, level: images.PngLevel) -> bool:
    data = stored(out, "folder", STEM, "gt")
    return data == images.encode_png(images.read_rgb(images.Encoded("it.png", data)), level)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_run_is_written_fast_in_every_sink(photos: Path, tmp_path: Path, kind: str) -> None:
    assert generate(kind, photos, tmp_path / "out", "--lr-size", 32) == 0
    assert page(tmp_path / "out")["png_level"] == "fast"
    for role in ("gt", "lq"):
        data = stored(tmp_path / "out", kind, STEM, role)
        assert data == encoding.png.encode_twin(images.read_rgb(images.Encoded("it.png", data)))
    assert main(["check", str(tmp_path / "out")]) == 0


def test_a_level_is_kept_as_before(photos: Path, tmp_path: Path) -> None:
    for level in (0, 2, 9):
        out = tmp_path / str(level)
        assert generate("folder", photos, out, "--lr-size", 32, "--png-level", level) == 0
        assert written_by(out, level) and page(out).get("png_level", 2) == level


def test_a_set_of_an_older_release_goes_on_with_zlib(photos: Path, tmp_path: Path) -> None:
    """Its plan says nothing of a writer."""
    begin(photos, tmp_path / "old", "--png-level", 2)
    assert "png_level" not in page(tmp_path / "old")
    assert generate("folder", photos, tmp_path / "old", "--lr-size", 32) == 0
    assert written_by(tmp_path / "old", 2) and not written_by(tmp_path / "old", "fast")


@pytest.mark.usefixtures("nothing_compiled")
def test_without_a_compiler_a_new_run_takes_zlib(photos: Path, tmp_path: Path) -> None:
    assert generate("folder", photos, tmp_path / "out", "--lr-size", 32) == 0
    assert "png_level" not in page(tmp_path / "out") and written_by(tmp_path / "out", 2)


def test_half_a_set_goes_on_without_a_compiler_to_the_same_bytes(
    photos: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    begin(photos, tmp_path / "moved")
    assert generate("folder", photos, tmp_path / "here", "--lr-size", 32) == 0
    request.getfixturevalue("nothing_compiled")
    assert images.usual_level() == 2
    assert generate("folder", photos, tmp_path / "moved", "--lr-size", 32) == 0
    assert tree(tmp_path / "moved") == tree(tmp_path / "here")


def test_another_level_does_not_go_on(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(photos, tmp_path / "out")
    assert generate("folder", photos, tmp_path / "out", "--lr-size", 32, "--png-level", 6) == 2
    assert "png_level" in capsys.readouterr().err


@pytest.mark.parametrize("level", ["10", "-1", "quick", "1.5"])
def test_what_is_no_level_is_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    assert generate("folder", photos, tmp_path / "out", "--png-level", level) == 2
    assert "neither fast nor a whole number from 0 to 9" in capsys.readouterr().err


@pytest.mark.parametrize("level", [10, -1, "quick", True, 1.5])
def test_what_is_no_level_is_refused_in_python(level: object) -> None:
    with pytest.raises(DegradeError, match="fast, or a whole number"):
        Output(png_level=level)  # type: ignore[arg-type]


def test_an_image_that_is_too_large_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding.png, "MOST_PIXELS", 1000)
    with pytest.raises(DegradeError, match="--png-level 2"):
        images.encode_png(np.zeros((41, 25, 3), np.uint8))
