"""Is a set of pairs like a camera? The report's measures of its LR, of bicubic of the same HR and of any photographs of
the camera; two distances that take no side; and what to do about the differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..inputs.inventory import Inventory, scan
from ..inputs.places import Where
from .filters import detail_features
from .frechet import Distance, Moments, between, distance, halves
from .gathered import SIDES, Gathered, gather
from .measures import BY_KEY, MEASURES, Measured, distances, measure
from .verdict import Outcome, Verdict, columns_of, differences, listed, outcomes_of

LOOKED = 96  # crops of the set and of the camera, at most
LUMA_OF_WHITE = 0.6685  # luma's noise for white noise of 1 in R, G and B: the root of .299² + .587² + .114²
LIKE_NOISE = ("noise_dark", "noise_middle", "noise_bright")  # said only where noise itself is not
LABELS = {"lr": "LR", "bicubic": "Bicubic", "real": "Camera"}


@dataclass(frozen=True)
class Far:
    """How far LR and bicubic are from the camera, and two halves of its photographs from one another: chance. measures:
    mean of `measures.distances`; frechet: of fine detail. halves: None for fewer than ten photographs."""

    measures: dict[str, float]
    frechet: dict[str, Distance]
    halves: tuple[float, float] | None

    @property
    def near(self) -> bool:
        """Whether LR are as near as chance lets tell."""
        lr = self.measures["lr"], self.frechet["lr"].value
        return self.halves is not None and all(one <= two for one, two in zip(lr, self.halves, strict=True))

    def to_json(self) -> dict[str, Any]:
        return {
            "measures": {key: round(value, 4) for key, value in self.measures.items()},
            "frechet": {key: {"distance": round(one.value, 5),
                              "interval": one.interval and [round(edge, 5) for edge in one.interval]}
                        for key, one in self.frechet.items()},
            "halves": self.halves and {"measures": round(self.halves[0], 4), "frechet": round(self.halves[1], 5)},
        }  # fmt: skip


@dataclass(frozen=True)
class Match:
    """folder: of the set; against: the camera's photographs; far: None where it was not asked for."""

    folder: Path
    against: str
    gathered: Gathered
    verdict: Verdict
    far: Far | None

    @property
    def beside(self) -> dict[str, Outcome]:
        """What LR are beside the camera, by measure."""
        return self.verdict.outcomes["lr", "real"]

    @property
    def sentence(self) -> str:
        """Which measures differ, and what to do."""
        return self.verdict.sentences[0]

    def to_json(self) -> dict[str, Any]:
        """The page of --json."""
        seen, found = self.gathered, self.verdict.to_json()
        del found["sentences"]
        return {
            "format": "degrade-engine/match/1", "pairs": str(self.folder), "against": self.against,
            "sentence": self.sentence, "crop": seen.side,
            "images": {"lr": len(seen.lq), "real": len(seen.camera)},
            "photographs": {"lr": len(set(seen.scenes)), "real": len(set(seen.shots))},
            **found, "distance": self.far and self.far.to_json(), "left_out": seen.left_out,
        }  # fmt: skip


def match(folder: Path, against: Where | Inventory, *, most: int = LOOKED, seed: int = 0, whole: bool = True) -> Match:
    """Compare the pairs of a folder, as `check` reads them, with photographs of a camera. most: crops of each;
    whole: whether `Far` is found, too. Raises DegradeError where there is nothing to compare."""
    there = against if isinstance(against, Inventory) else scan(against, (SIDES[-1], SIDES[-1]), role="reference")
    seen = gather(folder, there, most, seed)
    measured = {key: [measure(one) for one in images]
                for key, images in (("bicubic", seen.bicubic), ("lr", seen.lq), ("real", seen.camera))}  # fmt: skip
    real = {"real": measured["real"]}
    both = {key: measured[key] for key in ("bicubic", "lr")}
    columns = columns_of(both, LABELS, seen.scenes) + columns_of(real, LABELS, seen.shots, seed=1)
    by_key = {one.key: one for one in columns}
    outcomes = {(key, "real"): outcomes_of(by_key[key], by_key["real"]) for key in ("lr", "bicubic")}
    apart = far(seen, measured, seed) if whole else None
    verdict = Verdict(columns, outcomes, [])
    verdict = Verdict(columns, outcomes, [sentence(verdict, near=apart is not None and apart.near)])
    return Match(folder, there.place.name, seen, verdict, apart)


def far(seen: Gathered, measured: Mapping[str, Sequence[Measured | None]], seed: int = 0) -> Far:
    """measured: the same images, as lr, bicubic and real."""
    real = Moments(detail_features(seen.camera))
    moments = {"lr": Moments(detail_features(seen.lq)), "bicubic": Moments(detail_features(seen.bicubic))}
    frechet = {key: distance(one, seen.scenes, real, seen.shots, seed) for key, one in moments.items()}
    by_measure = {key: together(measured[key], measured["real"]) for key in moments}
    chance = [(together(*([measured["real"][at] for at in half] for half in two)), between(real, *two))
              for two in halves(seen.shots, seed)]  # fmt: skip
    means = np.mean(chance, axis=0).tolist() if chance else None
    return Far(by_measure, frechet, means and (means[0], means[1]))


def together(one: Sequence[Measured | None], other: Sequence[Measured | None]) -> float:
    """One number of `measures.distances`; nan where no measure can be told."""
    found = list(distances(one, other).values())
    return float(np.mean(found)) if found else np.nan


# ---- words ----


def sentence(verdict: Verdict, near: bool = False) -> str:
    """Such as "LR are sharper and less noisy than the camera's: give references of this camera, and …". near: whether
    they are, on the whole, as near as the camera's photographs are to one another."""
    found = dict(verdict.outcomes["lr", "real"])
    if found.get("noise") in ("low", "high"):
        found = {key: value for key, value in found.items() if key not in LIKE_NOISE or value != found["noise"]}
    differ = differences(found)
    unsure = [of.name.lower() for of in MEASURES if found.get(of.key) == "unsure" and of.first]
    few = f"there are too few photographs to tell {listed(unsure)}" if unsure else ""
    whole = "LR are as near to the camera's photographs as those are to one another"
    if not differ:
        if near:
            return f"{whole}; {few}." if few else f"{whole}."
        if all(value == "unsure" for value in found.values()):
            return "There are too few photographs to tell LR from the camera's: give more of both."
        return f"LR are like the camera's in what can be told, but {few}." if few else (
            "LR are like the camera's by every measure.")  # fmt: skip
    said = f"{whole}, though {listed(differ)}" if near else f"LR are {listed(differ)} than the camera's"
    said += f": {', and '.join(advice(verdict))}"
    return f"{said}; {few}." if few else f"{said}."


def advice(verdict: Verdict) -> Iterator[str]:
    """What to do about the differences."""
    found = verdict.outcomes["lr", "real"]
    lr, real = ({key: one.value for key, one in column.means.items() if one}
                for column in (verdict.column("lr"), verdict.column("real")) if column)  # fmt: skip
    sharp = found.get("sharpness")
    if sharp not in ("low", "high"):
        sharp = found.get("spectrum")
    noise = found.get("noise")
    some = False
    if sharp in ("low", "high") or found.get("middle") in ("low", "high"):
        some = True
        yield "generate with references of this camera (--reference), which decide the blur"
    if noise == "low":
        some = True
        yield f"add noise (--noise {np.sqrt(max(0.0, real['noise'] ** 2 - lr['noise'] ** 2)) / LUMA_OF_WHITE:.1f})"
    elif noise == "high":
        some = True
        yield "add less noise (--noise), or take HR with less of it"
    if found.get("blocks") == "high":
        some = True
        yield "leave out HR that show the blocks of JPEG"
    cannot = [key for key in ("halo", "blocks") if found.get(key) == "low"]
    cannot += [key for key in ("colour", "chroma", "tint", "grain") if found.get(key) in ("low", "high")]
    if cannot and noise not in ("low", "high"):
        some = True
        names = listed([BY_KEY[key].name.lower() for key in cannot])
        yield f"try --degrader camera, which draws {names}"
    if not some:
        yield "look at the pairs (`degrade-engine report`), since no option changes this alone"
