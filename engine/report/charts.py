"""The report's charts: spectra, how the filter chose, how fast and by which stage the pairs came.

What would be a single bar or a single step is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import figures
from .figures import figure
from .finished import Finished, Row
from .measures import BANDS
from .verdict import Column

KEPT = {"kept": "kept", "other": "not kept"}


@dataclass(frozen=True)
class Chart:
    """A figure with its words. drawn: SVG; legend: words by class."""

    title: str
    note: str
    drawn: str
    legend: dict[str, str]


def spectra(columns: list[Column]) -> Chart | None:
    """The mean spectrum of each kind of image."""
    curves = {one.key: list(one.spectrum) for one in columns if one.spectrum is not None}
    if not curves:
        return None
    drawn = figures.lines(curves, 0.5, "cycles per pixel", "Power in dB")
    legend = {one.key: one.label for one in columns if one.key in curves}
    bands = f"Mean power of luma in {BANDS} bands, dB over the coarse ones (1/16 to 1/8 cycle per pixel)"
    return Chart("Spectrum", bands, drawn, legend)


def choices(run: Finished) -> list[Chart]:
    """Start steps, and how the filter chose among candidates."""
    page, parts = run.page, list[Chart]()
    taus, kept, others = (_counts(counts) for counts in (page.taus, page.scores.kept, page.scores.others))
    if run.plan.tau != "0:0" and len(taus) > 1:
        drawn = figures.histogram(taus, "τ")
        parts.append(Chart("Start steps", "How much noise each pair's start image got", drawn, {}))
    if kept and len(kept.keys() | others.keys()) > 1:
        bars = figures.two_histograms(kept, others, page.scores.bins, "score")
        parts.append(Chart("Scores", "All candidates; smaller is better, the axis is logarithmic", bars, KEPT))
    return parts + _chosen(run.sample)


def telemetry(run: Finished) -> list[Chart]:
    """How fast the pairs came, and by which stage."""
    page = run.page
    if not page.pairs:
        return []
    speed = [_speed(page.timeline)] if len(page.timeline) > 1 else []
    return [*speed, _stages(page.seconds, run.plan.tau != "0:0")]


def _speed(timeline: list[dict[str, float]]) -> Chart:
    walls = [max(one["wall"], 1e-3) for one in timeline]
    rates = [one["pairs"] / wall for one, wall in zip(timeline, walls, strict=True)]
    drawn = figures.steps(walls, rates, "seconds of work")
    return Chart("Speed", "Pairs per second; pairs with more steps come later", drawn, {})


def _stages(seconds: dict[str, float], networks: bool) -> Chart:
    """networks: whether any ran."""
    wall = seconds["wall"] or 1.0
    engine = {"Engine at work": "engine", "waits for inputs": "starved", "waits for files": "blocked"}
    threads = {"Reading": "decode", "LR by degrader" if not networks else "Start images": "degrade",
               "Encoding, writing": "write"}  # fmt: skip
    top = max(wall, *(seconds[key] for key in threads.values()))
    bars = {name: (seconds[key] / top, f"{100 * seconds[key] / wall:.1f} %", "bar")
            for name, key in engine.items() if networks}  # fmt: skip
    bars |= {name: (seconds[key] / top, f"{figure(seconds[key])} s", "other") for name, key in threads.items()}
    note = f"The run took {figure(wall)} s; the threads are counted in their own seconds"
    return Chart("Time by stage", note, figures.lying(bars), {})


def _chosen(sample: list[Row]) -> list[Chart]:
    """How the filter chose among the candidates of some pairs."""
    kept, others, points, rest = [], [], [], []
    for row in sample:
        best = row.candidates[row.kept].scored
        left = [one for at, each in enumerate(row.candidates) if at != row.kept and (one := each.scored)]
        if best:
            kept.append(best[0])
            others.append([one[0] for one in left])
            points.append(best[1:])
            rest += [one[1:] for one in left]
    if len(kept) < 2:
        return []
    ranks = figures.ranked(kept, others, "pairs, best first")
    dots = figures.scatter(points, rest, "degradation error", "content error")
    return [
        Chart("Choice", "Each pair's candidates", ranks, KEPT),
        Chart("Two errors", "Each dot a candidate; content error upwards", dots, KEPT),
    ]


def _counts(page: dict[str, int]) -> dict[int, int]:
    return {int(key): count for key, count in page.items()}
