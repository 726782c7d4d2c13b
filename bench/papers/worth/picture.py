"""The leaderboard of `bench papers worth` as a picture: a line a generator, a dot a seed, PSNR to the right. Once as it
is, once without exposure. Upright lines are bicubic's pairs and true pairs."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from degrade_engine.engine import svg

from ...rows import Row
from .data import TRUE
from .table import BICUBIC, Line, line_of, standing

NAMES, PANEL, GAP, STEP, HEAD, FOOT = 270.0, 330.0, 40.0, 22.0, 84.0, 30.0  # pixels
PANELS = (("psnr_db", "PSNR, dB"), ("psnr_exposed_db", "PSNR without exposure, dB"))
COLOURS = {BICUBIC: "#8a8a8a", TRUE: "#3a8f4d"}
COLOUR = "#2f6db3"
STYLE = svg.STYLE + ".title{font-size:16px;font-weight:600}.name{font-weight:600}.end{stroke-width:1.2}"


def draw(rows: list[Row]) -> str:
    """SVG text, of rows of one data and one network."""
    lines = standing(rows)
    bottom = HEAD + STEP * len(lines)
    body = [svg.text(12, 26, "What an SR network learns from each generator's pairs", "title")]
    for at, line in enumerate(lines):
        added = f" + noise {line.noise:g}" if line.noise else ""
        body.append(svg.text(12, HEAD + STEP * at + 15, line.name + added))
    for across, (key, title) in enumerate(PANELS):
        left = NAMES + across * (PANEL + GAP)
        body.append(svg.text(left, HEAD - 32, title, "name"))
        body += _panel(lines, key, left, bottom)
    return svg.picture(NAMES + 2 * (PANEL + GAP), bottom + FOOT, body, style=STYLE, label="Worth of pairs")


def _panel(lines: list[Line], key: str, left: float, bottom: float) -> Iterator[str]:
    values = [float(row[key]) for line in lines for row in line.rows if key in row]
    if not values:
        return
    low: float = min(values)
    wide = max(max(values) - low, 0.01)

    def across(value: float) -> float:
        """Pixels."""
        return left + PANEL * (0.04 + 0.92 * (value - low) / wide)

    for share in (0.0, 0.5, 1.0):
        value = low + share * wide
        yield svg.text(across(value), bottom + 18, f"{value:.2f}", "small", "middle")
    for name, colour in COLOURS.items():
        end = line_of(lines, name)
        if end and (mean := end.mean(key)) is not None:
            x = across(mean)
            yield f'<line class="end" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD}" y2="{bottom}" stroke="{colour}"/>'
            yield svg.text(x, HEAD - 8, name, "small", "middle")
    for at, line in enumerate(lines):
        for row in line.rows:
            if key in row:
                x, y, colour = across(row[key]), HEAD + STEP * at + 11, COLOURS.get(line.name, COLOUR)
                said = escape(f"{line.name}, seed {row['seed']}: {row[key]:.2f} dB")
                yield (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" fill-opacity="0.75">'
                       f"<title>{said}</title></circle>")  # fmt: skip
