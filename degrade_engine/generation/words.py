"""What a plan says of itself, in a few plain lines."""

from __future__ import annotations

from collections import Counter

from degrade_engine.engine.inputs.sources import Sources
from degrade_engine.engine.plan import Plan
from degrade_engine.engine.sampling.layout import plan_row_steps


def headline(plan: Plan) -> str:
    """How many pairs, of what, and how."""
    references = f" and {len(plan.reference)} reference" if plan.reference else ""
    options = plan.options
    return f"{options.pairs} pairs at scale {options.scale} from {len(plan.hr)} HR{references} images; {settings(plan)}"


def settings(plan: Plan) -> str:
    """How a pair is made, in a line."""
    options, recipe = plan.options, plan.options.recipe
    if not plan.networks:
        return f"degrader {recipe.start}, LR size {plan.lr_size}, seed {options.seed}"
    low, high = recipe.tau
    tau = str(low) if low == high else f"{low}:{high}"
    steps = "every step" if recipe.steps is None else f"{recipe.steps} {recipe.spacing} steps"
    fusion = "" if recipe.fusion_weight is None else f"fusion weight {recipe.fusion_weight:g}, "
    noise = f"noise {recipe.noise:g}, " if recipe.noise else ""
    tiles = f"LR size {plan.lr_size} in tiles that share {options.tile_overlap}, " if options.tile_overlap else ""
    return (
        f"preset {recipe.label}: tau {tau}, {steps}, {recipe.solver}, start {recipe.start}, "
        f"{recipe.candidates} candidates{'' if recipe.filter else ' (no filter)'}, "
        f"{fusion}{noise}{tiles}seed {options.seed}"
    )


def in_full(plan: Plan, found: Sources) -> str:
    """Pairs, shards and images, what is left out and why, and how often the networks would be called."""
    pages = {"HR": found.hr, "reference": found.reference}
    images = [
        f"{len(photographs)} {role} images of {photographs.lengths.sum() / 1e6:.1f} MB"
        for role, photographs in pages.items()
        if photographs
    ]
    refused = Counter(f"{one.role}: {one.reason}" for one in found.rejects)
    said = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
    return "\n".join(
        [
            f"plan {plan.sha256[:12]}: {plan.options.pairs} pairs in {len(plan.shards)} shards, from "
            + " and ".join(images),
            f"left out: {said or 'nothing'}",
            calls(plan),
        ]
    )


def calls(plan: Plan) -> str:
    """The network calls, where there are any."""
    batches = f"{len(plan.batches)} batches of {plan.batch} pairs"
    if not plan.networks:
        return f"{batches}, no network calls"
    useful, executed = plan_row_steps(plan.all_steps, plan.batch)
    if not executed:
        return f"{batches}, no denoising steps"
    tiles = "" if plan.options.tile_overlap is None else ", each in tiles"
    return f"{batches}, {executed // plan.batch} denoiser calls{tiles}; {100 * useful / executed:.1f} % of rows useful"
