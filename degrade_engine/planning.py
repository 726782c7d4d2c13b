"""What was asked of `degrade-engine generate` becomes a plan: options over a preset, checked against the engine or the
degrader, and the photographs of the folders or of a pair list."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_args

from degrade_engine.engine import plan as plans
from degrade_engine.engine import presets
from degrade_engine.engine.classical import degraders
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.inputs import sources
from degrade_engine.engine.sampling.noise import check_noise
from degrade_engine.engine.spec import Kind, Start
from degrade_engine.photograph_options import how

LR_SIZE, BATCH = 128, 16  # of a degrader's pairs; the batch is how many are read ahead at a time
STARTS = tuple(dict.fromkeys((*get_args(Start), *degraders.KINDS)))  # what --start may be
CLASSICAL = tuple(kind for kind in STARTS if kind not in get_args(Start))
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
        seed=asked["seed"], pairs=pairs, scale=scale, tau_low=0, tau_high=0, steps=None, spacing="even", solver="ddpm",
        eta=0.0, start=degrader.kind, candidates=1, filter=False, save_candidates=False,
        shard_pairs=asked["shard_pairs"] or plans.default_shard_pairs(pairs, BATCH), alpha=asked["alpha"],
    )  # fmt: skip
    plan = plans.make(
        options, lr_size=lr_size, batch=BATCH, engine=degrader.sha256, hr=found.hr, reference=None,
        listed=found.listed, degrader=degrader,
    )  # fmt: skip
    return plan, found


def listed(asked: dict[str, Any], **sizes: Any) -> sources.Sources:
    """The images of --pair-list."""
    if asked["pairs"]:
        raise DegradeError(
            "--pairs and --pair-list were both given", mend="leave --pairs out: the list has its length"
        )
    return sources.from_list(asked["pair_list"], asked["hr"], asked["reference"], **sizes, how=how(asked))


def settled(kind: Kind, asked: dict[str, Any]) -> presets.Preset:
    """The kind's preset with the options given by hand put over it."""
    if asked["preset"] not in presets.PRESETS[kind]:
        fact = f"an engine of the kind {kind} has no preset {asked['preset']}"
        raise DegradeError(fact, wanted=" or ".join(presets.PRESETS[kind]))
    preset = presets.PRESETS[kind][asked["preset"]]
    given: dict[str, Any] = {
        name: asked[name]
        for name in ("spacing", "solver", "start", "candidates", "eta", "fusion_weight", "noise")
        if asked[name] is not None
    }
    if asked["tau"] is not None:
        given["tau_low"], given["tau_high"] = parse_tau(asked["tau"])
    if asked["steps"] is not None:
        given["steps"] = parse_steps(asked["steps"])
    return replace(preset, **given)


def make_plan(
    engine: Any, asked: dict[str, Any], settings: presets.Preset
) -> tuple[plans.Plan, sources.Sources]:
    """Check the settings against the engine, look at the folders, settle the plan."""
    spec, scale = engine.spec, int(asked["scale"])
    degrader = start_degrader(asked, settings)
    check(spec, settings)
    inputs = ("hr", "reference", "pairs") if spec.reads_reference else ("hr", "pairs")
    if asked["reference"] and not spec.reads_reference:
        fact = f"--reference was given, and an engine of the kind {spec.kind} reads no reference"
        raise DegradeError(fact, mend="leave it out")
    if asked["fusion_weight"] is not None and not spec.fuses:
        fact = f"--fusion-weight was given, and an engine of the kind {spec.kind} fuses nothing"
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
        filter=spec.can_filter and not asked["no_filter"],
        shard_pairs=asked["shard_pairs"] or plans.default_shard_pairs(pairs, engine.batch),
        save_candidates=pairs <= SAVE_UP_TO if save is None else save,
        tile_overlap=engine.tile_overlap,
        alpha=asked["alpha"],
        **{field.name: getattr(settings, field.name) for field in fields(settings) if field.name != "name"},
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
    )
    return plan, found


def start_degrader(asked: dict[str, Any], settings: presets.Preset) -> degraders.Degrader | None:
    """What makes the start images, where it is not one of the engine's own ways (None)."""
    if settings.start in CLASSICAL or asked["degrader_options"] is not None or asked["weights"] is not None:
        if settings.start in degraders.KINDS:
            return degraders.open_degrader(settings.start, asked["degrader_options"], asked["weights"])
        given = "--weights" if asked["degrader_options"] is None else "--degrader-options"
        fact = f"{given} was given, and the start image is {settings.start}"
        raise DegradeError(fact, wanted=f"--degrader, or --start {' or '.join(CLASSICAL)}")
    return None


def check(spec: Any, settings: presets.Preset) -> None:
    """Refuse what this engine cannot do, before a single image is read."""
    if settings.candidates > spec.candidates:
        raise DegradeError(
            f"{settings.candidates} candidates are asked for and the engine makes {spec.candidates}",
            mend=f"give --candidates {spec.candidates}, or build an engine with more",
        )
    if settings.candidates > 1 and not spec.can_filter:
        raise DegradeError(
            f"{settings.candidates} candidates are asked for, and the kind {spec.kind} has nothing to choose by",
            wanted="--candidates 1",
        )
    starts = spec.starts + (CLASSICAL if "realesrgan" in spec.starts else ())
    if settings.start not in starts:
        raise DegradeError(f"the start image {settings.start} does not fit this engine", wanted=" or ".join(starts))
    spec.schedule.check_tau(settings.tau_high)
    if settings.tau_high and not spec.has_steps:
        raise DegradeError(
            f"tau is {settings.tau_high}, and an engine of the kind {spec.kind} has no steps", mend="leave --tau out"
        )
    check_noise(settings.noise)
    if settings.eta and settings.solver != "ddim":
        raise DegradeError(
            f"--eta {settings.eta:g} was given with the solver {settings.solver}", wanted="--solver ddim"
        )


def parse_tau(text: str) -> tuple[int, int]:
    """ "30" -> (30, 30), "1:30" -> (1, 30)."""
    low, colon, high = text.partition(":")
    try:
        first, last = int(low), int(high if colon else low)
    except ValueError:
        first, last = -1, -1
    if not 0 <= first <= last:
        raise DegradeError(
            f"--tau is {text!r}", wanted="a number of steps such as 30, or a range such as 1:30"
        )
    return first, last


def parse_steps(text: str) -> int | None:
    """ "full" -> None, "2" -> 2."""
    if text == "full":
        return None
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise DegradeError(f"--steps is {text!r}", wanted="full, or how many network calls a candidate takes")
    return int(text)
