"""What was asked for becomes a plan: an `Order`, checked against the engine or the degrader that it names, and the
photographs of two places or of a pair list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import plan as plans
from .classical.degrader import Degrader
from .classical.degraders import open_degrader
from .errors import DegradeError
from .faults import PATIENCE_S, Patience
from .images import PIXEL_LIMIT, Alpha
from .inputs import sources
from .inputs.inventory import Identity
from .inputs.places import Where
from .inputs.sources import How, OnFiles, Sources
from .objects import Out
from .recipe import Recipe
from .scalars import number, whole
from .sinks.contract import check_prefix
from .starts import open_start

if TYPE_CHECKING:
    from .api import Engine
    from .runners.job import Described

LR_SIZE, BATCH = 128, 16  # of a degrader's pairs; the batch is how many are read ahead at a time
SAVE_UP_TO = 64  # pairs: runs this small keep their candidates for the report


@dataclass(frozen=True)
class Order:
    """What is to be made, and of what. The names are those of the options of `generate`.

    engine, degrader      one of them: an engine's folder, or a kind of degradation without networks
    hr, reference         where the photographs lie: a folder, a glob, a list or a URL, see `places.at`
    pairs                 how many; or pair_list: a CSV of exactly these pairs
    recipe, changes       how a pair is made: a preset's name, a Recipe, or a file that `calibrate recipe` wrote; and
                          fields of it that differ
    scale                 HR over LR
    seed                  decides every crop, pairing, tau and noise
    lr_size, tile_overlap pixels, see `Engine.open`; without networks lr_size is LR_SIZE unless said
    degrader_options, weights, cameras  files for the degrader, or for the one that makes the start images
    alpha, identity, pixel_limit  how photographs are looked at and read
    patience              seconds in which one that cannot be read is tried again; allow_missing: see `faults.Patience`
    shard_pairs           pairs committed at a time; None: an eighth of the run, 128 at most
    name_prefix           of every pair's name, so that sets can be merged
    save_candidates       whether start, reference and candidates are kept; None: of runs up to SAVE_UP_TO pairs
    """

    engine: Path | None = None
    degrader: str | None = None
    hr: Where | None = None
    reference: Where | None = None
    pairs: int | None = None
    pair_list: Path | None = None
    recipe: Recipe | str | Path = "recommended"
    changes: Mapping[str, Any] = field(default_factory=dict)
    scale: int = 4
    seed: int = 0
    lr_size: int | None = None
    tile_overlap: int | None = None
    degrader_options: Path | None = None
    weights: Path | None = None
    cameras: Path | None = None
    alpha: Alpha = "white"
    identity: Identity = "size"
    pixel_limit: int = PIXEL_LIMIT
    patience: float = PATIENCE_S
    allow_missing: bool = False
    shard_pairs: int | None = None
    save_candidates: bool | None = None
    name_prefix: str = ""

    def __post_init__(self) -> None:
        if (self.engine is None) == (self.degrader is None):
            nothing = "neither --model nor --engine nor --degrader was"
            came = nothing if self.engine is None else "--engine and --degrader were both"
            raise DegradeError(f"{came} given", wanted="one of them")
        if self.pairs is not None and self.pair_list is not None:
            fact = "--pairs and --pair-list were both given"
            raise DegradeError(fact, mend="leave --pairs out: the list has its length")
        check_prefix(self.name_prefix)
        for name in ("engine", "pair_list", "degrader_options", "weights", "cameras"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path))
        object.__setattr__(self, "patience", number("patience", self.patience, 0))
        for name, least in (("pairs", 1), ("scale", 1), ("seed", 0), ("lr_size", 1), ("pixel_limit", 1),
                            ("shard_pairs", 1)):  # fmt: skip
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, whole(name, value, least))


@dataclass(frozen=True)
class Begun:
    """What a run that lies in an output folder has settled: pairs per batch, and as in `plan.Options`."""

    batch: int
    pairs: int
    shard_pairs: int
    save_candidates: bool
    grown: tuple[int, ...] = ()
    pass_flat: bool = True

    def grown_to(self, pairs: int) -> tuple[int, ...]:
        """The sizes before, of a set of so many pairs; nothing where it is none of this run."""
        return (*self.grown, self.pairs) if pairs > self.pairs else self.grown if pairs == self.pairs else ()


@dataclass(frozen=True)
class Planned:
    """A plan, and the photographs that it was made of."""

    plan: plans.Plan
    sources: Sources


@dataclass(frozen=True)
class _Maker:
    """What makes the pairs, as a plan knows it."""

    recipe: Recipe
    degrader: Degrader | None
    lr_size: int
    batch: int
    sha256: str
    reads_reference: bool = False
    tile_overlap: int | None = None


def make_plan(
    order: Order, engine: Engine | Described | None, *, begun: Begun | None = None, known: Out | None = None,
    on_files: OnFiles | None = None,
) -> Planned:  # fmt: skip
    """Checks the order, looks at the photographs, settles the plan. engine: the order's, open or described; None for a
    degrader. begun: what a run has settled that is to go on, or to grow. known, on_files: see `sources.How`. Raises
    DegradeError before a single image is read where it can.
    """
    maker = _without_networks(order) if engine is None else _with_networks(order, engine, begun)
    patience = Patience(order.patience, order.allow_missing)
    found = _found(order, maker, How(order.identity, order.pixel_limit, known, on_files, patience))
    pairs = order.pairs if found.listed is None else len(found.listed)
    assert pairs is not None
    save, shard_pairs = order.save_candidates, order.shard_pairs
    if shard_pairs and not (begun and begun.shard_pairs == shard_pairs):  # as earlier releases wrote it down
        shard_pairs = max(maker.batch, shard_pairs // maker.batch * maker.batch)
    grown = begun.grown_to(pairs) if begun and found.listed is None else ()
    if begun and grown:  # what depends on the number of pairs is that of the first of them
        save = begun.save_candidates if save is None else save
        shard_pairs = shard_pairs or begun.shard_pairs
    options = plans.Options(
        seed=order.seed,
        pairs=pairs,
        scale=order.scale,
        recipe=maker.recipe,
        shard_pairs=shard_pairs or plans.default_shard_pairs(pairs, maker.batch),
        save_candidates=engine is not None and (pairs <= SAVE_UP_TO if save is None else save),
        alpha=order.alpha,
        tile_overlap=maker.tile_overlap,
        name_prefix=order.name_prefix,
        pass_flat=maker.reads_reference and (begun is None or begun.pass_flat),
        grown=grown,
    )
    plan = plans.make(
        options, lr_size=maker.lr_size, batch=maker.batch, engine=maker.sha256, hr=found.hr,
        reference=found.reference if maker.reads_reference else None, listed=found.listed, degrader=maker.degrader,
        refused=found.rejects, shares=found.shares,
    )  # fmt: skip
    return Planned(plan, found)


def _without_networks(order: Order) -> _Maker:
    """tau 0, one candidate, no references."""
    assert order.degrader is not None
    degrader = open_degrader(order.degrader, order.degrader_options, order.weights, order.cameras)
    given = [name for name in order.changes if name != "filter"]
    given += [name for name in ("reference", "tile_overlap") if getattr(order, name) is not None]
    if given:
        fact = f"--{given[0].replace('_', '-')} was given with the degrader {degrader.kind}, which does not use it"
        raise DegradeError(fact, mend="leave it out")
    recipe = Recipe.without_networks(degrader.kind)
    return _Maker(recipe, degrader, order.lr_size or LR_SIZE, BATCH, degrader.sha256)


def _with_networks(order: Order, engine: Engine | Described, begun: Begun | None) -> _Maker:
    spec, reads_reference = engine.spec, engine.spec.model_kind.reads_reference
    recipe = Recipe.of(spec, order.recipe, **order.changes)
    degrader = open_start(recipe.start, order.degrader_options, order.weights, order.cameras)
    if order.reference is not None and not reads_reference:
        fact = f"--reference was given, and an engine of the kind {spec.kind} reads no reference"
        raise DegradeError(fact, mend="leave it out")
    if spec.hr_scale not in (None, order.scale):
        fact = f"--scale is {order.scale}, and this engine works at scale {spec.hr_scale} only"
        raise DegradeError(fact, wanted=f"--scale {spec.hr_scale}")
    lr_size, _ = engine.lr_size
    batch = engine.pairs(recipe.candidates)
    if begun is not None and begun.batch < batch:  # by a release that had one number of pairs, whatever the candidates
        batch = begun.batch
    return _Maker(recipe, degrader, lr_size, batch, engine.sha256, reads_reference, engine.tile_overlap)


def _found(order: Order, maker: _Maker, how: How) -> Sources:
    """The photographs of the two places, or of the list."""
    hr_size = maker.lr_size * order.scale
    least = maker.lr_size if maker.reads_reference else None
    if order.pair_list is not None:
        return sources.from_list(
            order.pair_list, order.hr, order.reference, hr_size=hr_size, reference_size=least, how=how
        )
    inputs = ("hr", "reference", "pairs") if maker.reads_reference else ("hr", "pairs")
    missing = [f"--{name}" for name in inputs if getattr(order, name) is None]
    if order.hr is None or missing:
        wanted = ", ".join(f"--{name}" for name in inputs[:-1]) + f" and --{inputs[-1]}, or --pair-list"
        raise DegradeError(f"{' and '.join(missing)} not given", wanted=wanted)
    return sources.from_folders(order.hr, order.reference, hr_size=hr_size, reference_size=least, how=how)
