"""The report's figures as inline SVG: strings out, no library, colours left to the page's style sheet.

All are drawn on a 440 x 240 canvas that the page scales to its column, with text large enough for a phone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from .. import svg

WIDTH, HEIGHT = 440.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 10.0, 40.0  # margins that hold the labels
MOST_DOTS = 900  # of a figure: more says nothing more and makes the page heavy


def histogram(counts: Mapping[int, int], label: str) -> str:
    """Bars of how often each whole number came; wide ranges are gathered into at most 40 bars."""
    low, high = min(counts), max(counts)
    span = max(1, math.ceil((high - low + 1) / 40))
    bins = Counter[int]()
    for value, count in counts.items():
        bins[(value - low) // span] += count
    count = (high - low) // span + 1
    top = nice(max(bins.values()))
    slot = (WIDTH - LEFT - RIGHT) / count
    width = min(slot * 0.78, 36.0)
    parts = [_grid(0, top)]
    for at in range(count):
        height = (HEIGHT - TOP - BOTTOM) * bins[at] / top
        x = LEFT + slot * (at + 0.5) - width / 2
        first, last = low + at * span, min(high, low + (at + 1) * span - 1)
        said = f"{label} {first}" if first == last else f"{label} {first} to {last}"
        parts.append(
            f'<rect class="bar" x="{x:.1f}" y="{HEIGHT - BOTTOM - height:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="2"><title>{escape(said)}: {bins[at]}</title></rect>'
        )
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, high + 1) if count * span <= 9 * step)
    for at in range(count):
        first = low + at * span
        tick = -(-first // every) * every  # the first multiple in this bar, if any
        if tick < min(first + span, high + 1):
            parts.append(_text(LEFT + slot * (at + 0.5), HEIGHT - BOTTOM + 18, str(tick), "middle"))
    return _svg(f"Histogram of {label}", parts, label)


def two_histograms(front: Mapping[int, int], behind: Mapping[int, int], a_decade: int, label: str) -> str:
    """Bars of two sets of numbers on one logarithmic axis: bin b holds 10^(b / a_decade) up to the next bin's."""
    low, high = min([*front, *behind]), max([*front, *behind])
    span = max(1, math.ceil((high - low + 1) / 30))
    sets = {"other": Counter[int](), "kept": Counter[int]()}
    for kind, counts in (("other", behind), ("kept", front)):
        for at, count in counts.items():
            sets[kind][(at - low) // span] += count
    slots, top = (high - low) // span + 1, nice(max(max(bins.values(), default=0) for bins in sets.values()))
    slot = (WIDTH - LEFT - RIGHT) / slots
    parts = [_grid(0, top)]
    for at in range(slots):
        first, last = (figure(10 ** ((low + one * span) / a_decade)) for one in (at, at + 1))
        for half, (kind, bins) in enumerate(sets.items()):
            width, height = slot * 0.42, (HEIGHT - TOP - BOTTOM) * bins[at] / top
            parts.append(
                f'<rect class="{kind}" x="{LEFT + slot * (at + 0.08 + half * 0.42):.1f}" '
                f'y="{HEIGHT - BOTTOM - height:.1f}" width="{width:.1f}" height="{height:.1f}">'
                f"<title>{first} to {last}: {bins[at]}</title></rect>"
            )
    for edge in sorted({0, slots // 4, slots // 2, 3 * slots // 4, slots}):
        anchor = "start" if edge == 0 else "end" if edge == slots else "middle"
        said = figure(10 ** ((low + edge * span) / a_decade))
        parts.append(_text(LEFT + slot * edge, HEIGHT - BOTTOM + 18, said, anchor))
    return _svg(f"Histogram of {label}", parts, label)


def steps(lengths: Sequence[float], heights: Sequence[float], x_label: str) -> str:
    """A line that has each height for its length, from the left to the right, from 0."""
    top, right = nice(max(heights)), sum(lengths) or 1.0
    parts, x, path = [_grid(0, top)], 0.0, []
    for length, height in zip(lengths, heights, strict=True):
        left, x = x, x + length
        ends = (LEFT + (WIDTH - LEFT - RIGHT) * one / right for one in (left, x))
        path += [f"{one:.1f},{_y(height, top):.1f}" for one in ends]
    parts.append(f'<polyline class="line" points="{" ".join(path)}"/>')
    parts += _ticks(right)
    return _svg(f"Over {x_label}", parts, x_label)


def lying(bars: Mapping[str, tuple[float, str, str]]) -> str:
    """Lying bars by name: (share of the width, 0..1; what is said at its end; class)."""
    height, parts = 38.0, list[str]()
    for at, (name, (share, said, kind)) in enumerate(bars.items()):
        y, width = TOP + at * height, (WIDTH - 230) * min(1.0, share)
        parts.append(_text(0, y + height / 2 + 4.5, name, "start"))
        parts.append(
            f'<rect class="{kind}" x="130" y="{y + height * 0.2:.1f}" width="{width:.1f}" height="{height * 0.6:.1f}"/>'
        )
        parts.append(_text(138 + width, y + height / 2 + 4.5, said, "start"))
    return _svg("Time by stage", parts, height=2 * TOP + height * len(bars))


def ranked(kept: Sequence[float], others: Sequence[Sequence[float]], x_label: str) -> str:
    """The score kept by each pair, from the best pair to the worst, with the pair's other candidates above
    it.
    """
    order = sorted(range(len(kept)), key=lambda pair: kept[pair])
    shown = [order[at] for at in _spread(len(order), max(2, MOST_DOTS // (1 + max(map(len, others), default=0))))]
    top = nice(max([kept[pair] for pair in shown] + [score for pair in shown for score in others[pair]]))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(shown))
    parts = [_grid(0, top)]
    radius = 3.4 if len(shown) <= 100 else 2.2
    for rank, pair in enumerate(shown):
        x = LEFT + step * (rank + 0.5)
        parts += [_dot(x, _y(score, top), radius * 0.85, "other") for score in others[pair]]
        parts.append(_dot(x, _y(kept[pair], top), radius, "kept"))
    return _svg("Score of the kept and the other candidates of each pair", parts, x_label)


def scatter(
    kept: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]], x_label: str, y_label: str
) -> str:
    """Dots (x, y), both from 0; the kept ones on top."""
    some = [others[at] for at in _spread(len(others), MOST_DOTS // 2)]
    best = [kept[at] for at in _spread(len(kept), MOST_DOTS // 2)]
    right, top = (nice(max(point[axis] for point in some + best)) for axis in (0, 1))
    parts = [_grid(0, top)]

    def dot(point: tuple[float, float], kind: str) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * point[0] / right
        return _dot(x, _y(point[1], top), 3.4 if len(best) <= 100 else 2.2, kind)

    parts += [dot(point, "other") for point in some] + [dot(point, "kept") for point in best]
    parts += _ticks(right)
    return _svg(f"{y_label} against {x_label}", parts, x_label)


def lines(curves: Mapping[str, Sequence[float]], right: float, x_label: str, y_label: str) -> str:
    """Curves by class, of values at the middles of equal steps from 0 to `right`."""
    every = [value for curve in curves.values() for value in curve]
    low, high = 10 * math.floor(min(every) / 10), 10 * math.ceil(max(every) / 10)
    high = max(high, low + 10)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
        parts.append(f'<line class="axis" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4.5, figure(low + (high - low) * share), "end"))
        anchor = "end" if share == 1 else "middle" if share else "start"
        x = LEFT + (WIDTH - LEFT - RIGHT) * share
        parts.append(_text(x, HEIGHT - BOTTOM + 18, figure(right * share), anchor))
    for kind, curve in curves.items():
        points = []
        for at, value in enumerate(curve):
            x = LEFT + (WIDTH - LEFT - RIGHT) * (at + 0.5) / len(curve)
            points.append(f"{x:.1f},{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low):.1f}")
        parts.append(f'<polyline class="line {kind}" points="{" ".join(points)}"/>')
    return _svg(f"{y_label} against {x_label}", parts, x_label)


def whiskers(marks: Mapping[str, tuple[float, float, float]], label: str) -> str:
    """A dot with its interval for each class: (value, low, high), one below the other on one axis."""
    width, row = 240.0, 18.0
    low, high = min(one[1] for one in marks.values()), max(one[2] for one in marks.values())
    spare = 0.08 * (high - low) or 1.0
    low, high = low - spare, high + spare

    def x(value: float) -> float:
        return 6 + (width - 12) * (value - low) / (high - low)

    parts = []
    for at, (kind, (value, left, right)) in enumerate(marks.items()):
        y = row * (at + 0.5)
        parts.append(f'<line class="whisker {kind}" x1="{x(left):.1f}" y1="{y:.1f}" x2="{x(right):.1f}" y2="{y:.1f}"/>')
        parts.append(f'<circle class="dot {kind}" cx="{x(value):.1f}" cy="{y:.1f}" r="4.5"/>')
    named = f'role="img" aria-label="{escape(label)}"'
    return f'<svg class="whiskers" viewBox="0 0 {width:.0f} {row * len(marks):.0f}" {named}>{"".join(parts)}</svg>'


def nice(value: float) -> float:
    """The smallest of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten that is not below the value; 1 for
    nothing.
    """
    if not value > 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * lead for lead in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * lead >= value * (1 - 1e-9))


def figure(value: float | None) -> str:
    """A number in at most three digits; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def score(value: float | None) -> str:
    """A score or an error with its zeros, so that those of a pair can be compared at a glance."""
    return "–" if value is None else f"{value:.4f}" if value < 0.1 else f"{value:.3f}"


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _grid(low: float, top: float) -> str:
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = _y(top * share, top)
        lines.append(f'<line class="axis" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        lines.append(_text(LEFT - 8, y + 4.5, figure(low + (top - low) * share), "end"))
    return "".join(lines)


def _ticks(right: float) -> list[str]:
    """Numbers below the left end of the axis, its middle and its right end."""
    anchors = {0.0: "start", 0.5: "middle", 1.0: "end"}
    return [
        _text(LEFT + (WIDTH - LEFT - RIGHT) * share, HEIGHT - BOTTOM + 18, figure(right * share), anchor)
        for share, anchor in anchors.items()
    ]


def _dot(x: float, y: float, radius: float, kind: str) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'


def _text(x: float, y: float, said: str, anchor: str) -> str:
    return svg.text(x, y, said, None, anchor)


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of 0..count-1, evenly spread, the ends included."""
    if count <= most:
        return list(range(count))
    return sorted({round(at * (count - 1) / (most - 1)) for at in range(most)})


def _svg(title: str, parts: Sequence[str], x_label: str = "", height: float = HEIGHT) -> str:
    below = _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_label, "middle") if x_label else ""
    body = "".join(parts) + below
    return f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">{body}</svg>'
