"""How a generator is run, and the named sets of settings that the paper's tables ask for.

table3   each kind as its presets run it, and the start images alone, by every reference protocol
table4   the exact algorithm (every step, from the paper's start) with tau drawn from 0 to 200, 300, 400 and 500
table5   F_deg or F_cont put to zero as the networks run. The paper trains anew without the extractor; here the
         trained networks lose it, which says how much they rest on it, not how well they could do without
table7   with and without the filter
curve    solver, tau and number of network calls
fusion   UDDM's weight w, from DDM alone to P-DDM alone (its Table 2)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from degrade_engine.engine import draws
from degrade_engine.engine.artefact import from_json as read_table
from degrade_engine.engine.artefact import parse_json, to_json
from degrade_engine.engine.engine_spec import EngineSpec
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.recipe import Recipe
from degrade_engine.engine.schedule import Learned

Without = Literal["degradation", "content"]
Name = Literal["table3", "table4", "table5", "table7", "curve", "fusion"]
NAMES: tuple[Name, ...] = get_args(Name)
BASE = Recipe((10, 10), 2, "even", "ddpm", 0.0, "reconstruction", candidates=1, filter=True)
"""What `--settings` leaves out."""


LATER = ("fusion_weight", "without", "noise", "references", "variety", "temperature", "learned")  # keys of few settings


@dataclass(frozen=True)
class Setting:
    """How an engine is run. recipe: with as many candidates as the engine makes and its kind's own fusion weight, see
    `fit`; reference: a protocol, or "none"; without: the extractor whose features are zero."""

    recipe: Recipe = BASE
    reference: str = "other"
    without: Without | None = None

    def taus(self, n: int, seed: int) -> list[int]:
        """tau of each of n pairs."""
        return [int(tau) for tau in draws.taus(seed, self.recipe.tau, 0, n)]

    def calls(self, n: int, seed: int) -> list[int]:
        """Denoiser calls a candidate, of each of n pairs."""
        return [self.recipe.calls(tau) for tau in self.taus(n, seed)]

    def to_json(self) -> dict[str, Any]:
        """As a row holds it, and `parse_settings` reads it. What came later is said where it is set."""
        r, (low, high) = self.recipe, self.recipe.tau
        page = {"start": r.start, "tau": low if low == high else [low, high], "steps": r.steps, "spacing": r.spacing,
                "solver": r.solver, "eta": r.eta, "reference": self.reference, "filter": r.filter}  # fmt: skip
        later = {"fusion_weight": r.fusion_weight, "without": self.without, "noise": r.noise or None,
                 "references": r.references if r.references > 1 else None,
                 "variety": r.variety if r.variety != 1 else None,
                 "temperature": r.temperature if r.temperature != 1 else None,
                 "learned": r.learned and to_json(r.learned)}  # fmt: skip
        return page | {name: value for name, value in later.items() if value is not None}


def from_json(page: dict[str, Any]) -> Setting:
    """A list of two numbers is a range of tau. Raises DegradeError."""
    kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in page.items()}
    if "learned" in page:
        kept["learned"] = read_table(Learned, page["learned"], "--settings: learned")
    own = {name: kept.pop(name) for name in ("reference", "without") if name in kept}
    return Setting(BASE.but(**kept), **own)


def parse_settings(text: str) -> list[Setting]:
    """Settings out of a JSON list of objects. Raises DegradeError."""
    found = parse_json(text.encode("utf-8", "replace"), "--settings")
    if not isinstance(found, list) or not all(isinstance(page, dict) for page in found):
        names = ", ".join(Setting().to_json() | dict.fromkeys(LATER))
        raise DegradeError(f"--settings is {text[:80]}", wanted=f"a JSON list of objects with these keys: {names}")
    return [from_json(page) for page in found]


def made(reference: str = "other", **changes: Any) -> Setting:
    """The base with some fields changed."""
    return Setting(BASE.but(**changes), reference)


def of_preset(kind: str, name: str, reference: str = "other") -> Setting:
    """A kind's preset as a setting."""
    return Setting(Recipe.named(kind, name).but(candidates=1, fusion_weight=None), reference)


def fit(setting: Setting, spec: EngineSpec) -> Setting:
    """The setting as an engine can run it, with all candidates that it makes."""
    recipe = setting.recipe.but(candidates=spec.candidates, filter=setting.recipe.filter and spec.model_kind.can_filter)
    if spec.model_kind.fuses and recipe.fusion_weight is None:
        recipe = recipe.but(fusion_weight=Recipe.named(spec.kind, "recommended").fusion_weight)
    return replace(setting, recipe=recipe, reference=setting.reference if spec.model_kind.reads_reference else "none")


def settings_of(name: Name, kind: str) -> list[Setting]:
    """The settings of a set for a kind of engine, none where the set says nothing about it."""
    if name == "table3":
        return table3(kind)
    if name == "fusion":
        return FUSION * (kind == "uddm")
    return {"table4": TABLE4, "table5": TABLE5, "table7": TABLE7, "curve": CURVE}[name] * (kind == "realdgen")


def table3(kind: str) -> list[Setting]:
    """Every preset; every protocol of what is recommended; and for RealDGen the images that it starts from."""
    protocols = ("other", "paired", "clean")
    if kind == "lway":
        return [of_preset(kind, "recommended", protocol) for protocol in protocols]
    if kind == "onecall":
        recommended = [of_preset(kind, "recommended", protocol) for protocol in protocols]
        return [*recommended, *(replace(one, recipe=one.recipe.but(references=1)) for one in recommended)]
    if kind != "realdgen":
        return [of_preset(kind, name) for name in KINDS[kind].recipes]
    return [
        *(of_preset(kind, "recommended", protocol) for protocol in protocols),
        *(made(protocol, tau=0) for protocol in protocols),
        of_preset(kind, "fast"),
        of_preset(kind, "paper"),
        of_preset(kind, "paper", "paired"),
        made(start="realesrgan", tau=0),
    ]


PAPER, RECOMMENDED = of_preset("realdgen", "paper"), of_preset("realdgen", "recommended")
TABLE4 = [Setting(PAPER.recipe.but(tau=(0, top))) for top in (200, 300, 400, 500)]
TABLE5 = [replace(RECOMMENDED, without=lost) for lost in (None, "degradation", "content")]
TABLE7 = [
    Setting(preset.recipe.but(filter=kept), protocol)
    for preset in (RECOMMENDED, PAPER)
    for protocol in ("other", "paired")
    for kept in (True, False)
]
CURVE = [
    made(start="bicubic", tau=tau, steps=steps, spacing="quadratic", solver=solver)
    for tau in (30, 100, 200)
    for solver in ("ddim", "dpmpp", "ddpm")
    for steps in (1, 2, 3, 5, 8)
]
FUSION = [Setting(of_preset("uddm", "recommended").recipe.but(fusion_weight=w)) for w in (0.0, 0.25, 0.5, 0.75, 1.0)]
