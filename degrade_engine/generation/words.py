"""What a plan says of itself, in a few plain lines."""

from __future__ import annotations

from collections import Counter

from degrade_engine.engine.inputs.sources import Sources
from degrade_engine.engine.pipeline.progress import Progress
from degrade_engine.engine.plan import Plan
from degrade_engine.engine.room import Room
from degrade_engine.generation.units import duration, size


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
    spacing = "found" if recipe.learned else recipe.spacing
    steps = "every step" if recipe.steps is None else f"{recipe.steps} {spacing} steps"
    fusion = "" if recipe.fusion_weight is None else f"fusion weight {recipe.fusion_weight:g}, "
    noise = f"noise {recipe.noise:g}, " if recipe.noise else ""
    chances = {"variety": recipe.variety, "temperature": recipe.temperature}
    chance = "".join(f"{name} {factor:g}, " for name, factor in chances.items() if factor != 1)
    several = f"{recipe.references} references per pair, " if recipe.references > 1 else ""
    tiles = f"LR size {plan.lr_size} in tiles that share {options.tile_overlap}, " if options.tile_overlap else ""
    return (
        f"preset {recipe.label}: tau {tau}, {steps}, {recipe.solver}, start {recipe.start}, "
        f"{recipe.candidates} candidates{'' if recipe.filter else ' (no filter)'}, "
        f"{fusion}{several}{chance}{noise}{tiles}seed {options.seed}"
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
    useful, executed = plan.row_steps()
    if not executed:
        return f"{batches}, no denoising steps"
    tiles = "" if plan.options.tile_overlap is None else ", each in tiles"
    return f"{batches}, {executed // plan.batch} denoiser calls{tiles}; {100 * useful / executed:.1f} % of rows useful"


def forecast(room: Room, now: Progress | None = None) -> str:
    """Hours, disk and files of what is left of a run. now: after some batches; None: before the first."""
    if now is None or now.seconds_left is None or now.pairs_per_second is None:
        time = "Time: known after the first two batches."
    else:
        left = now.pairs - now.settled
        time = f"Time: {duration(now.seconds_left)} for {left:,} more pairs at {now.pairs_per_second:.2f} pairs/s."
    reckoned = "" if room.share is None else f" (reckoned with {room.share:g} bytes per raw byte)"
    counts: dict[int, list[str]] = {}
    for folder, count in room.files.items():
        if folder != "shards":
            counts.setdefault(count, []).append(f"{folder}/")
    files = ", ".join(
        f"{count:,} in {'each of ' if len(some) > 1 else ''}{', '.join(some)}" for count, some in counts.items()
    )
    free = "" if room.free is None else f", {size(room.free)} free"
    where = "Store" if room.free is None else "Disk"
    return f"{time} {where}: about {size(room.needed)} needed{reckoned}{free}. Files: {files}."


def lack(room: Room) -> str | None:
    """A warning where the disk is too small; None where it is not."""
    if room.lacking == "bytes":
        return (
            f"the disk is too small: about {size(room.needed)} needed, {size(room.free or 0)} free. Make room now: a "
            "full disk stops the run, and the same command continues it."
        )
    if room.lacking == "files":
        return (
            f"the file system has room for {room.free_files:,} more files, and the run makes "
            f"{sum(room.files.values()):,}. Use --sink webdataset, or another disk."
        )
    return None
