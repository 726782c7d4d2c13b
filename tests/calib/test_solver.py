"""`calibrate solver`: a Gaussian whose best step is known; and the way to `generate --recipe` and its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from degrade_engine.calib.degradation import read_crops
from degrade_engine.calib.recipe import Material
from degrade_engine.calib.solver import loss_of, search
from degrade_engine.cli import main
from degrade_engine.engine.api import Engine
from degrade_engine.engine.artefact import to_json
from degrade_engine.engine.build import build
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import read_rgb
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.recipe_file import read
from degrade_engine.engine.schedule import Learned, Schedule, ddim, table

SCHEDULE, TAU, MU, SD = Schedule(), 200, 0.2, 0.1


class Gaussian:
    """x_0 ~ N(MU, SD²) and its exact denoiser. The loss of a table: how far mean and standard deviation of what it
    makes of x_tau are from x_0's. Draws have mean 0 and deviation 1 exactly, and the noises are orthogonal to them."""

    def __init__(self, steps: int) -> None:
        z = np.random.default_rng(0).standard_normal((4000, steps + 1))
        self.z = np.linalg.qr(z - z.mean(0))[0] * 4000**0.5
        self.asked = 0

    def __call__(self, found: Learned) -> float:
        self.asked += 1
        abar = SCHEDULE.alphas_bar[TAU]
        x = abar**0.5 * MU + (abar * SD**2 + 1 - abar) ** 0.5 * self.z[:, 0]
        for i, (t, (p, q, a, b, _, d)) in enumerate(zip(found.timesteps, found.coefficients, strict=True)):
            abar = SCHEDULE.alphas_bar[t]
            mean = MU + abar**0.5 * SD**2 / (abar * SD**2 + 1 - abar) * (x - abar**0.5 * MU)
            eps = (x - abar**0.5 * mean) / (1 - abar) ** 0.5
            x = a * x + b * (p * x + q * eps) + d * self.z[:, i + 1]
        return float(abs(x.std() - SD) + abs(x.mean() - MU))


def test_of_one_step_to_a_gaussian_the_closed_form_is_found() -> None:
    found, lowest, first = search(SCHEDULE, TAU, 1, Gaussian(1), tries=200, noise=False)
    abar = SCHEDULE.alphas_bar[TAU]
    variance = abar * SD**2 + 1 - abar
    k, g = abar**0.5 * SD**2 / variance, SD / variance**0.5
    a = (g - k) / (1 - k * abar**0.5)
    ((_, _, a_found, b_found, c, d),) = found.coefficients
    assert found.timesteps == (TAU,) and (c, d) == (0, 0)
    assert a_found == pytest.approx(a, abs=2e-3) and b_found == pytest.approx(1 - a * abar**0.5, abs=2e-3)
    assert lowest < 0.03 * first, "DDIM's one step makes a mean, which varies too little"


@pytest.mark.parametrize("steps", [2, 3])
def test_of_more_steps_it_is_nearer_than_ddim_and_the_tries_are_kept(steps: int) -> None:
    loss = Gaussian(steps)
    found, lowest, first = search(SCHEDULE, TAU, steps, loss, tries=150)
    assert loss.asked <= 150 and lowest == loss(found) < 0.1 * first
    one, _, other = search(SCHEDULE, TAU, steps, loss, tries=1)
    rows = table(SCHEDULE, "ddim", TAU, steps)
    assert other == first and list(one.timesteps) == rows.timesteps.tolist()
    np.testing.assert_allclose(one.coefficients, rows.coefficients, atol=1e-12)
    assert search(SCHEDULE, TAU, steps, lambda found: 1.0, tries=90)[0] == one, "no change helps"


def test_strides_stay_steps() -> None:
    """With as many steps as timesteps nothing can be moved."""
    seen: list[tuple[int, ...]] = []

    def loss(found: Learned) -> float:
        seen.append(found.timesteps)
        return -float(len(seen))

    search(SCHEDULE, 4, 4, loss, tries=40)
    search(SCHEDULE, 9, 4, loss, tries=60)
    assert all(one in ((4, 3, 2, 1), one) and len(set(one)) == 4 and one[-1] >= 1 for one in seen)


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tiny_bundle, tmp_path_factory.mktemp("solver") / "engine", lr_size=32, batch=4, threads=1).folder


@pytest.fixture(scope="module")
def made(engine: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "solver.json"
    words = ["calibrate", "solver", "--model", engine, "--reference", samples / "reference", "--hr", samples / "hr",
             "--crops", "9", "--threads", "1", "--content-bound", "300", "--steps", "2", "--tries", "12", "-o",
             out]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    return out


def generate(engine: Path, samples: Path, out: Path, *more: object) -> int:
    words = ["generate", "--engine", engine, "--hr", samples / "hr", "--reference", samples / "reference", "--out", out,
             "--pairs", "3", "--threads", "1", "--quiet", *more]  # fmt: skip
    return main([str(word) for word in words])


def pixels(out: Path) -> Any:
    return np.stack([read_rgb(path) for path in sorted((out / "lq").iterdir())]).astype(int)


def test_the_table_is_no_worse_than_ddims_when_both_are_scored_anew(made: Path, engine: Path, samples: Path) -> None:
    recipe = read(made).chosen("page")
    plain = recipe.but(solver="ddim", learned=None)
    with Engine.open(engine, threads=1) as opened:
        camera = read_crops(samples / "reference", "reference", most=9, side=32, seed=0)
        material = Material.of(read_crops(samples / "hr", "HR", most=36, side=128, seed=0), camera)
        refs = material.references(1, 0)
        found, first = (
            loss_of(opened.degrade(material.hr.pixels, refs, recipe=one, seed=0).lr, camera.pixels, material.bicubic,
                    300.0) for one in (recipe, plain)
        )  # fmt: skip
    assert found < first
    rows = {one.recipe["solver"]: one for one in read(made).tried}
    assert (rows["learned"].measures.value, rows["ddim"].measures.value) == (round(found, 4), round(first, 4))
    assert made.with_suffix(".svg").read_text().startswith("<svg")


def test_generate_makes_pairs_by_it_and_the_plan_holds_the_table(
    made: Path, engine: Path, tiny_bundle: Path, samples: Path, tmp_path: Path
) -> None:
    assert generate(engine, samples, tmp_path / "a", "--recipe", made) == 0
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert plan["solver"] == "learned" and plan["learned"] == to_json(read(made).chosen("page").learned)
    assert main(["report", str(tmp_path / "a"), "-o", str(tmp_path / "page.html")]) == 0
    assert "The sampler was found by `calibrate solver`. A table for 2" in (tmp_path / "page.html").read_text()
    assert generate(engine, samples, tmp_path / "b", "--steps", "2", "--candidates", "1", "--no-filter") == 0
    assert not np.array_equal(pixels(tmp_path / "a"), pixels(tmp_path / "b"))
    kept = pixels(tmp_path / "a")
    single = build(tiny_bundle, tmp_path / "single", lr_size=32, batch=1, threads=1).folder
    assert generate(single, samples, tmp_path / "c", "--recipe", made) == 0
    assert np.abs(pixels(tmp_path / "c") - kept).max() <= 1


def test_a_run_goes_on_to_the_same_bytes_by_the_copy_in_its_folder(
    made: Path, engine: Path, samples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    more = ("--pairs", "26", "--shard-pairs", "1")
    assert generate(engine, samples, out, "--recipe", made, *more) == 0
    before = {path.name: path.read_bytes() for path in (out / "lq").iterdir()}
    shards = sorted((out / "shards").iterdir())
    assert len(shards) > 1, "batches of twelve"
    shards[0].unlink()
    (out / "lq" / "0000001.png").unlink()
    assert generate(engine, samples, out, "--recipe", out / "recipe.json", *more) == 0
    assert {path.name: path.read_bytes() for path in (out / "lq").iterdir()} == before


def test_older_pages_and_other_recipes_do_not_name_it() -> None:
    assert "learned" not in Recipe.named("realdgen", "recommended").to_json()


def test_what_does_not_fit_is_a_sentence(made: Path, engine: Path, samples: Path, tmp_path: Path, capsys: Any) -> None:
    other = tmp_path / "other.json"
    page = json.loads(made.read_text())
    page["recipe"]["learned"]["schedule"]["beta_T"] = 0.03
    other.write_text(json.dumps(page))
    for words, said in (
        (("--solver", "learned"), "make one with `degrade-engine calibrate solver`"),
        (("--recipe", made, "--solver", "ddim"), "its solver is ddim"),
        (("--recipe", made, "--steps", "3"), "its steps is 3"),
        (("--recipe", made, "--tau", "7"), "its tau is (7, 7)"),
        (("--recipe", other), "for a model with other noise levels"),
    ):
        assert generate(engine, samples, tmp_path / "out", *words) == 2, words
        assert said in capsys.readouterr().err.replace("\n", " ")
    found = read(made).chosen("page").learned
    assert found
    with pytest.raises(DegradeError, match="wanted|Expected: descending"):
        Learned(found.schedule, found.timesteps[::-1], found.coefficients)
    with pytest.raises(DegradeError, match="coefficients"):
        Learned(found.schedule, found.timesteps, found.coefficients[:1])
    with pytest.raises(DegradeError, match="the learned table is for"):
        found.table(3)
    assert len(found.table(0)) == 0 and ddim(found.schedule, found.table(found.timesteps[0]).timesteps).shape == (2, 6)
