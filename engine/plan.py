"""The plan of a run: which photographs, which crops, which tau make pair i, and in which order pairs are computed.

Everything is known before the first network call (docs/design.md, section 4). What a pair is depends on the seed, its
number and the photographs (`draws.py`). The pairs are sorted by their number of network steps and cut into batches, so
that the rows of a batch end together; batches are grouped into shards, the unit of resuming.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import artefact
from .artefact import sha256_json
from .classical.degrader import Degrader
from .columns import Column, Cut, Joined
from .draws import (
    CROPS,
    IMAGES,
    OTHERS,
    SPARES,
    Crop,
    Draw,
    Photograph,
    Words,
    below,
    crop_of,
    crops_of,
    noise_seed,
    taus,
)
from .errors import DegradeError
from .images import Alpha
from .plan_page import digest_of, pages_of, summary
from .recipe import Recipe
from .sampling.layout import plan_row_steps
from .weights import Choice, Cluster, Shares

if TYPE_CHECKING:
    from .inputs.photographs import Reject

FORMAT = "degrade-engine/plan/2"
ATTEMPTS = 8  # a pair whose input cannot be decoded is drawn anew up to this many times
MOST_SHARD_PAIRS = 128
BOUNDS = {
    "seed": (0, 2**64 - 1), "pairs": (1, 10**8), "scale": (1, 16), "shard_pairs": (1, 2**31 - 1),
    "tile_overlap": (1, 2**14),
}  # fmt: skip
"""Of the options, both ends included. More pairs would not fit into memory."""
USUAL: dict[str, Any] = {"alpha": "white", "tile_overlap": None, "name_prefix": "", "pass_flat": False, "grown": []}
"""What a plan's page names only where it is something else: plans that do without, or are older, keep their names."""
ORDER = ("seed", "pairs", "scale", "steps", "spacing", "solver", "eta", "start", "candidates", "filter", "shard_pairs",
         "save_candidates", "fusion_weight", "alpha", "noise", "references", "variety", "temperature", "learned",
         "tile_overlap", "name_prefix", "pass_flat", "grown", "tau")  # fmt: skip
"""In which a page names the options: its bytes are compared too."""


@dataclass(frozen=True)
class Options:
    """What `generate` was asked for, resolved: nothing left to a default."""

    seed: int  # 0..2^64-1
    pairs: int
    scale: int  # HR is scale times LR
    recipe: Recipe
    shard_pairs: int
    save_candidates: bool
    alpha: Alpha = "white"  # what becomes of partly transparent images
    tile_overlap: int | None = None  # LR pixels that tiles share at least; None: the LR is the networks' own size
    name_prefix: str = ""  # of every pair's name
    pass_flat: bool = False  # whether a flat crop of a reference gives way to another of the same photograph
    grown: tuple[int, ...] = ()  # how many pairs the set had each time before it was given more

    def __post_init__(self) -> None:
        if any(one >= more for one, more in zip((0, *self.grown), (*self.grown, self.pairs), strict=True)):
            raise DegradeError(f"grown is {list(self.grown)} of {self.pairs} pairs", wanted="sizes that grow")
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:  # NaN is never within
                raise DegradeError(f"{name} is {value}", wanted=f"{least} to {most}")

    def to_json(self) -> dict[str, Any]:
        """As a plan's page says it: the recipe's fields among its own."""
        facts = vars(self) | {"grown": list(self.grown)}
        own = {name: value for name, value in facts.items() if name not in USUAL or value != USUAL[name]}
        page = own | self.recipe.to_json()
        return {name: page[name] for name in ORDER if name in page}

    @classmethod
    def from_json(cls, page: dict[str, Any], where: str) -> Options:
        """What `to_json` wrote. where: names the page in the errors. Raises DegradeError."""
        own = {one.name for one in fields(Recipe)}
        recipe = Recipe.from_json({name: value for name, value in page.items() if name in own}, where)
        rest = {name: value for name, value in page.items() if name not in own}
        return artefact.from_json(cls, USUAL | rest | {"recipe": artefact.to_json(recipe)}, where)


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
    degrader: Degrader | None = None  # makes the start image where the recipe's is of its kind
    shares: Shares | None = None  # of the references, where a list gives them

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
        words = Words(self.options.seed, IMAGES).draw(pair, attempt, 7 + self._spare_words).tolist()
        if self.listed is None:
            hr_index = below(words[0], len(self.hr))
            reference_index = self._all.pick(words[3]) if self.reference else 0
        else:
            hr_index, reference_index = self.listed[pair].tolist()
            if hr_index < 0 or reference_index < 0:
                return None
        hr = self.hr[hr_index]
        picked = self._references(pair, attempt, reference_index, words[4:6] + words[7:])
        first = picked[0] if picked else None
        return Draw(
            pair=pair,
            attempt=attempt,
            hr=hr,
            hr_crop=crop_of(hr, self.hr_size, words[1], words[2], multiple=self.options.scale),
            reference=first and first[0],
            reference_crop=first and first[1][0],
            others=tuple((photograph, crops[0]) for photograph, crops in picked[1:]),
            noise_seed=noise_seed(words),
            spares=tuple(crops[1:] for _, crops in picked),
            cluster=None if first is None or self.shares is None else self.shares.clusters[reference_index],
        )

    @property
    def _spare_words(self) -> int:
        return 2 * SPARES if self.options.pass_flat else 0

    def _references(
        self, pair: int, attempt: int, index: int, words: list[int]
    ) -> list[tuple[Photograph, tuple[Crop, ...]]]:
        """The pair's references, each with its crop and the spare ones; none where the run reads none. index, words: of
        the first. The others are photographs of its folder (and cluster), each with one crop in the whole run, so that
        it is read once (sampling/references.py); one that comes again has another crop, the same in every pair. Of a
        pair list: crops of the first."""
        if not self.reference:
            return []
        first, size, more = self.reference[index], self.lr_size, self._spare_words
        found = [(first, crops_of(first, size, words))]
        seed, count = self.options.seed, self.options.recipe.references - 1
        if not count:
            return found
        words = Words(seed, OTHERS).draw(pair, attempt, (2 + more) * count).tolist()
        if self.listed is not None:
            own, spare = words[: 2 * count], words[2 * count :]
            each = [own[2 * n : 2 * n + 2] + spare[more * n : more * (n + 1)] for n in range(count)]
            return [*found, *((first, crops_of(first, size, some)) for some in each)]
        beside, crops, seen = self._groups[self._group(index)], Words(seed, CROPS), Counter[int]()
        for word in words[:count]:
            at = beside.pick(word)
            drawn = crops.draw(at, seen[at], 2 + more).tolist()
            seen[at] += 1
            found.append((self.reference[at], crops_of(self.reference[at], size, drawn)))
        return found

    @cached_property
    def _all(self) -> Choice:
        return self._choice(range(len(self.reference)))

    @cached_property
    def _groups(self) -> dict[tuple[str, Cluster], Choice]:
        """The references by `_group`."""
        found: dict[tuple[str, Cluster], list[int]] = {}
        for index in range(len(self.reference)):
            found.setdefault(self._group(index), []).append(index)
        return {group: self._choice(some) for group, some in found.items()}

    def _group(self, index: int) -> tuple[str, Cluster]:
        """A reference's folder, and its cluster where a list says one: what lies there shows one camera."""
        return folder_of(self.reference[index]), None if self.shares is None else self.shares.clusters[index]

    def _choice(self, some: Sequence[int]) -> Choice:
        return Choice(some, None if self.shares is None else [self.shares.weights[at] for at in some])

    @cached_property
    def taus(self) -> Column:
        """Noising steps of each pair: one tau for its candidates and for its replacements."""
        return Column(taus(self.options.seed, self.options.recipe.tau, 0, self.options.pairs))

    def steps(self, pair: int) -> int:
        """Network calls that a candidate of this pair takes."""
        return self.options.recipe.calls(self.taus[pair])

    @cached_property
    def all_steps(self) -> Column:
        """`steps` of each pair."""
        most = self.options.recipe.steps
        return self.taus if most is None else Column(np.minimum(self.taus.values, most))

    @property
    def parts(self) -> list[tuple[int, int]]:
        """First and last (not included) pair of each part of a set that has grown; of all others there is one. No batch
        goes over the end of a part, so a larger set has the shards of the smaller one."""
        ends = (*self.options.grown, self.options.pairs)
        return list(zip((0, *ends), ends, strict=False))

    @cached_property
    def order(self) -> Column:
        """All pairs as they are computed: part by part, sorted by number of steps, then by number."""
        steps = self.all_steps.values
        sorted_parts = [first + np.argsort(steps[first:last], kind="stable") for first, last in self.parts]
        return Column(np.concatenate(sorted_parts).astype(np.uint32))

    @property
    def batches(self) -> Sequence[tuple[int, ...]]:
        """The pairs of `order`, cut into batches of at most `batch`."""
        return Joined([Cut(Column(self.order.values[first:last]), self.batch) for first, last in self.parts])

    @property
    def shards(self) -> Sequence[tuple[tuple[int, ...], ...]]:
        """The batches, in order, grouped into shards of about `shard_pairs` pairs."""
        parts = (Column(self.order.values[first:last]) for first, last in self.parts)
        return Joined([Cut(Cut(part, self.batch), self._shard_batches) for part in parts])

    @property
    def shard_count(self) -> int:
        """How many shards there are; the order of pairs is not computed for it."""
        return self._first_shards[-1]

    @cached_property
    def _first_shards(self) -> list[int]:
        """The first shard of each part, and the number of all."""
        length = self._shard_batches * self.batch
        return [0, *accumulate(-(-(last - first) // length) for first, last in self.parts)]

    def _part_of(self, shard: int) -> int:
        return bisect_right(self._first_shards, shard) - 1

    @property
    def _shard_batches(self) -> int:
        return max(1, self.options.shard_pairs // self.batch)

    def shard_range(self, shard: int) -> tuple[int, int]:
        """First and last (not included) place in `order` of a shard's pairs."""
        part, length = self._part_of(shard), self._shard_batches * self.batch
        first, last = self.parts[part]
        at = first + (shard - self._first_shards[part]) * length
        return at, min(at + length, last)

    def shard_pairs(self, shard: int) -> list[int]:
        """Pairs of a shard, in computing order."""
        return [pair for batch in self.shards[shard] for pair in batch]

    def useful_share(self) -> float:
        """Row-steps that move a pair over row-steps that a full batch executes, 0..1; 1 when nothing is to be
        done.
        """
        useful, executed = self.row_steps()
        return useful / executed if executed else 1.0

    def row_steps(self) -> tuple[int, int]:
        """(useful, executed) row-steps of all batches, for one candidate a pair."""
        found = [plan_row_steps(self.all_steps[first:last], self.batch) for first, last in self.parts]
        return sum(useful for useful, _ in found), sum(executed for _, executed in found)

    @property
    def sha256(self) -> str:
        """Hash of the plan's page."""
        return self._hashes[-1]

    def names(self, shard: int) -> tuple[str, ...]:
        """The plans that have this shard, by their hashes: this one, and of a set that has grown those before it."""
        return self._hashes[self._part_of(shard) :]

    @cached_property
    def _hashes(self) -> tuple[str, ...]:
        return tuple(map(sha256_json, pages_of(self.to_json())))

    def to_json(self) -> dict[str, Any]:
        """The small page that names this plan; two runs with the same page make the same bytes."""
        settings = self.options.to_json()
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
            **({} if self.shares is None else {"reference_weights": digest_of(self.shares.lines())}),
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
    refused: Sequence[Reject] = (),
    shares: Shares | None = None,
) -> Plan:
    """A plan for these usable photographs. hr, reference: sorted by path; reference None: the run reads none. refused:
    the others. shares: of the references, as they come. Raises DegradeError where no pair can be made, and says why.
    """
    without_networks = degrader is not None and engine == degrader.sha256
    larger = "a smaller --lr-size" if without_networks else f"an engine built for an --lr-size smaller than {lr_size}"
    for role, name, found, size in (
        ("hr", "HR", hr, lr_size * options.scale), ("reference", "reference", reference, lr_size),
    ):  # fmt: skip
        if found is not None and not found:
            why = _why(one for one in refused if one.role == role)
            wanted = f"at least one photograph of {size}x{size} pixels or more"
            small = all(one.reason == "too_small" for one in refused if one.role == role)
            mend = f"give larger photographs, or {larger}" if small else "give others, or mend these"
            raise DegradeError(f"there is no usable {name} image{why}", wanted=wanted, mend=mend)
    indices = None if listed is None else np.array(listed, np.int32).reshape(-1, 2)
    if indices is not None and not (indices >= 0).all(axis=1).any():
        both = "a usable HR image" if reference is None else "both a usable HR and a usable reference image"
        raise DegradeError(f"no pair of the list has {both}{_why(refused)}")
    return Plan(options, lr_size, batch, engine, hr, reference or (), indices, degrader, shares if reference else None)


def folder_of(photograph: Photograph) -> str:
    """Of its path within its place; "" at the top."""
    return photograph.path.rpartition("/")[0]


def _why(refused: Iterable[Reject]) -> str:
    """How many were refused for which reason, and what is said of the first; nothing where none was."""
    rejects = list(refused)
    if not rejects:
        return ""
    counts = Counter(one.reason for one in rejects)
    first = rejects[0].detail.rstrip(".")
    if rejects[0].path.rsplit("/", 1)[-1] not in first:
        first = f"{rejects[0].path}: {first}"
    return f" ({', '.join(f'{count} {reason}' for reason, count in sorted(counts.items()))}; {first})"


def default_shard_pairs(pairs: int, batch: int) -> int:
    """An eighth of the run in whole batches, MOST_SHARD_PAIRS at most: what a stopped run has to repeat."""
    eighth = -(-pairs // (8 * batch)) * batch
    return max(batch, min(MOST_SHARD_PAIRS, eighth))
