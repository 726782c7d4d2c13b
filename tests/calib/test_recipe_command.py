"""From `calibrate recipe` to `generate --recipe` and its report, with networks of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import read_rgb
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.recipe_file import RecipeFound, read

WHY = "The recipe was chosen by `calibrate recipe`."


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recipes") / "engine"
    return build(tiny_bundle, out, lr_size=32, batch=4, candidates=3, threads=1).folder


@pytest.fixture(scope="module")
def made(engine: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """recipe.json of the first run of the grid alone."""
    out = tmp_path_factory.mktemp("made") / "recipe.json"
    words = ["calibrate", "recipe", "--model", engine, "--reference", samples / "reference", "--hr", samples / "hr",
             "--crops", "9", "--threads", "1", "--content-bound", "300", "--minutes", "1e-6", "-o", out]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    return out


@pytest.fixture
def changed(made: Path, tmp_path: Path) -> Any:
    """changed(kind=…, recipe=…): the file with other values."""

    def write(kind: str = "realdgen", **recipe: Any) -> Path:
        page = json.loads(made.read_text())
        page["model"]["kind"] = kind
        page["recipe"] |= recipe
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(page))
        return path

    return write


def generate(engine: Path, samples: Path, out: Path, *more: object) -> int:
    words = ["generate", "--engine", engine, "--hr", samples / "hr", "--reference", samples / "reference", "--out", out,
             "--pairs", "2", "--threads", "1", "--quiet", *more]  # fmt: skip
    return main([str(word) for word in words])


def report(out: Path) -> str:
    assert main(["report", str(out), "-o", str(out.parent / "page.html")]) == 0
    return (out.parent / "page.html").read_text()


def test_the_file_says_what_was_tried_and_a_picture_lies_beside_it(made: Path, engine: Path) -> None:
    found: RecipeFound = read(made)
    assert found.model.kind == "realdgen" and found.model.name == engine.name and len(found.model.bundle_sha256) == 64
    assert len(found.tried) == 6 and found.skipped > 10, "one run: three noises, with the filter and without"
    assert all(one.e_deg is not None for one in found.tried)
    assert [one.recipe for one in found.tried if one.outcome == "chosen"] == [found.recipe]
    assert made.with_suffix(".svg").read_text().startswith("<svg")


def test_generate_makes_pairs_by_it_and_the_report_says_why(
    made: Path, engine: Path, samples: Path, tmp_path: Path
) -> None:
    assert generate(engine, samples, tmp_path / "a", "--recipe", made) == 0
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    recipe = read(made).chosen("page")
    assert {name: plan[name] for name in recipe.to_json()} == recipe.to_json()
    assert (tmp_path / "a" / "recipe.json").read_bytes() == made.read_bytes()
    assert WHY in report(tmp_path / "a")
    given = [word for name, value in (("--tau", f"{recipe.tau[0]}:{recipe.tau[1]}"), ("--steps", recipe.steps),
                                      ("--start", recipe.start), ("--solver", recipe.solver),
                                      ("--spacing", recipe.spacing), ("--candidates", recipe.candidates),
                                      ("--noise", recipe.noise)) for word in (name, value)]  # fmt: skip
    given += [] if recipe.filter else ["--no-filter"]
    assert generate(engine, samples, tmp_path / "b", *given) == 0
    assert json.loads((tmp_path / "b" / "plan.json").read_text()) == plan, "the file itself is no part of the plan"
    assert not (tmp_path / "b" / "recipe.json").exists() and WHY not in report(tmp_path / "b")


def test_options_win_over_the_file(made: Path, engine: Path, samples: Path, tmp_path: Path) -> None:
    assert generate(engine, samples, tmp_path / "a", "--recipe", made, "--noise", "5", "--tau", "3") == 0
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert (plan["noise"], plan["tau"]) == (5.0, "3:3")
    assert WHY not in report(tmp_path / "a"), "this is not the recipe that was chosen"


def test_what_does_not_fit_is_a_sentence(
    changed: Any, made: Path, engine: Path, samples: Path, tmp_path: Path, capsys: Any
) -> None:
    for words, said in (
        (("--recipe", changed(kind="lway")), "is for models of the kind lway, and this engine is of the kind realdgen"),
        (("--recipe", made, "--preset", "fast"), "--preset and --recipe were both given. Expected: one of them."),
        (("--recipe", made.with_suffix(".svg")), "is not valid JSON"),
        (("--recipe", tmp_path / "none.json"), "none.json cannot be read"),
    ):
        assert generate(engine, samples, tmp_path / "out", *words) == 2
        assert said in capsys.readouterr().err.replace("\n", " ")
    path = tmp_path / "other.json"
    path.write_text('{"format": "degrade-engine/calibration/1"}')
    with pytest.raises(DegradeError, match="has the format 'degrade-engine/calibration/1'"):
        read(path)
    with pytest.raises(DegradeError, match="steps is 0"):
        read(changed(steps=0)).chosen("changed.json")


def test_an_engine_takes_the_file_as_it_takes_a_name(made: Path, engine: Path, samples: Path) -> None:
    hr = [read_rgb(path)[:128, :128] for path in sorted((samples / "hr").iterdir())[:2]]
    real = [read_rgb(path)[:32, :32] for path in sorted((samples / "reference").iterdir())[:2]]
    with Engine.open(engine, threads=1) as opened:
        by_file = [opened.degrade(hr, real, recipe=path).lr for path in (made, str(made))]
        by_recipe = opened.degrade(hr, real, recipe=read(made).chosen("page")).lr
        assert all((one == by_recipe).all() for one in by_file)
        assert Recipe.of(opened.spec, made, noise=9.0).noise == 9
        assert not np.array_equal(opened.degrade(hr, real, recipe=made, noise=9.0).lr, by_recipe)
        with pytest.raises(DegradeError, match="no preset nothing"):
            opened.degrade(hr, real, recipe="nothing")
