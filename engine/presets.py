"""Named settings of `generate`, for each kind of engine. An option given by hand overrides its field; the rest stays.

tau is the number of noising steps that the start image gets (RealDGen, Algorithm 2 and Table 9): small keeps
the start, large lets the diffusion rewrite it. `steps` is how many network calls bring it back: None means
every timestep, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .plan import Options
from .schedule import Solver, Spacing
from .spec import Kind, Start


@dataclass(frozen=True)
class Preset:
    """How a pair is made, apart from the images, the seed and the size."""

    name: str
    tau_low: int  # inclusive; each pair draws its tau from tau_low..tau_high
    tau_high: int  # inclusive
    steps: int | None  # network calls a candidate; None = tau of them
    spacing: Spacing  # of those calls, see schedule.timesteps
    solver: Solver
    eta: float  # ddim only: 0 = deterministic, 1 = as much noise as ddpm
    start: Start  # the image that is noised to x_tau
    candidates: int  # K, of which the filter keeps one
    fusion_weight: float | None = None  # w, the share of P-DDM in the LR (UDDM, eq. 1); None: nothing is fused
    noise: float = 0.0  # standard deviation of white noise on the finished LR, grey levels: ours, in no paper


PAPER = Preset(
    name="paper",
    tau_low=1,
    tau_high=30,
    steps=None,
    spacing="even",
    solver="ddpm",
    eta=0.0,
    start="realesrgan",
    candidates=3,
)
RECOMMENDED = Preset(
    name="recommended",
    tau_low=200,
    tau_high=200,
    steps=5,
    spacing="quadratic",
    solver="ddim",
    eta=0.0,
    start="bicubic",
    candidates=3,
)
"""Chosen on the development scenes (bench/results/choice.jsonl and references_choice.jsonl), among settings that make
their own start more real: few calls smooth a weak noise of the reference away (a call gives the mean of what its x_t
leaves open; here the last is at t = 8), many from a small tau keep the start's sharpness. A start at Rec_lr with a
small tau is a little nearer to the truth there, but its start is already as sharp as real LR and the diffusion only
adds to it."""
SYNDIFF_PAPER = Preset(
    name="paper",
    tau_low=1,
    tau_high=125,
    steps=None,
    spacing="even",
    solver="ddpm",
    eta=0.0,
    start="realesrgan",
    candidates=1,
)
"""A random strength up to a quarter of the schedule, from a classical degradation of the HR (Yang et al. 2023, as
RealDGen describes it)."""
SYNDIFF_RECOMMENDED = replace(RECOMMENDED, tau_low=40, tau_high=40, steps=1, candidates=1)
"""One call from a weak noise: the mean of what a model of one camera's LR takes for it. Chosen on the development
scenes with such a model (bench/results/syndiff_choice.jsonl; docs/other-checkpoints.md)."""
LWAY = Preset(
    name="recommended",
    tau_low=0,
    tau_high=0,
    steps=None,
    spacing="even",
    solver="ddpm",
    eta=0.0,
    start="reconstruction",
    candidates=1,
    noise=1.0,
)
"""All that LWay has: its own reconstruction. The paper makes no pairs; this is its one setting. The noise is ours: of
0 to 3, what makes LR most like the camera's on the scenes for choosing (docs/worth.md)."""
UDDM_PAPER = Preset(
    name="paper",
    tau_low=200,
    tau_high=200,
    steps=None,
    spacing="even",
    solver="ddpm",
    eta=0.0,
    start="bicubic",
    candidates=1,
    fusion_weight=0.5,
)
"""From noise, all 200 steps of DDPM (UDDM, implementation details), w = 0.5 (Table 2)."""
UDDM_RECOMMENDED = replace(UDDM_PAPER, name="recommended", steps=10, spacing="quadratic", solver="ddim")
PRESETS: dict[Kind, dict[str, Preset]] = {
    "realdgen": {preset.name: preset for preset in (RECOMMENDED, PAPER)},
    "syndiff": {preset.name: preset for preset in (SYNDIFF_RECOMMENDED, SYNDIFF_PAPER)},
    "lway": {LWAY.name: LWAY},
    "uddm": {preset.name: preset for preset in (UDDM_RECOMMENDED, UDDM_PAPER)},
}


def label(options: Options) -> str:
    """The preset, of any kind of engine, whose settings these are, or "custom"."""
    for preset in (preset for named in PRESETS.values() for preset in named.values()):
        fields = (field for field in vars(preset) if field != "name")
        if all(getattr(preset, field) == getattr(options, field) for field in fields):
            return preset.name
    return "custom"
