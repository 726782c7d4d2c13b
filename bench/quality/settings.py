"""How a generator is run, and the named sets of settings that the paper's tables ask for.

    table3   each kind as its presets run it, and the start images alone, by every reference protocol
    table4   the exact algorithm (every step, from the paper's start) with tau drawn from 0 to 200, 300, 400 and 500
    table5   F_deg or F_cont put to zero as the networks run. The paper trains anew without the extractor; here the
             trained networks lose it, which says how much they rest on it, not how well they could do without
    table7   with and without the filter
    curve    solver, tau and number of network calls
    grid     what was looked at when the recommended preset was chosen
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from degrade_engine.engine.artefact import parse_json
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.presets import LWAY, PAPER, PRESETS, RECOMMENDED, Preset
from degrade_engine.engine.schedule import Solver, Spacing
from degrade_engine.engine.spec import Kind, Start

Without = Literal["degradation", "content"]
Name = Literal["table3", "table4", "table5", "table7", "curve", "grid"]
NAMES: tuple[Name, ...] = get_args(Name)
LATER = {"fusion_weight": None, "without": None, "noise": 0.0}
"""What rows had no word for before: said only where it is set."""


@dataclass(frozen=True)
class Setting:
    """How the engine is run. steps None = every step; tau a range: each pair draws its own; reference: a protocol, or
    "none"; fusion_weight None: the engine's own; without: the extractor whose features are zero; noise: of the finished
    LR, grey levels."""

    start: Start = "reconstruction"
    tau: int | tuple[int, int] = 10
    steps: int | None = 2
    spacing: Spacing = "even"
    solver: Solver = "ddpm"
    eta: float = 0.0
    reference: str = "other"
    filter: bool = True
    fusion_weight: float | None = None
    without: Without | None = None
    noise: float = 0.0

    def taus(self, n: int, seed: int) -> list[int]:
        """tau of each of n pairs."""
        if isinstance(self.tau, int):
            return [self.tau] * n
        return [int(t) for t in np.random.default_rng(seed).integers(self.tau[0], self.tau[1] + 1, n)]

    def calls(self, n: int, seed: int) -> list[int]:
        """Denoiser calls a candidate, of each of n pairs."""
        return [0 if t == 0 else t if self.steps is None else min(t, self.steps) for t in self.taus(n, seed)]

    def to_json(self) -> dict[str, Any]:
        """As a row holds it, and `parse_settings` reads it."""
        return {k: v for k, v in asdict(self).items() if k not in LATER or v != LATER[k]}


def from_json(page: dict[str, Any]) -> Setting:
    """A list of two numbers is a range of tau."""
    kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in page.items()}
    return Setting(**kept)


def parse_settings(text: str) -> list[Setting]:
    """Settings out of a JSON list of objects. Raises DegradeError."""
    found = parse_json(text.encode("utf-8", "replace"), "--settings")
    try:
        return [from_json(page) for page in found]
    except (AttributeError, TypeError):
        names = ", ".join(field.name for field in fields(Setting))
        wanted = f"a JSON list of objects with these keys: {names}"
        raise DegradeError(f"--settings is {text[:80]}", wanted=wanted) from None


def of_preset(preset: Preset, reference: str = "other") -> Setting:
    """A preset of `generate` as a setting."""
    tau = preset.tau_low if preset.tau_low == preset.tau_high else (preset.tau_low, preset.tau_high)
    return Setting(preset.start, tau, preset.steps, preset.spacing, preset.solver, preset.eta, reference,
                   noise=preset.noise)  # fmt: skip


def fit(setting: Setting, kind: Kind, *, reads_reference: bool, can_filter: bool) -> Setting:
    """The setting as a kind of engine can run it."""
    reference = setting.reference if reads_reference else "none"
    return replace(setting, reference=reference, filter=setting.filter and can_filter)


def settings_of(name: Name, kind: Kind) -> list[Setting]:
    """The settings of a set for a kind of engine, none where the set says nothing about it."""
    if name == "table3":
        return table3(kind)
    return {"table4": TABLE4, "table5": TABLE5, "table7": TABLE7, "curve": CURVE, "grid": GRID}[name] * (
        kind == "realdgen"
    )


def table3(kind: Kind) -> list[Setting]:
    """Every preset; every protocol of what is recommended; and for RealDGen the images that it starts from."""
    if kind == "lway":
        return [of_preset(LWAY, protocol) for protocol in ("other", "paired", "clean")]
    presets = PRESETS[kind]
    if kind != "realdgen":
        return [of_preset(preset) for preset in presets.values()]
    return [
        *(of_preset(RECOMMENDED, protocol) for protocol in ("other", "paired", "clean")),
        *(Setting(tau=0, reference=protocol) for protocol in ("other", "paired", "clean")),
        of_preset(PAPER),
        of_preset(PAPER, "paired"),
        Setting(start="realesrgan", tau=0),
    ]


TABLE4 = [replace(of_preset(PAPER), tau=(0, top)) for top in (200, 300, 400, 500)]
TABLE5 = [replace(of_preset(RECOMMENDED), without=lost) for lost in (None, "degradation", "content")]
TABLE7 = [
    replace(of_preset(preset, protocol), filter=kept)
    for preset in (RECOMMENDED, PAPER)
    for protocol in ("other", "paired")
    for kept in (True, False)
]
CURVE = [
    Setting("bicubic", tau, steps, "quadratic", solver)
    for tau in (30, 100, 200)
    for solver in ("ddim", "dpmpp", "ddpm")
    for steps in (1, 2, 3, 5, 8)
]
GRID = [
    *(Setting(tau=0, reference=r) for r in ("other", "paired", "clean")),
    *(Setting(tau=t, steps=3, spacing="quadratic", solver="ddim") for t in (10, 30, 60, 100)),
    Setting(start="bicubic", tau=0),
    *(
        Setting(start="bicubic", tau=t, steps=s, spacing="quadratic", solver="ddim")
        for t in (10, 30, 60, 100, 150)
        for s in (1, 2, 3, 4)
    ),
    *(Setting(start="bicubic", tau=t, steps=s, solver="ddim") for t in (60, 100) for s in (2, 3, 4)),
    *(Setting(start="bicubic", tau=100, steps=s, spacing="quadratic", solver="ddim", eta=1.0) for s in (3, 6)),
    *(Setting(start="bicubic", tau=t, steps=3, spacing="quadratic", solver="dpmpp") for t in (60, 100)),
    Setting(start="realesrgan", tau=(1, 30), steps=None),
    Setting(start="realesrgan", tau=0),
]
