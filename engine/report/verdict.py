"""Is it good? What a run's LR are like beside bicubic and beside its references, in numbers and in a sentence.

A difference counts as none where its whole 95 % interval lies within what `Measure.alike` allows, and as one where the
interval leaves out 0. Otherwise the photographs are too few to tell, and the sentence says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from .figures import figure
from .finished import Finished
from .looked import Pair
from .measures import MEASURES, SMALLEST, Floats, Mean, Measure, Measured, mean

Outcome = Literal["low", "same", "high", "unsure"]


@dataclass(frozen=True)
class Column:
    """One kind of image. key: bicubic, lr, second or real (a class of the style sheet, too); label: as it is called;
    means: by measure, None where no image could tell; spectrum: mean over its images, [BANDS] dB, None for none; edges:
    likewise, as `measures.edge_profile` has them."""

    key: str
    label: str
    means: dict[str, Mean | None]
    spectrum: Floats | None
    edges: Floats | None = None


@dataclass(frozen=True)
class Verdict:
    """The table, and what it says. outcomes: (LR's column, other column) -> measure -> what LR are beside it."""

    columns: list[Column]
    outcomes: dict[tuple[str, str], dict[str, Outcome]]
    sentences: list[str]

    def column(self, key: str) -> Column | None:
        return next((one for one in self.columns if one.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """Means with their intervals, outcomes and sentences."""
        return {
            "sentences": self.sentences,
            "columns": {
                one.key: {"label": one.label, **{key: json_of(value) for key, value in one.means.items()}}
                for one in self.columns
            },
            "outcomes": {f"{one} to {other}": said for (one, other), said in self.outcomes.items()},
            "spectrum_db": {
                one.key: one.spectrum.round(3).tolist() for one in self.columns if one.spectrum is not None
            },
            "edge_percent": {one.key: one.edges.round(3).tolist() for one in self.columns if one.edges is not None},
        }


def judge(run: Finished, looked: Sequence[Pair], second: tuple[Finished, Sequence[Pair]] | None = None) -> Verdict:
    """looked: pairs of the run; second: another run and its pairs of the same names, in the same order."""
    lrs = {"lr": [one.of_lq for one in looked]} | ({"second": [one.of_lq for one in second[1]]} if second else {})
    labels = {"bicubic": "Bicubic", "lr": "LR", "real": "References"} | ({"lr": "LR of A", "second": "LR of B"}
                                                                         if second else {})  # fmt: skip
    content = {"bicubic": [one.of_bicubic for one in looked]} | lrs
    columns = columns_of(content, labels, [one.row.hr.path for one in looked])
    real = [one for one in [*looked, *(second[1] if second else ())] if one.of_reference and one.row.reference]
    if real:
        paths = [one.row.reference.path for one in real if one.row.reference]
        columns += columns_of({"real": [one.of_reference for one in real]}, labels, paths, seed=1)
    by_key = {one.key: one for one in columns}
    other = "real" if real else "bicubic"
    beside = [(key, other) for key in lrs]
    if second:
        beside.append(("lr", "second"))
    elif real:
        beside.append(("lr", "bicubic"))
    outcomes = {(one, two): outcomes_of(by_key[one], by_key[two]) for one, two in beside}
    return Verdict(columns, outcomes, list(_sentences(run, by_key, outcomes)))


def outcome(of: Measure, one: Mean, other: Mean) -> Outcome:
    """What a mean is beside another."""
    span = one.against(other)
    if span is None:
        return "unsure"
    reach = max(of.alike, of.share * abs(other.value))
    if -reach <= span[0] and span[1] <= reach:
        return "same"
    return "high" if span[0] > 0 else "low" if span[1] < 0 else "unsure"


def columns_of(
    images: dict[str, list[Measured | None]], labels: dict[str, str], photographs: Sequence[str], seed: int = 0
) -> list[Column]:
    """Columns of images that belong together, one of each kind per photograph: all count where all can tell."""
    means: dict[str, dict[str, Mean | None]] = {key: {} for key in images}
    for of in MEASURES:
        values = np.array([[one.values[of.key] if one else np.nan for one in column] for column in images.values()])
        known = ~np.isnan(values).any(axis=0)
        names = [name for name, there in zip(photographs, known, strict=True) if there]
        for key, row in zip(images, values, strict=True):
            means[key][of.key] = mean(row[known].tolist(), names, seed)
    found = []
    for key, column in images.items():
        curves = [one.spectrum for one in column if one]
        edges = [one.edges for one in column if one and not np.isnan(one.edges).any()]
        found.append(Column(key, labels[key], means[key], *(np.mean(some, axis=0) if some else None
                                                            for some in (curves, edges))))  # fmt: skip
    return found


def outcomes_of(one: Column, other: Column) -> dict[str, Outcome]:
    both = ((of, one.means[of.key], other.means[of.key]) for of in MEASURES)
    return {of.key: outcome(of, a, b) for of, a, b in both if a and b}


# ---- words ----


def _sentences(
    run: Finished, columns: dict[str, Column], outcomes: dict[tuple[str, str], dict[str, Outcome]]
) -> Iterable[str]:
    lr = columns["lr"]
    if not any(lr.means.values()):
        yield (f"LR of {run.plan.lr_size} px are too small to measure; {SMALLEST} px are needed."
               if run.plan.lr_size < SMALLEST else "There is nothing to measure.")  # fmt: skip
        return
    subjects = {"lr": "LR of A" if "second" in columns else "LR", "second": "LR of B"}
    if "real" not in columns:
        yield (
            "This run had no references, so LR are compared with bicubic alone; only real photographs can tell whether "
            "LR are like a camera's." if not run.plan.reference.images else
            "The references are not in this run's folder (generate with --save-candidates to keep them), so LR are "
            "compared with bicubic alone."
        )  # fmt: skip
    for (key, other), found in outcomes.items():
        with_ = {"real": "the references", "bicubic": "bicubic", "second": "those of B"}[other]
        yield compared(subjects[key], with_, found)
    yield _figures(columns)


def compared(subject: str, other: str, found: dict[str, Outcome]) -> str:
    """Such as "LR are as sharp and as noisy as the references, but blockier. Fine detail cannot be told apart: …"."""
    by: dict[str, list[Measure]] = {kind: [] for kind in get_args(Outcome)}
    for of in MEASURES:
        if of.key in found and of.first:
            by[found[of.key]].append(of)
    differ = differences(found, [of for of in MEASURES if of.first])
    if by["same"]:
        said = f"{subject} are {listed([of.same for of in by['same']])} as {other}"
        said += f", but {listed(differ)}." if differ else "."
    else:
        said = f"{subject} are {listed(differ)} than {other}." if differ else ""
    if by["unsure"]:
        names = listed([of.name if at == 0 else of.name.lower() for at, of in enumerate(by["unsure"])])
        if not said:
            said = f"There are too few photographs to tell {subject} from {other}: the intervals are wide."
        else:
            said += f" {names} cannot be told apart with so few photographs."
    return said


def differences(found: dict[str, Outcome], of: Sequence[Measure] = MEASURES) -> list[str]:
    """Such as ["softer", "noisier"]."""
    return [one.low if found[one.key] == "low" else one.high for one in of if found.get(one.key) in ("low", "high")]


def listed(words: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _figures(columns: dict[str, Column]) -> str:
    """Sharpness by bicubic's, and noise, of all."""
    parts = []
    bicubic = columns["bicubic"].means["sharpness"]
    names = {"lr": "A" if "second" in columns else "LR", "second": "B", "real": "references"}
    if bicubic and bicubic.value > 0:
        ratios = [(names[key], one.ratio(bicubic)) for key in names
                  if key in columns and (one := columns[key].means["sharpness"])]  # fmt: skip
        said = [f"{name} {value:.2f}{_between(span, 2)}" for name, (value, span) in ratios]
        parts.append(f"Sharpness over bicubic's: {', '.join(said)}.")
    names["bicubic"] = "bicubic"
    said = [f"{name} {one.value:.1f}{_between(one.interval, 1)}" for key, name in names.items()
            if key in columns and (one := columns[key].means["noise"])]  # fmt: skip
    if said:
        parts.append(f"Noise in grey levels: {', '.join(said)}.")
    return " ".join(parts)


def _between(span: tuple[float, float] | None, digits: int) -> str:
    return f" ({span[0]:.{digits}f} to {span[1]:.{digits}f})" if span else ""


def shown(value: Mean | None) -> tuple[str, str]:
    """A mean and its interval for the table."""
    if value is None:
        return "–", "cannot be measured"
    edges = [figure(edge).replace("-", "−") for edge in (value.value, *(value.interval or ()))]
    return edges[0], " to ".join(edges[1:]) or "too few photographs for an interval"


def json_of(value: Mean | None) -> dict[str, Any] | None:
    if value is None:
        return None
    span = [round(edge, 5) for edge in value.interval] if value.interval else None
    return {"mean": round(value.value, 5), "interval": span, "spread": round(value.spread, 5), "images": value.images,
            "photographs": value.photographs}  # fmt: skip
