"""recipe.json: the recipe that `calibrate recipe` or `calibrate solver` chose for a camera, all that it tried, and why
this one.

A plan holds the recipe's fields and nothing else of the file, so a set's bytes depend on them alone. Strict, as every
artefact. A copy lies in the run's folder, for the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from .artefact import from_json, parse_json, read_bytes
from .errors import DegradeError
from .recipe import Recipe

RECIPE_JSON = "recipe.json"  # of a run's folder
Format = Literal["degrade-engine/recipe/1"]
Outcome = Literal["chosen", "as near", "unsure", "farther", "content"]
Span = tuple[float, float]
AGAIN = "make it again: `degrade-engine calibrate recipe` or `calibrate solver`"


@dataclass(frozen=True)
class Model:
    """name: as it was given; bundle_sha256: names its networks."""

    name: str
    kind: str
    bundle_sha256: str


@dataclass(frozen=True)
class Distance:
    """How far some LR are from the camera's photographs. interval: 95 %; beyond: 95 % interval of this distance less
    that of the recipe that is nearest by all measures; above 0 it is farther, and not by chance."""

    value: float
    interval: Span
    beyond: Span


@dataclass(frozen=True)
class Tried:
    """One recipe, and what its LR are like.

    recipe    its fields, as a plan's page has them
    calls     of the denoiser, a pair
    measures  distance by all measures of `match`; detail: of fine detail, by random filters; e_deg: in F_deg, None
              where the model has no E_deg
    content   difference to the HR at low frequencies, grey levels
    means     noise, sharpness and fine detail, as `match` names them; None where no image could tell
    outcome   "chosen"; "as near" as the nearest; "unsure": too few photographs to tell; "farther"; "content": beyond
              the bound
    """

    recipe: dict[str, Any]
    calls: int
    measures: Distance
    detail: Distance
    e_deg: Distance | None
    content: float
    means: dict[str, float | None]
    outcome: Outcome


@dataclass(frozen=True)
class Filtered:
    """What the filter did: distance by all measures with K candidates less that with the first one alone, the same
    recipe otherwise, and its 95 % interval."""

    recipe: dict[str, Any]
    gain: float
    interval: Span


@dataclass(frozen=True)
class RecipeFound:
    """recipe.json.

    recipe            the fields of the one that was chosen; why: in sentences
    reference, hr     the photographs: how many, their bytes, a digest; and crops
    camera, bicubic   noise, sharpness and fine detail of the references, and of the HR at LR size
    content_bound     grey levels
    skipped           recipes that were left out for want of time
    """

    model: Model
    recipe: dict[str, Any]
    why: str
    reference: dict[str, Any]
    hr: dict[str, Any]
    lr_size: int
    scale: int
    seed: int
    camera: dict[str, float | None]
    bicubic: dict[str, float | None]
    content_bound: float
    tried: tuple[Tried, ...]
    filtered: tuple[Filtered, ...]
    skipped: int
    tools: dict[str, str]
    format: Format = "degrade-engine/recipe/1"

    def chosen(self, where: str) -> Recipe:
        """As an engine takes it. Raises DegradeError."""
        return Recipe.from_json(self.recipe, f"{where}: recipe")


def read(path: Path) -> RecipeFound:
    """The page of a file. Raises DegradeError for what is none."""
    page, wanted = parse_json(read_bytes(path), path.name), get_args(Format)[0]
    if not isinstance(page, dict) or page.get("format") != wanted:
        came = page.get("format") if isinstance(page, dict) else None
        raise DegradeError(f"{path} has the format {str(came)[:60]!r}", wanted=repr(wanted), mend=AGAIN)
    return from_json(RecipeFound, page, path.name)


def recipe_of(path: Path, kind: str) -> Recipe:
    """The recipe of a file, for an engine of a kind. Raises DegradeError where it is for another."""
    found = read(path)
    if found.model.kind != kind:
        fact = f"{path} is for models of the kind {found.model.kind}, and this engine is of the kind {kind}"
        raise DegradeError(fact, mend="calibrate a recipe with this model, or leave --recipe out")
    return found.chosen(path.name)


def why_of(folder: Path, plan: Mapping[str, Any]) -> str:
    """Why a run's recipe was chosen, by the copy in its folder; "" where there is none, or where options changed it.
    plan: the page of its plan."""
    path = folder / RECIPE_JSON
    if not path.is_file():
        return ""
    try:
        found = read(path)
        names = [one.name for one in fields(Recipe)]
        made_by = {name: plan[name] for name in names if name in plan}
        return found.why if found.chosen(path.name) == Recipe.from_json(made_by, "plan.json") else ""
    except DegradeError:  # a report goes without
        return ""
