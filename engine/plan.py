"""The plan of a run: which photographs, which crops, which tau make pair i, and in which order pairs are computed.

Everything is known before the first network call (docs/design.md, section 4). What a pair is depends on the seed, its
number and the photographs (`draws.py`). The pairs are sorted by their number of network steps and cut into batches, so
that the rows of a batch end together; batches are grouped into shards, the unit of resuming.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .artefact import sha256_json
from .classical.degraders import Degrader, Kind
from .columns import Column, Cut
from .draws import IMAGES, TAU, Draw, Photograph, Words, below, crop_of
from .errors import DegradeError
from .images import Alpha
from .plan_page import digest_of, summary
from .sampling.layout import plan_row_steps
from .sampling.noise import MOST_NOISE
from .schedule import Solver, Spacing
from .spec import Start

FORMAT = "degrade-engine/plan/2"
ATTEMPTS = 8  # a pair whose input cannot be decoded is drawn anew up to this many times
MOST_SHARD_PAIRS = 128
BOUNDS = {
    "seed": (0, 2**64 - 1), "pairs": (1, 10**8), "scale": (1, 16), "shard_pairs": (1, 2**31 - 1),
    "tau_low": (0, 2**15 - 1), "tau_high": (0, 2**15 - 1), "steps": (1, 2**15 - 1), "eta": (0, 1),
    "candidates": (1, 1024), "fusion_weight": (0, 1), "noise": (0, MOST_NOISE), "tile_overlap": (1, 2**14),
}  # fmt: skip
"""Of the options, both ends included. More pairs would not fit into memory, a larger tau into the plan's columns."""


@dataclass(frozen=True)
class Options:
    """What `generate` was asked for, resolved: presets applied, nothing left to a default."""

    seed: int  # 0..2^64-1
    pairs: int
    scale: int  # HR is scale times LR
    tau_low: int  # tau is uniform over tau_low..tau_high, both included
    tau_high: int
    steps: int | None  # network calls a candidate, None = tau of them
    spacing: Spacing  # of those calls
    solver: Solver
    eta: float
    start: Start | Kind  # the image that is noised; of a run without networks it is the result, and tau is 0
    candidates: int
    filter: bool  # False keeps the first candidate
    shard_pairs: int
    save_candidates: bool
    fusion_weight: float | None = None  # w of UDDM's eq. 1, 0..1; None: the kind fuses nothing
    alpha: Alpha = "white"  # what becomes of partly transparent images
    noise: float = 0.0  # standard deviation of the white noise that each LR gets at the end, grey levels
    tile_overlap: int | None = None  # LR pixels that tiles share at least; None: the LR is the networks' own size

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:  # NaN is never within
                raise DegradeError(f"{name} is {value}", wanted=f"{least} to {most}")
        if self.tau_low > self.tau_high:
            raise DegradeError(f"tau is {self.tau_low} to {self.tau_high}", wanted="a range from low to high")

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The fields that a plan's page names only where they are not this."""
        return {one.name: one.default for one in fields(cls) if one.default is not MISSING}


@dataclass(frozen=True)
class Plan:
    """A run, settled. Pure: two plans with equal fields make equal bytes."""

    options: Options
    lr_size: int
    batch: int
    engine: str  # SHA-256 that names the engine, or the degrader
    hr: Sequence[Photograph]
    reference: Sequence[Photograph]
    listed: NDArray[np.int32] | None = None  # [pairs, 2], with a pair list: HR and reference index, -1 = unusable
    degrader: Degrader | None = None  # makes the start image where options.start is its kind

    @property
    def networks(self) -> bool:
        """Whether the start image is given to networks, or is the result."""
        return self.degrader is None or self.engine != self.degrader.sha256

    @property
    def hr_size(self) -> int:
        """Side of the HR crop in pixels."""
        return self.lr_size * self.options.scale

    @property
    def attempts(self) -> int:
        """How often a pair may be drawn: a listed pair has no replacement."""
        return ATTEMPTS if self.listed is None else 1

    def draw(self, pair: int, attempt: int = 0) -> Draw | None:
        """Photographs and crops of a pair. None where the pair list names an input that the inventory
        refused.
        """
        words = Words(self.options.seed, IMAGES).draw(pair, attempt, 7).tolist()
        if self.listed is None:
            hr_index, reference_index = below(words[0], len(self.hr)), below(words[3], len(self.reference))
        else:
            hr_index, reference_index = self.listed[pair].tolist()
            if hr_index < 0 or reference_index < 0:
                return None
        hr = self.hr[hr_index]
        reference = self.reference[reference_index] if self.reference else None
        return Draw(
            pair=pair,
            attempt=attempt,
            hr=hr,
            hr_crop=crop_of(hr, self.hr_size, words[1], words[2], multiple=self.options.scale),
            reference=reference,
            reference_crop=(
                None if reference is None else crop_of(reference, self.lr_size, words[4], words[5], multiple=1)
            ),
            noise_seed=words[6] >> 32,
        )

    @cached_property
    def taus(self) -> Column:
        """Noising steps of each pair: one tau for its candidates and for its replacements.

        Each is uniform over the range, and every run of so many pairs as the range has values takes each value
        once, in an order drawn for that run: so a plan's batches fill evenly whatever its seed, and pair i still
        does not depend on how many pairs there are.
        """
        low, pairs = self.options.tau_low, self.options.pairs
        values = self.options.tau_high - low + 1
        if values == 1:
            return Column(np.full(pairs, low, np.int16))
        words = Words(self.options.seed, TAU)
        drawn = np.empty((-(-pairs // values), values), np.int16)
        for run, order in enumerate(drawn):
            order[:] = low + np.argsort(words.draw(run, 0, values), kind="stable")
        return Column(drawn.ravel()[:pairs].copy())

    def steps(self, pair: int) -> int:
        """Network calls that a candidate of this pair takes."""
        tau = self.taus[pair]
        return tau if self.options.steps is None else min(tau, self.options.steps)

    @cached_property
    def all_steps(self) -> Column:
        """`steps` of each pair."""
        taus, most = self.taus.values, self.options.steps
        return self.taus if most is None else Column(np.minimum(taus, most))

    @cached_property
    def order(self) -> Column:
        """All pairs as they are computed: sorted by number of steps, then by number."""
        return Column(np.argsort(self.all_steps.values, kind="stable").astype(np.uint32))

    @property
    def batches(self) -> Cut[tuple[int, ...]]:
        """The pairs of `order`, cut into batches of at most `batch`."""
        return Cut(self.order, self.batch)

    @property
    def shards(self) -> Cut[tuple[tuple[int, ...], ...]]:
        """The batches, in order, grouped into shards of about `shard_pairs` pairs."""
        return Cut(self.batches, self._shard_batches)

    @property
    def shard_count(self) -> int:
        """How many shards there are; the order of pairs is not computed for it."""
        return -(-self.options.pairs // (self._shard_batches * self.batch))

    @property
    def _shard_batches(self) -> int:
        return max(1, self.options.shard_pairs // self.batch)

    def shard_range(self, shard: int) -> tuple[int, int]:
        """First and last (not included) place in `order` of a shard's pairs."""
        length = self._shard_batches * self.batch
        return shard * length, min((shard + 1) * length, self.options.pairs)

    def shard_pairs(self, shard: int) -> list[int]:
        """Pairs of a shard, in computing order."""
        return [pair for batch in self.shards[shard] for pair in batch]

    def useful_share(self) -> float:
        """Row-steps that move a pair over row-steps that a full batch executes, 0..1; 1 when nothing is to be
        done.
        """
        useful, executed = plan_row_steps(self.all_steps, self.batch)
        return useful / executed if executed else 1.0

    @cached_property
    def sha256(self) -> str:
        """Hash of the plan's page."""
        return sha256_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The small page that names this plan; two runs with the same page make the same bytes."""
        settings = asdict(self.options)
        settings["tau"] = f"{settings.pop('tau_low')}:{settings.pop('tau_high')}"
        settings["steps"] = "full" if self.options.steps is None else self.options.steps
        for name, default in Options.defaults().items():  # plans that do without, or are older, keep their names
            if settings[name] == default:
                del settings[name]
        if self.degrader is not None and self.networks:
            settings["start_sha256"] = self.degrader.sha256
        listed = None if self.listed is None else digest_of(f"{a} {b}" for a, b in map(np.ndarray.tolist, self.listed))
        return {
            "format": FORMAT,
            **settings,
            "lr_size": self.lr_size,
            "batch": self.batch,
            "engine": self.engine,
            "hr": summary(self.hr),
            "reference": summary(self.reference),
            "pair_list": listed,
        }


def make(
    options: Options,
    *,
    lr_size: int,
    batch: int,
    engine: str,
    hr: Sequence[Photograph],
    reference: Sequence[Photograph] | None,
    listed: Sequence[tuple[int, int]] | None = None,
    degrader: Degrader | None = None,
) -> Plan:
    """A plan for these usable photographs. hr, reference: sorted by path; reference None: the run reads none.
    Raises DegradeError where no pair can be made.
    """
    for name, found, size in (("HR", hr, lr_size * options.scale), ("reference", reference, lr_size)):
        if found is not None and not found:
            raise DegradeError(
                f"there is no usable {name} image",
                wanted=f"at least one photograph of {size}x{size} pixels or more",
                mend=f"give another folder, or build an engine with an --lr-size smaller than {lr_size}",
            )
    indices = None if listed is None else np.array(listed, np.int32).reshape(-1, 2)
    if indices is not None and not (indices >= 0).all(axis=1).any():
        both = "a usable HR image" if reference is None else "both a usable HR and a usable reference image"
        raise DegradeError(f"no pair of the list has {both}")
    return Plan(
        options,
        lr_size,
        batch,
        engine,
        hr,
        reference or (),
        indices,
        degrader,
    )


def default_shard_pairs(pairs: int, batch: int) -> int:
    """An eighth of the run in whole batches, MOST_SHARD_PAIRS at most: what a stopped run has to repeat."""
    eighth = -(-pairs // (8 * batch)) * batch
    return max(batch, min(MOST_SHARD_PAIRS, eighth))
