"""The report's charts: how fast and by which stage the pairs came, their start steps, and how the filter chose."""

from __future__ import annotations

from dataclasses import dataclass

from . import figures
from .figures import figure
from .finished import Finished, Row


@dataclass(frozen=True)
class Chart:
    """A figure with its words. drawn: SVG; legend: of the kept and the others."""

    title: str
    note: str
    drawn: str
    legend: bool = False


def charts(run: Finished) -> list[Chart]:
    """The figures: how fast and by which stage; tau, and where there are scores, how the filter chose."""
    page = run.page
    if not page.pairs:
        return []
    parts = [_speed(page.timeline), _stages(page.seconds)]
    if run.plan.tau != "0:0":
        taus = figures.histogram(_counts(page.taus), "τ")
        parts.append(Chart("Start steps", "How much noise each pair's start image got", taus))
    kept, others = (_counts(getattr(page.scores, one)) for one in ("kept", "others"))
    if kept:
        bars = figures.two_histograms(kept, others, page.scores.bins, "score")
        parts.append(Chart("Scores", "All candidates; smaller is better, the axis is logarithmic", bars, legend=True))
        parts += _chosen(run.sample)
    return parts


def _speed(timeline: list[dict[str, float]]) -> Chart:
    walls = [max(one["wall"], 1e-3) for one in timeline]
    rates = [one["pairs"] / wall for one, wall in zip(timeline, walls, strict=True)]
    drawn = figures.steps(walls, rates, "seconds of work")
    return Chart("Speed", "Pairs a second; pairs with more steps come later", drawn)


def _stages(seconds: dict[str, float]) -> Chart:
    wall = seconds["wall"] or 1.0
    engine = {"Engine at work": "engine", "waits for inputs": "starved", "waits for files": "blocked"}
    threads = {"Reading": "decode", "Start images": "degrade", "Encoding, writing": "write"}
    bars = {name: (seconds[key] / wall, f"{100 * seconds[key] / wall:.1f} %", "bar") for name, key in engine.items()}
    bars |= {name: (seconds[key] / wall, f"{figure(seconds[key])} s", "other") for name, key in threads.items()}
    note = f"Of {figure(wall)} s; the threads beside the engine in their own seconds"
    return Chart("Time by stage", note, figures.lying(bars))


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
    if not kept:
        return []
    ranks = figures.ranked(kept, others, "pairs, best first")
    dots = figures.scatter(points, rest, "degradation error", "content error")
    return [
        Chart("Choice", "Each pair's candidates", ranks, legend=True),
        Chart("Two errors", "Each dot a candidate; content error upwards", dots, legend=True),
    ]


def _counts(page: dict[str, int]) -> dict[int, int]:
    return {int(key): count for key, count in page.items()}
