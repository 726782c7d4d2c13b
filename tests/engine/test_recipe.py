"""A recipe: its defaults by kind, what it refuses of itself and of an engine, and the page that it stands on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from degrade_engine.engine import draws
from degrade_engine.engine.artefact import sha256_json
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.plan import FORMAT, Options
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.schedule import Schedule, table

PAPER = Recipe.named("realdgen", "paper")


def spec(**change: Any) -> Any:
    """An engine of RealDGen with three rows."""
    can = SimpleNamespace(**{"can_filter": True, "has_steps": True, "fuses": False} | change)
    key = SimpleNamespace(precision_computed="fp32")
    return SimpleNamespace(kind="realdgen", rows=3, model_kind=can, schedule=Schedule(), key=key,
                           starts=change.get("starts", KINDS["realdgen"].starts))  # fmt: skip


def test_every_kind_has_a_recommended_recipe_and_each_recipe_is_known_by_its_name() -> None:
    assert all("recommended" in kind.recipes for kind in KINDS.values())
    for kind, page in KINDS.items():
        for name, recipe in page.recipes.items():
            assert Recipe.named(kind, name) is recipe and recipe.label == name
            assert recipe.but(filter=not recipe.filter).label == name, "plans of before said so too"
            assert recipe.but(noise=recipe.noise + 7).label == "custom"
    with pytest.raises(DegradeError, match="an engine of the kind lway has no preset paper. Expected: recommended"):
        Recipe.named("lway", "paper")


def test_it_stands_on_a_page_and_is_read_from_it() -> None:
    for kind in KINDS.values():
        for recipe in kind.recipes.values():
            page = json.loads(json.dumps(recipe.to_json()))
            assert Recipe.from_json(page, "page") == recipe
            assert ("noise" in page) == (recipe.noise != 0) and ("fusion_weight" in page) == bool(recipe.fusion_weight)
    page = PAPER.to_json()
    assert page["tau"] == "1:30" and page["steps"] == "full"
    for change, said in (({"more": 1}, "the key 'more' is unknown"), ({"tau": "9:3"}, "tau is '9:3'"),
                         ({"tau": 7.5}, "tau is '7.5'"), ({"solver": "euler"}, "solver"), ({"eta": "0"}, "eta"),
                         ({"tau": "0:40000"}, "tau is 40000"), ({"steps": 0}, "steps is 0"), ({"filter": 1}, "filter"),
                         ({"noise": 256.0}, "noise is 256"), ({"candidates": 0}, "candidates is 0")):  # fmt: skip
        with pytest.raises(DegradeError, match=said):
            Recipe.from_json(page | change, "page")


def test_plans_that_older_releases_wrote_keep_their_pages(root: Path) -> None:
    """Of every committed set: the options come back as they stood there, so the plan keeps its hash."""
    beside = {
        "format",
        "lr_size",
        "batch",
        "engine",
        "hr",
        "reference",
        "pair_list",
        "start_sha256",
        "sink",
        "png_level",
        "gt",
        "file_format",
    }
    seen = 0
    for line in (root / "bench" / "results" / "worth.jsonl").read_text().splitlines():
        page = json.loads(line).get("set", {}).get("plan")
        if page and page["format"] == FORMAT:
            options = {name: value for name, value in page.items() if name not in beside}
            assert sha256_json(Options.from_json(options, "plan.json").to_json()) == sha256_json(options)
            seen += 1
    assert seen > 10


def test_numpys_numbers_become_pythons() -> None:
    made = PAPER.but(tau=np.int64(7), steps=np.uint8(3), noise=np.float32(1), candidates=np.array(2), filter=True)
    assert made.tau == (7, 7) and made.calls(7) == 3 and made.calls(2) == 2 and PAPER.calls(9) == 9
    assert [type(one) for one in (*made.tau, made.steps, made.noise, made.candidates)] == [int, int, int, float, int]


def test_its_table_is_the_schedules() -> None:
    for recipe in (PAPER, KINDS["realdgen"].recipes["recommended"], PAPER.but(solver="ddim", eta=0.5, steps=4)):
        ours, wanted = recipe.table(Schedule(), 30), table(
            Schedule(), recipe.solver, 30, recipe.steps, recipe.eta, spacing=recipe.spacing
        )  # fmt: skip
        np.testing.assert_array_equal(ours.coefficients, wanted.coefficients)
        np.testing.assert_array_equal(ours.timesteps, wanted.timesteps)


@pytest.mark.parametrize(
    ("abilities", "changes", "said"),
    [
        (
            {},
            {"candidates": 4},
            "has 4 candidates per pair, and this engine makes 3 at most. Fix: --candidates 3",
        ),
        ({"can_filter": False}, {}, "cannot choose among them"),
        ({"can_filter": False}, {"candidates": 1}, "cannot filter"),
        ({"starts": ("bicubic",)}, {}, "the start image realesrgan does not fit this engine. Expected: bicubic"),
        ({"starts": ("bicubic",)}, {"start": "camera"}, "the start image camera does not fit this engine"),
        ({}, {"tau": 501}, "tau is 501"),
        ({"has_steps": False}, {}, "tau is 30, and an engine of the kind realdgen has no steps"),
        ({}, {"fusion_weight": 0.5}, "The fusion weight is 0.5, and an engine of the kind realdgen has no use for it"),
        ({"fuses": True}, {}, "needs a fusion weight"),
        ({}, {"eta": 1}, "eta is 1 with the solver ddpm"),
        ({}, {"spaces": "even"}, "A recipe has no spaces. Expected: tau, steps, spacing"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(abilities: dict, changes: dict, said: str) -> None:
    with pytest.raises(DegradeError, match=said):
        Recipe.of(spec(**abilities), "paper", **changes)
    assert Recipe.of(spec(), "paper", start="camera").start == "camera"


def test_a_part_of_a_run_draws_the_runs_taus() -> None:
    whole = draws.taus(5, (3, 9), 0, 40)
    for first, count in ((0, 3), (6, 2), (7, 14), (13, 27)):
        assert draws.taus(5, (3, 9), first, count).tolist() == whole[first : first + count].tolist()
    assert sorted(whole[:7]) == list(range(3, 10)) and draws.taus(5, (4, 4), 9, 3).tolist() == [4, 4, 4]
