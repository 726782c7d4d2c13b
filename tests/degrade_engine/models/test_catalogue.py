"""The models of the package say what they are; `degrade-engine models` shows them, and the cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from degrade_engine.cli import main
from degrade_engine.engine.artefact import cache_path
from degrade_engine.models.catalogue import bundled


def test_every_checkpoint_says_whether_it_may_be_sold() -> None:
    """A checkpoint that is added has to say so in its card; those trained on research photographs say no."""
    models = bundled()
    assert len(models) >= 6 and "realdgen-tiny" in models
    for model in models.values():
        assert isinstance(model.commercial, bool) and len(model.licence) > 5 and model.trained_on, model.name
        if any(name in model.trained_on for name in ("RealSR", "RealSet80", "PolyU", "DRealSR")):
            assert model.commercial is False, model.name
    assert [name for name, model in models.items() if not model.makes_pairs] == ["srresnet-tiny"]


def test_the_command_shows_models_and_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEGRADE_ENGINE_CACHE", str(tmp_path / "cache"))
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    for model in bundled().values():
        assert f"{model.name}  {model.kind}, {model.size / 1e6:.1f} MB" in said and model.licence in said
    assert "commercial use: no" in said and "true pairs: RealSR Canon x4 001-020" in said
    assert f"cache {tmp_path / 'cache'}: 0.0 MB" in said and not (tmp_path / "cache").exists()
    broken = tmp_path / "cache" / "engines" / "tiny-0"
    broken.mkdir(parents=True)
    (broken / "engine.json").write_bytes(b"{" * 1000)
    assert main(["models", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["commercial"] for one in page["models"]}["realdgen-tiny"] is False
    assert page["cache"]["size"] == 1000
    assert page["cache"]["entries"] == [{"path": str(broken), "about": "broken", "size": 1000}]


def test_the_cache_is_moved_by_a_variable_or_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("DEGRADE_ENGINE_CACHE")
    assert cache_path() == tmp_path / "xdg" / "degrade-engine"
    monkeypatch.setenv("DEGRADE_ENGINE_CACHE", str(tmp_path / "own"))
    assert cache_path() == tmp_path / "own" and cache_path(tmp_path / "other") == tmp_path / "other"
