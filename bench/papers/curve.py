"""Quality over network calls, drawn from the rows of the set `curve`: docs/curve.svg, nothing loaded from elsewhere.

A column a solver, a line a tau; above PSNR, below the Fréchet distance of random features (logarithmic). Both panels
begin where all lines do: the start image, no call at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

from degrade_engine.engine import svg
from degrade_engine.engine.schedule import SOLVERS

from ..rows import Row

WIDTH, PANEL, LEFT, HEAD, GAP = 960.0, 200.0, 64.0, 92.0, 46.0  # pixels
COLOURS = ("#2f6db3", "#d4540b", "#3a8f4d", "#7a4fa3", "#8a8a8a")
STYLE = svg.STYLE + (
    ".title{font-size:16px;font-weight:600}.name{font-weight:600}.grid{stroke:#e4e4e4}polyline{fill:none;stroke-width:1.8}"
)


@dataclass(frozen=True)
class Figure:
    """What a row of panels shows. logarithmic: of the value."""

    key: str
    title: str
    logarithmic: bool

    def value(self, row: Row) -> float:
        """On the panel's own axis."""
        return math.log10(max(row[self.key], 1e-6)) if self.logarithmic else float(row[self.key])

    def said(self, value: float) -> str:
        """A value of the axis as the row had it."""
        return f"{10**value:.2g}" if self.logarithmic else f"{value:.1f}"


FIGURES = (Figure("psnr_db", "PSNR, dB", False), Figure("frechet_random", "Fréchet, random features", True))


def draw(rows: Sequence[Row], start: Row | None) -> str:
    """SVG text. rows: of the set `curve`; start: the row of their start image alone."""
    taus = sorted({row["setting"]["tau"] for row in rows})
    calls = sorted({row["setting"]["steps"] for row in rows})
    columns = [solver for solver in SOLVERS if any(row["setting"]["solver"] == solver for row in rows)]
    width = (WIDTH - LEFT) / max(1, len(columns)) - GAP
    height = HEAD + len(FIGURES) * (PANEL + GAP) + 24
    body = [_text(12, 26, "Quality over network calls a candidate (one candidate, start bicubic)", "title")]
    for at, tau in enumerate(taus):
        x, colour = 12 + 90 * at, COLOURS[at % len(COLOURS)]
        body.append(f'<line x1="{x}" x2="{x + 22}" y1="46" y2="46" stroke="{colour}" stroke-width="2"/>')
        body.append(_text(x + 28, 50, f"tau {tau}"))
    for down, figure in enumerate(FIGURES):
        shown = [figure.value(row) for row in [*rows, *([start] if start else [])] if figure.key in row]
        if not shown:
            continue
        low, high = min(shown), max(shown)
        margin = 0.06 * (high - low) or 0.5
        box = HEAD + down * (PANEL + GAP), low - margin, high + margin
        for across, solver in enumerate(columns):
            left = LEFT + across * (width + GAP)
            body += _axes(figure, solver, left, width, box, calls, first=not across)
            for at, tau in enumerate(taus):
                line = [r for r in rows if r["setting"]["solver"] == solver and r["setting"]["tau"] == tau]
                body += _line(figure, line, start, left, width, box, calls, COLOURS[at % len(COLOURS)])
    return svg.picture(WIDTH, height, body, style=STYLE, label="Quality over network calls")


_text = partial(svg.text, anchor="start")
Box = tuple[float, float, float]  # top in pixels, lowest and highest value


def _place(value: float, box: Box) -> float:
    top, low, high = box
    return top + PANEL * (high - value) / (high - low)


def _across(count: float, left: float, width: float, calls: Sequence[int]) -> float:
    return left + width * count / max(calls)


def _axes(figure: Figure, solver: str, left: float, width: float, box: Box, calls: Sequence[int], *,
          first: bool) -> Iterator[str]:  # fmt: skip
    top, low, high = box
    yield _text(left, top - 8, f"{solver}: {figure.title}" if first else solver, "name")
    for share in (0.08, 0.36, 0.64, 0.92):
        value = low + (high - low) * share
        y = _place(value, box)
        yield f'<line class="grid" x1="{left:.1f}" x2="{left + width:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        if first:
            yield _text(left - 6, y + 4, figure.said(value), "small", anchor="end")
    for count in (0, *calls):
        yield _text(_across(count, left, width, calls), top + PANEL + 14, str(count), "small", anchor="middle")


def _line(figure: Figure, rows: Sequence[Row], start: Row | None, left: float, width: float, box: Box,
          calls: Sequence[int], colour: str) -> Iterator[str]:  # fmt: skip
    points = [(row["setting"]["steps"], row) for row in rows if figure.key in row]
    if start is not None and figure.key in start:
        points.append((0, start))
    placed = [
        (_across(count, left, width, calls), _place(figure.value(row), box), count, row)
        for count, row in sorted(points, key=lambda point: point[0])
    ]
    yield f'<polyline stroke="{colour}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in placed)}"/>'
    for x, y, count, row in placed:
        said = f"{count} calls: {figure.title} {row[figure.key]:g}"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"><title>{escape(said)}</title></circle>'
