"""How a pair is made, apart from the images, the seed and the sizes: a `Recipe`. The named ones are on the page of each
kind (kinds/).

tau is the number of noising steps that the start image gets (RealDGen, Algorithm 2 and Table 9): small keeps the start,
large lets the diffusion rewrite it. `steps` is how many network calls bring it back: None means every timestep, as in
the paper.

Command line, Python and benchmarks all hold a Recipe, so a default stands once: there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, get_args

from . import artefact
from .classical.degraders import DEGRADERS
from .errors import DegradeError
from .sampling.noise import MOST_NOISE
from .scalars import number, whole
from .schedule import LEARNED, SOLVERS, SPACINGS, Learned, Schedule, SolverTable, Spacing, check_eta, table
from .spec import QUANTISED, Start

if TYPE_CHECKING:
    from .engine_spec import EngineSpec

OWN_STARTS: tuple[Start, ...] = get_args(Start)  # images that every engine knows by name
STARTS = tuple(dict.fromkeys((*OWN_STARTS, *DEGRADERS)))
CLASSICAL = tuple(one for one in STARTS if one not in OWN_STARTS)
MOST_STEPS = 2**15 - 1  # a larger tau does not fit into a plan's columns
MOST_CANDIDATES, MOST_REFERENCES = 1024, 64
MOST_CHANCE = 2.0  # of variety and temperature
USUAL: dict[str, Any] = {"fusion_weight": None, "noise": 0.0, "references": 1, "variety": 1.0, "temperature": 1.0,
                         "learned": None}  # fmt: skip
"""What a page names only where it is something else: older pages, and kinds without, keep their names."""


@dataclass(frozen=True)
class Recipe:
    """How a pair is made.

    tau            noising steps of the start image: (low, high), both included, of which each pair draws its own. One
                   number stands for a range of itself. 0 gives the start image
    steps          network calls per candidate; None: tau of them
    spacing        of those calls, see `schedule.timesteps`
    solver, eta    see `schedule.table`; eta is ddim's: 0 deterministic, 1 as much noise as ddpm. "learned": the table
                   `learned`, which `calibrate solver` found; tau and steps are the table's
    start          the image that is noised: "reconstruction", the model's own LR; "bicubic", the HR at LR size; or what
                   that degrader makes of the HR. Of a run without networks it is the result
    candidates     K, made for each pair; one of them is kept
    filter         whether the best one is kept; False: the first one
    fusion_weight  w of UDDM's eq. 1, the share of P-DDM in the LR, 0 to 1; None: the kind fuses nothing
    noise          standard deviation of white noise on the finished LR, grey levels, 0 to 255: ours, in no paper
    references     of a pair, whose degradation is put together (sampling/references.py), 1 to 64: ours, in no paper
    variety        how much the degradation differs from pair to pair, for a kind that draws F_deg: a factor on the
                   standard deviation of the draw, 0 to 2; 1 as trained, 0 the camera's mean
    temperature    for the same kinds, a factor on the noise of x_tau, 0 to 2: below 1 the LR are less noisy

    Numbers may be numpy's. Raises DegradeError for a number or a word that no engine could take.
    """

    tau: tuple[int, int]
    steps: int | None
    spacing: Spacing
    solver: str
    eta: float
    start: str
    candidates: int
    filter: bool
    fusion_weight: float | None = None
    noise: float = 0.0
    references: int = 1
    variety: float = 1.0
    temperature: float = 1.0
    learned: Learned | None = None

    def __post_init__(self) -> None:
        settled = {
            "tau": _range(self.tau),
            "steps": None if self.steps is None else whole("steps", self.steps, 1, MOST_STEPS),
            "eta": number("eta", self.eta, 0, 1),
            "candidates": whole("candidates", self.candidates, 1, MOST_CANDIDATES),
            "fusion_weight": None if self.fusion_weight is None else number("fusion_weight", self.fusion_weight, 0, 1),
            "noise": number("noise", self.noise, 0, MOST_NOISE),
            "references": whole("references", self.references, 1, MOST_REFERENCES),
            "variety": number("variety", self.variety, 0, MOST_CHANCE),
            "temperature": number("temperature", self.temperature, 0, MOST_CHANCE),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        for name, known in (("spacing", SPACINGS), ("solver", (*SOLVERS, LEARNED)), ("start", STARTS)):
            word = getattr(self, name)
            if not isinstance(word, str) or word not in known:
                raise DegradeError(f"The {name} is {str(word)[:60]!r}", wanted=f"one of {', '.join(known)}")
        if not isinstance(self.filter, bool):
            raise DegradeError(f"filter is {self.filter!r}", wanted="True or False")
        check_eta(self.solver, self.eta)
        self._check_learned()

    def _check_learned(self) -> None:
        """Raises DegradeError unless solver, tau and steps are those of the table, where there is one."""
        if self.learned is None:
            if self.solver == LEARNED:
                mend = "make one with `degrade-engine calibrate solver`, and give its file with --recipe"
                raise DegradeError("The solver is learned, and no table is given", mend=mend)
            return
        if not isinstance(self.learned, Learned):
            raise DegradeError(f"learned is {str(self.learned)[:60]!r}", wanted="a table that was found, or None")
        tau, n = self.learned.timesteps[0], len(self.learned.timesteps)
        for name, came, wanted in (("solver", self.solver, LEARNED), ("tau", self.tau, (tau, tau)),
                                   ("steps", self.steps, n)):  # fmt: skip
            if came != wanted:
                fact = f"The recipe has a learned table of {n} steps from tau {tau}, and its {name} is {came}"
                raise DegradeError(fact, mend=f"leave --{name} out, or make another table with `calibrate solver`")

    @classmethod
    def named(cls, kind: str, name: str) -> Recipe:
        """A kind's preset, "recommended" or "paper". Raises DegradeError where the kind has none of that name."""
        from .kinds import KINDS  # here, since the pages of the kinds are made of recipes

        found = KINDS[kind].recipes
        if name not in found:
            raise DegradeError(f"an engine of the kind {kind} has no preset {name}", wanted=" or ".join(found))
        return found[name]

    @classmethod
    def of(cls, spec: EngineSpec, recipe: Recipe | str | Path, **changes: Any) -> Recipe:
        """What an engine is to do: a recipe, the preset of that name, or that of a recipe.json, with some fields
        changed. Raises DegradeError for what it cannot do."""
        from .recipe_file import recipe_of  # here, since a page of it holds a recipe

        if is_file(recipe):
            found = recipe_of(Path(recipe), spec.kind)
        else:
            found = recipe if isinstance(recipe, Recipe) else cls.named(spec.kind, str(recipe))
        settled = found.but(**changes)
        settled.check(spec)
        return settled

    @classmethod
    def without_networks(cls, start: str) -> Recipe:
        """Of a run whose start images are its pairs."""
        return cls((0, 0), None, "even", "ddpm", 0.0, start, candidates=1, filter=False)

    def but(self, **changes: Any) -> Recipe:
        """This recipe with some fields changed. Raises DegradeError for a name or a value that does not fit."""
        names = [field.name for field in fields(self)]
        unknown = [name for name in changes if name not in names]
        if unknown:
            raise DegradeError(f"A recipe has no {unknown[0]}", wanted=", ".join(names))
        return replace(self, **changes)

    def check(self, spec: EngineSpec) -> None:
        """Raises DegradeError for what this engine cannot do."""
        most, can, kind = spec.rows, spec.model_kind, f"an engine of the kind {spec.kind}"
        source = "the recipe" if self.label == "custom" else f"the preset {self.label}"
        if self.candidates > most:
            fact = f"{source} has {self.candidates} candidates per pair, and this engine makes {most} at most"
            raise DegradeError(
                fact, mend=f"--candidates {most}, or build an engine with --candidates {self.candidates}"
            )
        if self.candidates > 1 and not can.can_filter:
            fact = f"{source} has {self.candidates} candidates per pair, and {kind} cannot choose among them"
            raise DegradeError(fact, wanted="one candidate (--candidates 1)")
        if self.filter and not can.can_filter:
            raise DegradeError(f"{kind} cannot filter", wanted="--no-filter")
        if self.references > 1 and not can.reads_reference:
            raise DegradeError(f"references is {self.references}, and {kind} reads none", wanted="1")
        starts = spec.starts + (CLASSICAL if "realesrgan" in spec.starts else ())
        if self.start not in starts:
            raise DegradeError(f"the start image {self.start} does not fit this engine", wanted=" or ".join(starts))
        spec.schedule.check_tau(self.tau[1])
        if self.learned is not None and self.learned.schedule != spec.schedule:
            fact = "The learned table is for a model with other noise levels than this engine's"
            raise DegradeError(fact, mend="make one with `degrade-engine calibrate solver` and this model")
        if (precision := spec.key.precision_computed) in QUANTISED and self.tau[1] > spec.parity.tau:
            scales = f"{precision.upper()} scales are for tau up to {spec.parity.tau}"
            fact = f"tau is {self.tau[1]}, and this engine's {scales}"
            raise DegradeError(fact, mend="a smaller tau, or an engine of another precision")
        if self.tau[1] and not can.has_steps:
            raise DegradeError(f"tau is {self.tau[1]}, and {kind} has no steps", wanted="tau 0")
        if self.fusion_weight is not None and not can.fuses:
            fact = f"The fusion weight is {self.fusion_weight:g}, and {kind} has no use for it"
            raise DegradeError(fact, mend="leave it out")
        for name in ("variety", "temperature"):
            if getattr(self, name) != 1 and not can.draws:
                fact = f"{name} is {getattr(self, name):g}, and {kind} has no use for it"
                raise DegradeError(fact, mend="leave it out")
        if self.fusion_weight is None and can.fuses:
            raise DegradeError(f"{kind} needs a fusion weight", wanted="0 to 1")

    def table(self, schedule: Schedule, tau: int) -> SolverTable:
        """The way from x_tau to x_0 of a pair that has drawn this tau."""
        if self.learned is not None:
            return self.learned.table(tau)
        return table(schedule, self.solver, tau, self.steps, self.eta, spacing=self.spacing)

    def calls(self, tau: int) -> int:
        """Network calls that a candidate of such a pair takes."""
        return tau if self.steps is None else min(tau, self.steps)

    @property
    def label(self) -> str:
        """The preset, of any kind of engine, that this is but for the filter; or "custom"."""
        from .kinds import KINDS

        presets = (one for kind in KINDS.values() for one in kind.recipes.items())
        return next((name for name, recipe in presets if replace(recipe, filter=self.filter) == self), "custom")

    def to_json(self) -> dict[str, Any]:
        """As a plan's page says it."""
        page = artefact.to_json(self) | {"tau": f"{self.tau[0]}:{self.tau[1]}", "steps": self.steps or "full"}
        return {name: value for name, value in page.items() if name not in USUAL or value != USUAL[name]}

    @classmethod
    def from_json(cls, page: dict[str, Any], where: str) -> Recipe:
        """What `to_json` wrote. where: names the page in the errors. Raises DegradeError."""
        page = {name: str(value) if name == "tau" else value for name, value in (USUAL | page).items()}
        if "tau" in page:
            page["tau"] = list(read_tau(page["tau"]))
        if page.get("steps") == "full":
            page["steps"] = None
        return artefact.from_json(cls, page, where)


def is_file(recipe: Recipe | str | Path) -> TypeGuard[str | Path]:
    """Whether it is the path of a recipe.json, and not a recipe or a preset's name."""
    return isinstance(recipe, Path) or isinstance(recipe, str) and recipe.endswith(".json")


def _range(tau: Any) -> tuple[int, int]:
    """One number, or a tuple of two."""
    if isinstance(tau, tuple) and len(tau) != 2:
        raise DegradeError(f"tau is {tau!r}", wanted="one number, or the least and the largest")
    low, high = (whole("tau", one, 0, MOST_STEPS) for one in (tau if isinstance(tau, tuple) else (tau, tau)))
    if low > high:
        raise DegradeError(f"tau is {low} to {high}", wanted="a range from low to high")
    return low, high


def read_tau(text: str) -> tuple[int, int]:
    """The range of tau: "30" -> (30, 30), "1:30" -> (1, 30). Raises DegradeError."""
    low, colon, high = text.partition(":")
    ends = (low, high if colon else low)
    if not all(end.isascii() and end.isdecimal() and len(end) < 10 for end in ends) or int(ends[0]) > int(ends[1]):
        raise DegradeError(f"tau is {text[:60]!r}", wanted="a number of steps such as 30, or a range such as 1:30")
    return int(ends[0]), int(ends[1])


def read_steps(text: str) -> int | None:
    """The number of steps: "full" -> None, "2" -> 2. Raises DegradeError."""
    if text == "full":
        return None
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10) or int(text) < 1:
        raise DegradeError(f"steps is {text[:60]!r}", wanted="full, or the number of network calls per candidate")
    return int(text)
