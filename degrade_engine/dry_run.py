"""What a run would do, in a few plain lines."""

from __future__ import annotations

from collections import Counter

from degrade_engine.engine.inputs.sources import Sources
from degrade_engine.engine.plan import Plan
from degrade_engine.engine.sampling.layout import plan_row_steps


def say_plan(plan: Plan, found: Sources) -> str:
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
            say_calls(plan),
        ]
    )


def say_calls(plan: Plan) -> str:
    """The network calls, where there are any."""
    batches = f"{len(plan.batches)} batches of {plan.batch} pairs"
    if not plan.networks:
        return f"{batches}, no network calls"
    useful, executed = plan_row_steps(plan.all_steps, plan.batch)
    if not executed:
        return f"{batches}, no denoising steps"
    tiles = "" if plan.options.tile_overlap is None else ", each in tiles"
    return f"{batches}, {executed // plan.batch} denoiser calls{tiles}; {100 * useful / executed:.1f} % of rows useful"
