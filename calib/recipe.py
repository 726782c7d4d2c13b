"""`calibrate recipe`: of a small grid of recipes, the one with the fewest network calls that is as near to a camera.

Every recipe makes LR of the same HR crops, with references of the camera. They show other scenes than the camera's
photographs, so they are compared without pairs, as `match` does it: by all measures, which is the distance to go by
(docs/is-it-good.md); and by two features that see what measures do not, random filters of fine detail and E_deg.

A recipe is as near as the one that is nearest by all measures where it is not farther but for chance, by all three
distances, and where the 95 % interval of the difference, over photographs, lies below MARGIN. So few photographs give
more calls, and not fewer. What it makes of the HR's content is bounded. PSNR has no part in it: LR that are nearest by
it teach least (docs/worth.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.artefact import tool_versions
from ..engine.errors import DegradeError
from ..engine.images import resize_bicubic
from ..engine.recipe import Recipe
from ..engine.recipe_file import Distance, Filtered, Model, Outcome, RecipeFound, Span, Tried
from ..engine.report import frechet
from ..engine.report.filters import detail_features
from ..engine.report.match import together
from ..engine.report.measures import FEWEST, Measured, measure
from .contents import alike, shrunk
from .degradation import Crops
from .discriminant import axes
from .features import Features
from .grid import Pixels, calls, grid, said, variants

if TYPE_CHECKING:
    from ..engine.api import Engine
    from ..engine.sampling.batch import BatchResult

COARSE = 8  # LR pixels: content is compared at that much less
MEANS = ("noise", "sharpness", "spectrum")
MARGIN = 0.1  # of the nearest's distance: what a recipe may surely lose. On Canon as much is worth some 0.08 dB
SETTING_UP = 1.0  # calls: what a pair takes beside its calls, for the forecast
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Material:
    """hr: n crops of sharp photographs, of those that there are the most like the camera's in content (contents.py);
    camera: m crops of references; bicubic: uint8 [n, s, s, 3], of the HR."""

    hr: Crops
    camera: Crops
    bicubic: Pixels

    @classmethod
    def of(cls, hr: Crops, camera: Crops) -> Material:
        """Raises DegradeError where an interval over photographs could not be had."""
        for role, crops in (("HR", hr), ("reference", camera)):
            if (count := len(set(crops.photographs))) < FEWEST:
                fact = f"{count} {role} photographs can be used"
                raise DegradeError(fact, wanted=f"{FEWEST} at least: how sure a choice is shows over photographs")
        side = camera.pixels.shape[1]
        bicubic = np.stack([resize_bicubic(one, (side, side)) for one in hr.pixels])
        taken, small = alike(camera, hr, bicubic)
        if (count := len(set(taken.photographs))) < FEWEST:
            fact = f"Crops of {count} HR photographs are like the references"
            raise DegradeError(
                fact, wanted=f"of {FEWEST} at least", mend="give more HR, of such scenes as references show"
            )
        return cls(taken, camera, small)

    def references(self, each: int, seed: int) -> Pixels:
        """uint8 [n, each, s, s, 3]: of each pair, drawn from all; the first of many are those of few."""
        dice, crops = np.random.default_rng(seed), self.camera.pixels
        orders = np.stack([np.resize(dice.permutation(len(crops)), each) for _ in self.hr.pixels])
        return np.asarray(crops[orders])


@dataclass(frozen=True, eq=False)
class Seen:
    """What is measured of some LR."""

    measured: list[Measured | None]
    detail: frechet.Moments
    f_deg: NDArray[Any] | None
    content: float

    @property
    def means(self) -> dict[str, float | None]:
        """Of some measures, where an image could tell."""
        found: dict[str, float | None] = {}
        for key in MEANS:
            values = [one.values[key] for one in self.measured if one and not np.isnan(one.values[key])]
            found[key] = round(float(np.mean(values)), 3) if values else None
        return found


def calibrate(
    engine: Engine, name: str, hr: Crops, camera: Crops, features: Features | None, *, scale: int,
    content_bound: float, minutes: float | None = None, seed: int = 0, say: Say = lambda _: None,
    on_run: Callable[[int, int], None] = lambda done, of: None,
) -> RecipeFound:  # fmt: skip
    """Tries the grid of the engine's kind. hr: more crops than the camera's, of which the most alike are taken; name:
    of the model; features: its E_deg, None where it has none; minutes: for making LR, None: as long as it takes; say:
    is told how long that is; on_run: how many of the runs are done. The same arguments give the same result, but for a
    limit. Raises DegradeError where too little can be compared.
    """
    material = Material.of(hr, camera)

    def seen_of(recipe: Recipe, result: BatchResult) -> dict[Recipe, Seen]:
        return {one: look(lr, features, material.bicubic) for one, lr in variants(recipe, result, seed)}

    seen, skipped = _tried(engine, material, seen_of, scale, minutes, seed, say, on_run)
    own, plain = look(camera.pixels, features), look(material.bicubic, features)
    say(f"comparing {len(seen)} recipes")
    far = distances(seen, own, material, seed)
    tried = judged(far, seen, content_bound)
    chosen = next(recipe for recipe, one in tried.items() if one.outcome == "chosen")
    filtered = _filtered(far)
    return page(
        engine, name, material, own, plain, recipe=chosen, why=why(chosen, tried, filtered), tried=tried.values(),
        filtered=filtered, skipped=skipped, scale=scale, seed=seed, content_bound=content_bound,
    )  # fmt: skip


def page(
    engine: Engine, name: str, material: Material, own: Seen, plain: Seen, *, recipe: Recipe, why: str,
    tried: Iterable[Tried], filtered: Iterable[Filtered] = (), skipped: int = 0, scale: int, seed: int,
    content_bound: float,
) -> RecipeFound:  # fmt: skip
    """What was found, as its file has it. own, plain: the camera's photographs, and bicubic."""
    return RecipeFound(
        model=Model(name, engine.spec.kind, engine.spec.key.bundle_sha256),
        recipe=recipe.to_json(),
        why=why,
        reference=material.camera.page,
        hr=material.hr.page,
        lr_size=material.camera.pixels.shape[1],
        scale=scale,
        seed=seed,
        camera=own.means,
        bicubic=plain.means,
        content_bound=content_bound,
        tried=tuple(tried),
        filtered=tuple(filtered),
        skipped=skipped,
        tools=tool_versions(),
    )


def _tried(
    engine: Engine, material: Material, look_at: Callable[[Recipe, BatchResult], dict[Recipe, Seen]], scale: int,
    minutes: float | None, seed: int, say: Say, on_run: Callable[[int, int], None],
) -> tuple[dict[Recipe, Seen], int]:  # fmt: skip
    """The LR of every recipe of the grid, looked at; and how many runs there was no time for."""
    runs, seen, skipped = grid(engine.spec), dict[Recipe, Seen](), 0
    reads, n, began, spent = engine.spec.model_kind.reads_reference, len(material.hr.pixels), time.monotonic(), 0.0
    units = [SETTING_UP + calls(one) for one in runs]
    for at, (recipe, unit) in enumerate(zip(runs, units, strict=True)):
        took = time.monotonic() - began
        if at and minutes is not None and took * (spent + unit) / spent > 60 * minutes:
            skipped += 1
            continue
        references = material.references(recipe.references, seed) if reads else None
        seen |= look_at(recipe, engine.degrade(material.hr.pixels, references, recipe=recipe, scale=scale, seed=seed))
        spent += unit
        if at == 0:
            say(forecast(len(runs), n, engine.pairs(recipe.candidates), time.monotonic() - began, sum(units) / unit))
        on_run(at + 1, len(runs))
    return seen, skipped


def forecast(runs: int, pairs: int, batch: int, seconds: float, times: float) -> str:
    """How long all will take, by the first run. times: what all cost, in units of that one."""
    batches = -(-pairs // batch)
    return (f"{runs} runs of {pairs} pairs. The first took {seconds:.1f} s ({batches} batch{'es' * (batches > 1)} of "
            f"{seconds / batches:.1f} s), so all take about {max(1, round(seconds * times / 60))} min.")  # fmt: skip


def look(lr: Pixels, features: Features | None, bicubic: Pixels | None = None) -> Seen:
    """lr: uint8 [n, s, s, 3]; bicubic: the HR at LR size, None where there is none."""
    content = np.nan if bicubic is None else content_error(lr, bicubic)
    f_deg = None if features is None else features(lr)
    return Seen([measure(one) for one in lr], frechet.Moments(detail_features(list(lr))), f_deg, content)


def content_error(lr: Pixels, bicubic: Pixels) -> float:
    """Root mean square of the difference at an eighth of the size, grey levels, mean over images: what blur, noise and
    JPEG leave as it is, and a generator should."""
    apart = (shrunk(a, COARSE) - shrunk(b, COARSE) for a, b in zip(lr, bicubic, strict=True))
    return float(np.mean([np.sqrt(np.square(one).mean()) for one in apart]))


Far = dict[str, frechet.Distance]  # measures, detail, e_deg


def distances(seen: Mapping[Recipe, Seen], own: Seen, material: Material, seed: int) -> dict[Recipe, Far]:
    """Of each recipe's LR from the camera's own. All draw the same photographs, so differences are of pairs."""
    scenes, shots = material.hr.photographs, material.camera.photographs
    turn = axes([one.f_deg for one in seen.values() if one.f_deg is not None]) if own.f_deg is not None else None

    def turned(one: Seen) -> frechet.Moments | None:
        return None if turn is None or one.f_deg is None else frechet.Moments((one.f_deg @ turn)[:, None])

    real, found = turned(own), dict[Recipe, Far]()
    for recipe, one in seen.items():

        def by_measures(a: NDArray[np.intp], b: NDArray[np.intp], one: Seen = one) -> float:
            return together([one.measured[at] for at in a], [own.measured[at] for at in b])

        far = {"measures": frechet.redrawn(by_measures, scenes, shots, seed),
               "detail": frechet.distance(one.detail, scenes, own.detail, shots, seed)}  # fmt: skip
        if real is not None and (features := turned(one)) is not None:
            far["e_deg"] = frechet.distance(features, scenes, real, shots, seed)
        found[recipe] = far
    return found


def judged(far: Mapping[Recipe, Far], seen: Mapping[Recipe, Seen], bound: float) -> dict[Recipe, Tried]:
    """What became of each recipe. Raises DegradeError where none keeps the content."""
    keep = [recipe for recipe in far if seen[recipe].content <= bound]
    if not keep:
        best = min(one.content for one in seen.values())
        fact = f"No recipe keeps the content within {bound:g} grey levels of the HR; the best has {best:.2f}"
        raise DegradeError(fact, mend="a larger --content-bound")
    nearest = far[min(keep, key=lambda recipe: far[recipe]["measures"].value)]
    found = {}
    for recipe, own in far.items():
        each = {key: distance(own[key], nearest[key]) for key in own}
        outcome: Outcome = "as near"
        if recipe not in keep:
            outcome = "content"
        elif any(one.beyond[0] > 0 for one in each.values()):
            outcome = "farther"
        elif each["measures"].beyond[1] > MARGIN * nearest["measures"].value:
            outcome = "unsure"
        found[recipe] = Tried(recipe.to_json(), calls(recipe), each["measures"], each["detail"], each.get("e_deg"),
                              round(seen[recipe].content, 3), seen[recipe].means, outcome)  # fmt: skip
    near = [recipe for recipe, one in found.items() if one.outcome == "as near"]
    chosen = min(near, key=lambda recipe: (found[recipe].calls, found[recipe].measures.value))
    return found | {chosen: replace(found[chosen], outcome="chosen")}


def distance(one: frechet.Distance, nearest: frechet.Distance) -> Distance:
    """As a page has it, with intervals."""
    interval, beyond = one.interval, one.against(nearest)
    assert interval and beyond  # there are photographs enough
    return Distance(round(one.value, 4), _rounded(interval), _rounded(beyond))


def _rounded(span: Span) -> Span:
    return round(span[0], 4), round(span[1], 4)


def _filtered(far: Mapping[Recipe, Far]) -> list[Filtered]:
    """What choosing among K candidates did, where K were made."""
    found = []
    for recipe, own in far.items():
        first = recipe.but(candidates=1, filter=False)
        if recipe.filter and recipe.noise == 0 and first in far:
            one, other = own["measures"], far[first]["measures"]
            span = one.against(other)
            assert span
            found.append(Filtered(recipe.to_json(), round(one.value - other.value, 4), _rounded(span)))
    return found


def _are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def why(chosen: Recipe, tried: Mapping[Recipe, Tried], filtered: Sequence[Filtered]) -> str:
    """In sentences."""
    near = {recipe: one for recipe, one in tried.items() if one.outcome in ("as near", "chosen")}
    best = min(near, key=lambda recipe: near[recipe].measures.value)
    own, other = near[chosen], near[best]
    unsure = sum(one.outcome == "unsure" for one in tried.values())
    sentences = [f"Of {len(tried)} recipes, {_are(len(near))} as near to the camera as the nearest."]
    if unsure:
        sentences.append(f"Of {unsure} more it cannot be told with so few photographs.")
    if chosen == best:
        sentences.append(f"This one makes the fewest network calls, {own.calls} a pair, and it is the "
                         f"nearest, at a distance of {own.measures.value:.2f}.")  # fmt: skip
    else:
        low, high = own.measures.beyond
        sentences.append(f"This one makes the fewest network calls, {own.calls} a pair, at a distance of "
                         f"{own.measures.value:.2f}. The nearest ({said(best)}) makes {other.calls}, at "
                         f"{other.measures.value:.2f}: a difference of {low:+.2f} to {high:+.2f}.")  # fmt: skip
    if filtered:
        helps = [one for one in filtered if one.interval[1] < 0]
        sentences.append(f"The filter brings LR nearer in {len(helps)} of {len(filtered)} recipes that have one."
                         if helps else "The filter chooses within noise, so one candidate is enough.")  # fmt: skip
    return " ".join(sentences)
