"""The recipes that `calibrate recipe` tries: a small grid around what the model's kind recommends.

One run of the networks gives several recipes: noise is added afterwards, and of K candidates the first is what K = 1
makes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..engine.engine_spec import EngineSpec
from ..engine.errors import DegradeError
from ..engine.recipe import Recipe
from ..engine.sampling.batch import BatchResult

Pixels = NDArray[np.uint8]

NOISE = (0.0, 1.0, 2.0)  # grey levels
STEPS = (1, 2, 5)
SHARES = (4, 2, 1)  # of the tau that is recommended: a quarter, half, all
REFERENCES = (1, 4, 16)
VARIETY, TEMPERATURE = (1.0, 0.5, 0.25), (1.0, 0.7, 0.5)
CANDIDATES = 3
PLAIN_STARTS = ("reconstruction", "bicubic")  # a degrader's are of its own distribution, not of the camera's
NO_CALL = Recipe((0, 0), None, "even", "ddpm", 0.0, "reconstruction", candidates=1, filter=False)


def grid(spec: EngineSpec) -> list[Recipe]:
    """What an engine of this kind can do, without noise: the kind's presets, then the others by their calls. A preset
    that takes every timestep is left out, since it makes few calls only by chance."""
    kind = spec.model_kind
    presets = [one.but(noise=0.0) for one in kind.recipes.values() if one.steps is not None or not one.tau[1]]
    single = kind.recipes["recommended"].but(candidates=1, filter=False, noise=0.0)
    found = [NO_CALL, single] if "reconstruction" in kind.starts else [single]
    tau = single.tau[1]
    if kind.has_steps and tau:
        steps = dict.fromkeys((*STEPS, single.steps or STEPS[-1]))
        starts = [one for one in kind.starts if one in PLAIN_STARTS]
        taus = [tau // share for share in SHARES]
        found += [single.but(tau=t, steps=n, start=s) for t in taus for n in steps for s in starts]
        found += [single.but(steps=n, solver="dpmpp", eta=0.0) for n in steps if n > 2]  # with fewer, it is ddim
    if kind.reads_reference:
        cheap = found[:2] + [one for one in found if calls(one) == 1][:1]  # no call, the recommended, one call
        found += [one.but(references=m) for one in cheap for m in REFERENCES]
    if kind.draws:
        found += [single.but(variety=v, temperature=t) for v in VARIETY for t in TEMPERATURE]
    if kind.can_filter:
        several = single.but(candidates=min(CANDIDATES, spec.rows), filter=True)
        found += [several.but(steps=1), several.but(tau=2 * tau)]
    rest = sorted((one for one in found if one not in presets), key=calls)
    return [one for one in dict.fromkeys((*presets, *rest)) if _can(spec, one)]


def _can(spec: EngineSpec, recipe: Recipe) -> bool:
    try:
        recipe.check(spec)
    except DegradeError:
        return False
    return True


def calls(recipe: Recipe) -> int:
    """Of the denoiser, for a pair."""
    return recipe.calls(recipe.tau[1]) * recipe.candidates


def variants(recipe: Recipe, result: BatchResult, seed: int) -> Iterator[tuple[Recipe, Pixels]]:
    """The recipes that a run of `recipe` gives, and the LR of each, uint8 [n, h, w, 3]. Noise is added to the finished
    LR, as the engine does, but after rounding: about a twentieth of a grey level more."""
    bare = [(recipe, result.lr)]
    if recipe.candidates > 1:
        bare.append((recipe.but(candidates=1, filter=False), result.candidates[0]))
    for one, lr in bare:
        z = np.random.default_rng(seed).standard_normal(lr.shape, np.float32)
        for level in NOISE:
            noisy = np.clip(np.rint(lr + np.float32(level) * z), 0, 255).astype(np.uint8)
            yield one.but(noise=level), noisy


def said(recipe: Recipe) -> str:
    """In short: what differs from recipe to recipe."""
    low, high = recipe.tau
    tau = f"tau {high}" if low == high else f"tau {low}:{high}"
    steps = "every step" if recipe.steps is None else f"{recipe.steps} step{'s' * (recipe.steps > 1)}"
    parts = [f"{tau}, {steps}, {recipe.solver}" if high else "no call", f"start {recipe.start}"]
    parts += [f"{recipe.candidates} candidates"] * (recipe.candidates > 1)
    parts += [f"{recipe.references} references"] * (recipe.references > 1)
    parts += [f"variety {recipe.variety:g}"] * (recipe.variety != 1)
    parts += [f"temperature {recipe.temperature:g}"] * (recipe.temperature != 1)
    return ", ".join(parts + [f"noise {recipe.noise:g}"] * (recipe.noise > 0))
