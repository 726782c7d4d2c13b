"""`calibrate recipe` with an engine whose LR are known: what makes the camera's LR in the fewest calls is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from degrade_engine.calib import recipe as calibration
from degrade_engine.calib import recipe_figure
from degrade_engine.calib.contents import alike, description
from degrade_engine.calib.degradation import Crops, read_crops
from degrade_engine.calib.grid import NO_CALL, NOISE, calls, grid, said, variants
from degrade_engine.engine.artefact import to_json, write_json_atomic
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import resize_bicubic
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.recipe_file import RecipeFound, read
from degrade_engine.engine.report import frechet
from degrade_engine.engine.schedule import Schedule

SIDE, SCALE, ROUGH = 48, 2, 1.5
Make = Callable[[Recipe], float]  # the blur of a recipe's LR


def spec(kind: str = "realdgen", **changes: Any) -> Any:
    page = KINDS[kind]
    key = SimpleNamespace(precision_computed="fp32", bundle_sha256="b" * 64)
    usual = {"kind": kind, "rows": 48, "model_kind": page, "schedule": Schedule(), "key": key, "starts": page.starts}
    return SimpleNamespace(**usual | changes)


class Engine:
    """Blurs what `make` says of a recipe; of further candidates the same again."""

    def __init__(self, make: Make, kind: str = "realdgen") -> None:
        self.spec, self.make, self.asked = spec(kind), make, list[Recipe]()

    def pairs(self, candidates: int) -> int:
        return 48 // candidates

    def degrade(self, hr: Any, reference: Any, *, recipe: Recipe, scale: int, seed: int) -> Any:
        reads = self.spec.model_kind.reads_reference
        assert reference.shape[:2] == (len(hr), recipe.references) if reads else reference is None
        self.asked.append(recipe)
        lr = soft(np.stack([resize_bicubic(one, (SIDE, SIDE)) for one in hr]), self.make(recipe))
        return SimpleNamespace(lr=lr, candidates=np.stack([lr] * recipe.candidates))


def soft(images: Any, sigma: float, noise: float = 0.0) -> Any:
    dice = np.random.default_rng(5)
    made = [cv2.GaussianBlur(one, (0, 0), sigma) if sigma else one for one in images]
    return np.clip(np.rint(np.stack(made) + dice.normal(0, noise, np.shape(made))), 0, 255).astype(np.uint8)


def crops(samples: Path, seed: int) -> Crops:
    """Of the bundled photographs."""
    return read_crops(samples / "hr", "HR", most=27, side=SIDE * SCALE, seed=seed)


@pytest.fixture(scope="module")
def camera(samples: Path) -> Crops:
    """The camera: a blur, and noise of two grey levels."""
    sharp = crops(samples, 1)
    lr = soft(np.stack([resize_bicubic(one, (SIDE, SIDE)) for one in sharp.pixels]), ROUGH, 2.0)
    return replace(sharp, pixels=lr)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """A grid of five runs in place of some thirty."""
    usual = Recipe.named("realdgen", "recommended")
    single = usual.but(candidates=1, filter=False)
    runs = [usual, NO_CALL, single.but(steps=1), single.but(steps=2), single.but(steps=2, references=4)]
    monkeypatch.setattr(calibration, "grid", lambda spec: runs)
    return runs


@pytest.fixture(scope="module")
def hr(samples: Path) -> Crops:
    return crops(samples, 0)


def run(engine: Engine, hr: Crops, camera: Crops, **changes: Any) -> RecipeFound:
    given = {"scale": SCALE, "content_bound": 20.0} | changes
    return calibration.calibrate(engine, "m", hr, camera, None, **given)  # type: ignore[arg-type]


def at_two_steps(recipe: Recipe) -> float:
    return ROUGH if (recipe.steps or 0) >= 2 and recipe.tau[1] else 0.0


def test_the_fewest_calls_that_are_as_near_as_the_nearest_are_chosen(hr: Crops, camera: Crops, tmp_path: Path) -> None:
    told: list[str] = []
    found = run(Engine(at_two_steps), hr, camera, say=told.append)
    chosen = found.chosen("page")
    assert (chosen.steps, chosen.candidates, chosen.filter, chosen.noise) == (2, 1, False, 2.0)
    outcomes = {(one.recipe["steps"], one.recipe.get("noise", 0.0), one.outcome) for one in found.tried}
    assert (1, 2.0, "farther") in outcomes and (5, 2.0, "as near") in outcomes
    assert [one.outcome for one in found.tried].count("chosen") == 1
    assert all(one.gain == 0 for one in found.filtered) and "The filter chooses within noise" in found.why
    assert "2 a pair" in found.why
    assert told[0].startswith(f"5 runs of {len(hr.pixels)} pairs. The first took")
    path = tmp_path / "recipe.json"
    write_json_atomic(path, found)
    assert to_json(read(path)) == json.loads(path.read_text()) and read(path).chosen("page") == chosen
    picture = recipe_figure.draw(found)
    assert picture.count("<g>") == len(found.tried) and said(chosen) in picture
    assert picture.count('<rect class="row"') == 1


def test_the_same_crops_give_the_same_file(hr: Crops, camera: Crops) -> None:
    one, two = (run(Engine(at_two_steps), hr, camera) for _ in range(2))
    assert to_json(one) == to_json(two)


def test_without_time_the_first_run_alone_is_made(hr: Crops, camera: Crops, short: list[Recipe]) -> None:
    engine = Engine(at_two_steps)
    found = run(engine, hr, camera, minutes=1e-9)
    assert engine.asked == short[:1] and found.skipped == 4


def far(value: float, spread: float, detail: float = 1.0) -> dict[str, frechet.Distance]:
    """A distance by all measures that differs by `spread` from draw to draw, and one of fine detail that does not."""
    drawn = value + spread * np.tile([-1.0, 1.0], 50)
    return {"measures": frechet.Distance(value, (0.0, 9.0), drawn),
            "detail": frechet.Distance(detail, (0.0, 9.0), np.full(100, detail))}  # fmt: skip


def test_a_recipe_has_to_be_surely_near_and_by_every_distance() -> None:
    single = Recipe.named("realdgen", "recommended").but(candidates=1, filter=False)
    five, two, one, few, none = single, single.but(steps=2), single.but(steps=1), single.but(steps=3), NO_CALL
    distances = {five: far(1.0, 0), two: far(1.03, 0.05), one: far(1.03, 0.2), few: far(1.0, 0, 1.1), none: far(1.2, 0)}
    seen = {recipe: SimpleNamespace(content=1.0, means={}) for recipe in distances}
    found = calibration.judged(distances, seen, 4.0)  # type: ignore[arg-type]
    assert [found[recipe].outcome for recipe in (five, two, one, few, none)] == [
        "as near", "chosen", "unsure", "farther", "farther",
    ]  # fmt: skip
    assert found[two].measures.beyond == pytest.approx((-0.02, 0.08))
    said_why = calibration.why(two, found, [])
    assert "Of 5 recipes, 2 are as near" in said_why and "Of 1 more it cannot be told" in said_why
    assert "makes 5, at 1.00: a difference of -0.02 to +0.08" in said_why
    seen[five].content = 5.0
    assert calibration.judged(distances, seen, 4.0)[five].outcome == "content"  # type: ignore[arg-type]


def test_what_loses_the_content_is_not_chosen(hr: Crops, camera: Crops) -> None:
    class Shifts(Engine):
        def degrade(self, hr: Any, reference: Any, **how: Any) -> Any:
            found = super().degrade(hr, reference, **how)
            if at_two_steps(how["recipe"]):
                found.lr, found.candidates = found.lr[::-1], found.candidates[:, ::-1]
            return found

    found = run(Shifts(at_two_steps), hr, camera, content_bound=10.0)
    lost = [one for one in found.tried if one.outcome == "content"]
    assert lost and all(one.recipe["steps"] in (2, 5) and one.content > 10 for one in lost)
    assert found.recipe["steps"] not in (2, 5)
    with pytest.raises(
        DegradeError, match=r"No recipe keeps the content within 0.001 .* Fix: a larger --content-bound"
    ):
        run(Engine(lambda _: ROUGH), hr, camera, content_bound=0.001)


def test_a_model_that_reads_no_references_is_compared_with_them(
    hr: Crops, camera: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "grid", lambda spec: grid(spec)[:3])
    found = run(Engine(lambda _: ROUGH, "syndiff"), hr, camera)
    assert found.model.kind == "syndiff" and found.recipe["noise"] == 2.0 and not found.filtered


def test_too_few_photographs_are_refused(hr: Crops, camera: Crops) -> None:
    few = replace(camera, photographs=("one",) * len(camera.photographs))
    with pytest.raises(DegradeError, match="1 reference photographs can be used. Expected: 5 at least"):
        run(Engine(at_two_steps), hr, few)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_grid_holds_what_a_kind_can_do(kind: str) -> None:
    found, page = grid(spec(kind)), KINDS[kind]
    assert len(set(found)) == len(found) and all(one.noise == 0 for one in found)
    for one in found:
        one.check(spec(kind))
    assert page.recipes["recommended"].but(noise=0.0) == found[0]
    assert any(one.references > 1 for one in found) == page.reads_reference
    assert any(one.filter for one in found) == page.can_filter
    assert (NO_CALL in found) == ("reconstruction" in page.starts)
    rest = [calls(one) for one in found[len(page.recipes) :]]
    assert rest == sorted(rest)
    assert all(one.steps is not None or one == found[0] or not one.tau[1] for one in found)


def test_one_run_gives_its_noises_and_its_first_candidate() -> None:
    candidates = np.stack([np.full((2, 32, 32, 3), 100 + 10 * k, np.uint8) for k in range(3)])
    several = Recipe.named("realdgen", "recommended")
    made = dict(variants(several, SimpleNamespace(lr=candidates[2], candidates=candidates), 0))  # type: ignore[arg-type]
    assert {(one.candidates, one.filter, one.noise) for one in made} == {
        (k, k == 3, noise) for k in (1, 3) for noise in NOISE
    }
    assert (made[several] == 120).all() and (made[several.but(candidates=1, filter=False)] == 100).all()
    assert made[several.but(noise=2.0)].std() == pytest.approx(2.0, rel=0.05)


def test_contents_are_the_most_like_ones(camera: Crops, hr: Crops) -> None:
    small = np.stack([resize_bicubic(one, (SIDE, SIDE)) for one in hr.pixels])
    few = Crops(small[3:6], {}, ("a", "b", "c"))
    found, bicubic = alike(few, hr, small)
    assert (bicubic == small[3:6]).all() and (found.pixels == hr.pixels[3:6]).all()
    assert found.photographs == hr.photographs[3:6] and found.page["crops"] == 3
    assert alike(camera, few, small[:3])[0] is few, "all, where there are no more"
    noisy = soft(small, 0.5, 2.0)
    off = [np.abs(description(a) - description(b)).max() for a, b in zip(small, noisy, strict=True)]
    apart = [np.abs(description(a) - description(b)).max() for a, b in zip(small, np.roll(small, 1, 0), strict=True)]
    assert np.median(off) < 0.2 * np.median(apart), "blur and noise hardly change it"


def test_differences_are_of_the_same_draws() -> None:
    names = [str(at) for at in range(12)]
    values = np.random.default_rng(0).normal(0, 1, 12)

    def shifted(by: float) -> frechet.Distance:
        return frechet.redrawn(lambda a, b: float(values[a].mean() + by), names, names, 0)

    one, other = shifted(0.5), shifted(0.0)
    assert one.against(other) == pytest.approx((0.5, 0.5))
    assert one.interval and one.interval[0] < 0.5 + values.mean() < one.interval[1]
    assert frechet.redrawn(lambda a, b: 1.0, names[:4], names[:4], 0).against(one) is None
