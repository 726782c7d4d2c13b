"""`calibrate solver`: timesteps and coefficients of a few network calls, found by a camera's photographs.

A solver is a table of six numbers a step (engine/schedule.py). Here a table is searched for, beginning with DDIM's. Few
numbers are free: the lengths of the strides; and of each step what is added to DDIM's a, and d, the strength of fresh
noise. b follows from a, b = sqrt(abar_s) - a sqrt(abar_t), so that the mean stays right. DDIM's last step has a = 0: it
returns the mean of the x_0 that x_t leaves open, which has too little noise. With a > 0 some of x_t's noise stays.

The network is left as it is, and is called through the engine. LR are compared with the camera's photographs as
`calibrate recipe` does it, by all measures, and always made with the same seed. A change is kept only if it lowers the
loss, so the table is never worse than DDIM's on the crops that it was found with.

Ideas: optimised timesteps (Xue et al. 2024, "Accelerating Diffusion Sampling with Optimized Time Steps"); solvers whose
coefficients are learned (Frankel et al. 2025, "S4S"). Both bring a sampler near to a teacher's samples; here it is
brought near to photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import DegradeError
from ..engine.recipe import Recipe
from ..engine.recipe_file import RecipeFound, Tried
from ..engine.report.match import together
from ..engine.report.measures import measure
from ..engine.schedule import LEARNED, Learned, Schedule, ddim, timesteps
from .degradation import Crops
from .features import Features
from .grid import Pixels, calls
from .recipe import Material, content_error, distance, distances, look, page

if TYPE_CHECKING:
    from ..engine.api import Engine

Numbers = NDArray[np.float64]
STRIDE, SHARE, NOISE = 0.4, 0.1, 0.02  # first changes: of a stride's logarithm, of a, and of d
SMALLEST = 1 / 64  # of the first change: then a number is left as it is


def table_of(schedule: Schedule, tau: int, numbers: Numbers) -> Learned:
    """numbers: float64 [3, n], of each step the stride's logarithm, what is added to DDIM's a, and d."""
    strides, n = np.exp(numbers[0]), numbers.shape[1]
    left = np.rint(tau * (1 - (np.cumsum(strides) - strides) / strides.sum())).astype(np.int64)
    for at in range(1, n):  # each below the one before, with room for those that follow
        left[at] = min(max(left[at], n - at), left[at - 1] - 1)
    rows = ddim(schedule, left.astype(np.int32))
    abar_t, abar_s = schedule.alphas_bar[left], schedule.alphas_bar[np.append(left[1:], 0)]
    rows[:, 2] += numbers[1]
    rows[:, 3] = np.sqrt(abar_s) - rows[:, 2] * np.sqrt(abar_t)
    rows[:, 5] = numbers[2]
    found = [(float(p), float(q), float(a), float(b), float(c), float(d)) for p, q, a, b, c, d in rows]
    return Learned(schedule, tuple(int(t) for t in left), tuple(found))


def search(
    schedule: Schedule, tau: int, steps: int, loss: Callable[[Learned], float], *, tries: int, noise: bool = True,
    on_try: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Learned, float, float]:  # fmt: skip
    """The table with the least loss, its loss, and DDIM's. loss: of a table, the same whenever it is asked; tries: how
    many tables are looked at, at most; noise: whether d may be more than 0.

    One number after the other is changed, up and down. A change that helps is made twice as large the next time, and
    one that does not is made half as large. Raises DegradeError where DDIM's loss is no number.
    """
    strides = -np.diff(np.append(timesteps(tau, steps), 0))
    n = len(strides)
    at = np.stack([np.log(strides), np.zeros(n), np.zeros(n)])
    change = np.repeat([[STRIDE if n > 1 else 0.0], [SHARE], [NOISE if noise else 0.0]], n, axis=1)
    least = change * SMALLEST
    best = table_of(schedule, tau, at)
    lowest = first = loss(best)
    if not np.isfinite(first):
        raise DegradeError("The LR cannot be compared with the references", mend="other crops, with --seed")
    done, seen = 1, {best}
    while done < tries and (change > least).any():
        for where in [(int(i), int(j)) for i, j in np.argwhere(change > least)]:
            helped = False
            for sign in (1, -1):
                moved = at.copy()
                moved[where] += sign * change[where]
                table = table_of(schedule, tau, moved) if moved[2].min() >= 0 else best
                if table in seen or done >= tries:
                    continue
                seen.add(table)
                value, done = loss(table), done + 1
                on_try(done, tries)
                if value < lowest:
                    at, best, lowest, helped = moved, table, value, True
                    break
            change[where] *= 2 if helped else 0.5
    return best, lowest, first


def loss_of(lr: Pixels, camera: Pixels, bicubic: Pixels, bound: float) -> float:
    """How far LR are from the camera's crops by all measures, and by how much their content is beyond the bound."""
    apart = together([measure(one) for one in lr], [measure(one) for one in camera])
    return apart + max(0.0, content_error(lr, bicubic) - bound)


def calibrate(
    engine: Engine, name: str, hr: Crops, camera: Crops, features: Features | None, *, steps: int, tries: int,
    scale: int, content_bound: float, seed: int = 0, on_try: Callable[[int, int], None] = lambda done, of: None,
) -> RecipeFound:  # fmt: skip
    """A recipe whose solver is learned, in the form of `calibrate recipe`'s; DDIM with as many calls is beside it.
    Arguments as there; steps: network calls; tries: tables, at most. Raises DegradeError.
    """
    base = start_of(engine, steps)
    material, tau = Material.of(hr, camera), base.tau[1]
    reads = engine.spec.model_kind.reads_reference
    references = material.references(base.references, seed) if reads else None

    def made(recipe: Recipe) -> Pixels:
        pixels = material.hr.pixels
        return np.asarray(engine.degrade(pixels, references, recipe=recipe, scale=scale, seed=seed).lr)

    def recipe_of(table: Learned) -> Recipe:
        return base.but(solver=LEARNED, learned=table)

    def loss(table: Learned) -> float:
        return loss_of(made(recipe_of(table)), camera.pixels, material.bicubic, content_bound)

    table, lowest, first = search(engine.spec.schedule, tau, steps, loss, tries=tries, on_try=on_try)
    chosen = recipe_of(table)
    seen = {one: look(made(one), features, material.bicubic) for one in (chosen, base)}
    own, plain = look(camera.pixels, features), look(material.bicubic, features)
    far, tried = distances(seen, own, material, seed), list[Tried]()
    for one, each in far.items():
        apart = {key: distance(each[key], far[chosen][key]) for key in each}
        outcome = "chosen" if one == chosen else "farther" if apart["measures"].beyond[0] > 0 else "as near"
        tried.append(Tried(one.to_json(), calls(one), apart["measures"], apart["detail"], apart.get("e_deg"),
                           round(seen[one].content, 3), seen[one].means, outcome))  # type: ignore[arg-type]  # fmt: skip
    return page(
        engine, name, material, own, plain, recipe=chosen, why=why(table, steps, lowest, first, tried), tried=tried,
        scale=scale, seed=seed, content_bound=content_bound,
    )  # fmt: skip


def start_of(engine: Engine, steps: int) -> Recipe:
    """What the search begins with: the model's recommended recipe with DDIM, one candidate and no added noise. Raises
    DegradeError for a model without steps, or with too few."""
    kind = engine.spec.model_kind
    usual = kind.recipes["recommended"]
    if not kind.has_steps or not usual.tau[1]:
        raise DegradeError(f"Models of the kind {engine.spec.kind} have no steps", wanted="a model with steps")
    if steps > usual.tau[1]:
        raise DegradeError(f"--steps is {steps}", wanted=f"{usual.tau[1]} at most, the model's recommended tau")
    base = usual.but(tau=usual.tau[1], steps=steps, solver="ddim", spacing="even", eta=0.0, candidates=1, filter=False,
                     noise=0.0)  # fmt: skip
    base.check(engine.spec)
    return base


def why(table: Learned, steps: int, lowest: float, first: float, tried: list[Tried]) -> str:
    """In sentences."""
    called = f"{steps} network call{'s' * (steps > 1)}"
    if lowest >= first:
        return f"No table with {called} is nearer to the camera than DDIM's, so this is DDIM's."
    found, other = tried[0].measures, tried[1].measures
    low, high = other.beyond
    return (f"A table for {called}, at t = {', '.join(map(str, table.timesteps))}. On the crops that it was "
            f"found with, its LR are at a distance of {found.value:.2f} from the camera, and DDIM's at "
            f"{other.value:.2f}: {low:+.2f} to {high:+.2f} more.")  # fmt: skip
