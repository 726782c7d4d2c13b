"""What was asked of `degrade-engine generate` becomes a plan: options over a preset, checked against the engine or the
degrader, and the photographs of the folders or of a pair list."""

from __future__ import annotations

from typing import Any

from degrade_engine.engine import plan as plans
from degrade_engine.engine.classical import degraders
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.inputs import sources
from degrade_engine.engine.recipe import Recipe, read_steps, read_tau
from degrade_engine.engine.starts import open_start
from degrade_engine.photograph_options import how

LR_SIZE, BATCH = 128, 16  # of a degrader's pairs; the batch is how many are read ahead at a time
SAVE_UP_TO = 64  # pairs: runs this small keep their candidates for the report


def make_degrader_plan(asked: dict[str, Any]) -> tuple[plans.Plan, sources.Sources]:
    """The plan of a run without networks: tau 0, one candidate, no references."""
    degrader = degraders.open_degrader(asked["degrader"], asked["degrader_options"], asked["weights"])
    foreign = ("tau", "steps", "spacing", "solver", "eta", "start", "candidates", "reference", "fusion_weight", "noise",
               "tile_overlap")  # fmt: skip
    given = [name for name in foreign if asked[name] is not None]
    if given:
        raise DegradeError(
            f"--{given[0].replace('_', '-')} was given with the degrader {degrader.kind}, which has no use for it",
            mend="leave it out",
        )
    scale, lr_size = int(asked["scale"]), asked["lr_size"] or LR_SIZE
    if asked["pair_list"]:
        found = listed(asked, hr_size=lr_size * scale, reference_size=None)
    elif not asked["hr"] or not asked["pairs"]:
        raise DegradeError("--hr or --pairs was not given", wanted="both with --degrader, or --pair-list")
    else:
        found = sources.from_folders(
            asked["hr"], None, hr_size=lr_size * scale, reference_size=lr_size, how=how(asked)
        )
    pairs = asked["pairs"] if found.listed is None else len(found.listed)
    options = plans.Options(
        seed=asked["seed"], pairs=pairs, scale=scale, recipe=Recipe.without_networks(degrader.kind),
        shard_pairs=asked["shard_pairs"] or plans.default_shard_pairs(pairs, BATCH), save_candidates=False,
        alpha=asked["alpha"],
    )  # fmt: skip
    plan = plans.make(
        options, lr_size=lr_size, batch=BATCH, engine=degrader.sha256, hr=found.hr, reference=None,
        listed=found.listed, degrader=degrader, refused=found.rejects,
    )  # fmt: skip
    return plan, found


def listed(asked: dict[str, Any], **sizes: Any) -> sources.Sources:
    """The images of --pair-list."""
    if asked["pairs"]:
        raise DegradeError(
            "--pairs and --pair-list were both given", mend="leave --pairs out: the list has its length"
        )
    return sources.from_list(asked["pair_list"], asked["hr"], asked["reference"], **sizes, how=how(asked))


def changes(asked: dict[str, Any]) -> dict[str, Any]:
    """The fields of a recipe that were given by hand."""
    names = ("spacing", "solver", "start", "candidates", "eta", "fusion_weight", "noise")
    given: dict[str, Any] = {name: asked[name] for name in names if asked[name] is not None}
    if asked["tau"] is not None:
        given["tau"] = read_tau(asked["tau"])
    if asked["steps"] is not None:
        given["steps"] = read_steps(asked["steps"])
    return given | ({"filter": False} if asked["no_filter"] else {})


def make_plan(engine: Any, asked: dict[str, Any]) -> tuple[plans.Plan, sources.Sources]:
    """Check the settings against the engine, look at the folders, settle the plan."""
    spec, scale = engine.spec, int(asked["scale"])
    recipe = Recipe.of(spec, asked["preset"], **changes(asked))
    degrader = open_start(recipe.start, asked["degrader_options"], asked["weights"])
    inputs = ("hr", "reference", "pairs") if spec.reads_reference else ("hr", "pairs")
    if asked["reference"] and not spec.reads_reference:
        fact = f"--reference was given, and an engine of the kind {spec.kind} reads no reference"
        raise DegradeError(fact, mend="leave it out")
    if spec.hr_scale not in (None, scale):
        fact = f"the scale is {scale}, and the networks of this engine read an HR of {spec.hr_scale} times the LR"
        raise DegradeError(fact, wanted=f"--scale {spec.hr_scale}")
    lr_size, _ = engine.lr_size
    sizes = {"hr_size": lr_size * scale, "reference_size": lr_size if spec.reads_reference else None}
    if asked["pair_list"]:
        found = listed(asked, **sizes)
    else:
        missing = [f"--{name}" for name in inputs if not asked[name]]
        if missing:
            wanted = ", ".join(f"--{name}" for name in inputs[:-1]) + f" and --{inputs[-1]}, or --pair-list"
            raise DegradeError(f"{' and '.join(missing)} not given", wanted=wanted)
        found = sources.from_folders(asked["hr"], asked["reference"], **sizes, how=how(asked))
    pairs = asked["pairs"] if found.listed is None else len(found.listed)
    save = asked["save_candidates"]
    options = plans.Options(
        seed=asked["seed"],
        pairs=pairs,
        scale=scale,
        recipe=recipe,
        shard_pairs=asked["shard_pairs"] or plans.default_shard_pairs(pairs, engine.batch),
        save_candidates=pairs <= SAVE_UP_TO if save is None else save,
        tile_overlap=engine.tile_overlap,
        alpha=asked["alpha"],
    )
    plan = plans.make(
        options,
        lr_size=lr_size,
        batch=engine.batch,
        engine=engine.sha256,
        hr=found.hr,
        reference=found.reference if spec.reads_reference else None,
        listed=found.listed,
        degrader=degrader,
        refused=found.rejects,
    )
    return plan, found
