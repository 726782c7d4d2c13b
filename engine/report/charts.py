"""The report's charts: how fast and by which stage the pairs came, their start steps, and how the filter chose."""

from __future__ import annotations

from . import figures
from .figures import figure
from .finished import Row, Run

LEGEND = '<div class="legend"><span><i class="kept"></i>kept</span><span><i></i>not kept</span></div>'


def charts(run: Run) -> str:
    """The figures: how fast and by which stage; tau, and where there are scores, how the filter chose."""
    page = run.page
    if not page.pairs:
        return ""
    parts = [_speed(page.timeline), _stages(page.seconds)]
    if run.plan.tau != "0:0":
        taus = figures.histogram(_counts(page.taus), "τ")
        parts.append(_figure("Start steps", "How much noise each pair's start image got", taus))
    kept, others = (_counts(getattr(page.scores, one)) for one in ("kept", "others"))
    if kept:
        bars = figures.two_histograms(kept, others, page.scores.bins, "score")
        parts.append(_figure("Scores", "All candidates; smaller is better, the axis is logarithmic", bars + LEGEND))
        parts += _chosen(run.sample)
    return f'<div class="figures">{"".join(parts)}</div>'


def _speed(timeline: list[dict[str, float]]) -> str:
    walls = [max(one["wall"], 1e-3) for one in timeline]
    rates = [one["pairs"] / wall for one, wall in zip(timeline, walls, strict=True)]
    drawn = figures.steps(walls, rates, "seconds of work")
    return _figure("Speed", "Pairs a second; pairs with more steps come later", drawn)


def _stages(seconds: dict[str, float]) -> str:
    wall = seconds["wall"] or 1.0
    engine = {"Engine at work": "engine", "waits for inputs": "starved", "waits for files": "blocked"}
    threads = {"Reading": "decode", "Start images": "degrade", "Encoding, writing": "write"}
    bars = {name: (seconds[key] / wall, f"{100 * seconds[key] / wall:.1f} %", "bar") for name, key in engine.items()}
    bars |= {name: (seconds[key] / wall, f"{figure(seconds[key])} s", "other") for name, key in threads.items()}
    note = f"Of {figure(wall)} s; the threads beside the engine in their own seconds"
    return _figure("Time by stage", note, figures.lying(bars))


def _chosen(sample: list[Row]) -> list[str]:
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
        _figure("Choice", "Each pair's candidates", ranks + LEGEND),
        _figure("Two errors", "Each dot a candidate; content error upwards", dots + LEGEND),
    ]


def _counts(page: dict[str, int]) -> dict[int, int]:
    return {int(key): count for key, count in page.items()}


def _figure(title: str, note: str, body: str) -> str:
    return f'<figure class="figure"><figcaption>{title}<span>{note}</span></figcaption>{body}</figure>'
