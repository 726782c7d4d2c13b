"""Is B faster than A, given how much both scatter? And are two rows of one measurement different?

Timings of two versions in one run, in turn A B B A A B B A ..., so that what drifts on the machine meets both alike.
Each round gives one ratio; their logarithms' mean has a t interval (Kalibera and Jones, "Rigorous benchmarking in
reasonable time", ISMM 2013, ask for no less: a size of the effect with its uncertainty, not a test alone).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from degrade_engine.engine.errors import DegradeError

from .rows import IDENTITY

LEVEL = 0.95
LEAST = 4  # rounds: below, a t interval says nothing
Said = Literal["faster", "slower", "no difference to be seen"]


@dataclass(frozen=True)
class Verdict:
    """B's time over A's, its 95 % interval, and what that says of B. rounds: how many ratios it rests on."""

    said: Said
    ratio: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        span = f"{self.low:.3f} to {self.high:.3f}, 95 % of {self.rounds} rounds"
        if self.said == "no difference to be seen":
            return f"no difference to be seen at this noise: B takes {self.ratio:.3f} times as long ({span})"
        return f"B is {self.said}: it takes {self.ratio:.3f} times as long ({span})"


def order(rounds: int) -> str:
    """Who runs when: "ABBAABBA...", a pair of letters a round."""
    return "".join("AB" if n % 2 == 0 else "BA" for n in range(rounds))


def timings(a: Sequence[float], b: Sequence[float]) -> Verdict:
    """The verdict on seconds of A and of B, one of each a round.

    Raises DegradeError for lists that do not fit, too few rounds, or times that are not above 0.
    """
    from scipy.stats import t

    if len(a) != len(b) or len(a) < LEAST:
        raise DegradeError(f"{len(a)} times of A and {len(b)} of B came", wanted=f"as many of each, {LEAST} or more")
    if min(*a, *b) <= 0 or not math.isfinite(sum(a) + sum(b)):
        raise DegradeError("a time is not above 0", wanted="seconds")
    logs = np.log(np.asarray(b, np.float64) / np.asarray(a, np.float64))
    n, mean = len(logs), float(logs.mean())
    reach = float(t.ppf((1 + LEVEL) / 2, n - 1) * logs.std(ddof=1) / math.sqrt(n))
    ratio, low, high = (math.exp(x) for x in (mean, mean - reach, mean + reach))
    said: Said = "faster" if high < 1 else "slower" if low > 1 else "no difference to be seen"
    return Verdict(said, ratio, low, high, n)


# ---- two files of rows ----

BETTER = {  # figure -> which way is better
    "psnr_db": "up", "psnr_y_db": "up", "ssim": "up", "ssim_y": "up", "images_a_second": "up", "clip_score": "up",
    "laplacian_gap": "down", "noise_gap": "down", "spectrum_db": "down", "frechet_e_deg": "down",
    "frechet_random": "down", "lpips": "down", "dists": "down", "fid": "down",
    "p50_s_a_pair": "down", "p95_s_a_pair": "down", "mean_s": "down", "mean_cpu_s": "down", "mean_error_grey": "down",
}  # fmt: skip
NAMING = (*IDENTITY, "batch", "name", "kind", "preset", "fusion_weight", "precision", "tau", "steps", "solver", "start",
          "reference", "what", "model", "adapted", "threads", "extractor", "alpha")  # fmt: skip
"""What says which measurement a row is, where it is not one of quality."""


@dataclass(frozen=True)
class Change:
    """One figure of one measurement, before and after. beyond: the two intervals do not touch; None: there are none."""

    row: str
    figure: str
    before: float
    after: float
    beyond: bool | None

    @property
    def said(self) -> str:
        """better, worse or the same; and whether that is more than the scenes scatter."""
        if self.before == self.after:
            return "the same"
        better = (self.after > self.before) == (BETTER[self.figure] == "up")
        noise = {None: "", True: ", beyond both intervals", False: ", within the intervals"}[self.beyond]
        return ("better" if better else "worse") + noise


def changes(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> tuple[list[Change], list[str]]:
    """(figures of rows that both files have, the names of rows that only one has). Raises DegradeError where two rows
    of one file cannot be told apart."""
    old, new = _named(before, "A"), _named(after, "B")
    found = []
    for name in old:
        for figure in BETTER if name in new else ():
            a, b = old[name], new[name]
            if isinstance(a.get(figure), int | float) and isinstance(b.get(figure), int | float):
                found.append(Change(name, figure, a[figure], b[figure], _apart(a, b, figure)))
    alone = [f"only in A: {name}" for name in old.keys() - new.keys()]
    return found, sorted(alone + [f"only in B: {name}" for name in new.keys() - old.keys()])


def _named(rows: Sequence[dict[str, Any]], which: str) -> dict[str, dict[str, Any]]:
    named: dict[str, dict[str, Any]] = {}
    for row in rows:
        of_quality = {"generator", "setting"} <= row.keys()
        keys = [key for key in (IDENTITY if of_quality else NAMING) if key != "candidates" or row.get("setting", True)]
        # references.jsonl has figures under `reference`
        said = {key: row[key] for key in keys if row.get(key) not in (None, {}) and not _figures(row[key])}
        name = ", ".join(f"{key} {value}" for key, value in said.items())
        if name in named:
            raise DegradeError(f"two rows of {which} measure the same: {name}", wanted="one row a measurement")
        named[name] = row
    return named


def _figures(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, float) for one in value.values())


def _apart(a: dict[str, Any], b: dict[str, Any], figure: str) -> bool | None:
    name = f"{figure.removesuffix('_db')}_interval"
    if name not in a or name not in b:
        return None
    (low_a, high_a), (low_b, high_b) = a[name], b[name]
    return bool(high_a < low_b or high_b < low_a)
