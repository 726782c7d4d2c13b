"""The weights of a binned space as a picture, as the paper's figure 4: one self-contained SVG, nothing loaded.

A square a bin: blur to the right, noise downwards, a panel for each JPEG quality, a row of panels for each amount of
sharpening; the darker, the more weight. Several sets of weights stand below each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..engine import svg
from ..engine.classical.binned import Space

CELL, GAP, LEFT, HEAD, FOOT = 22.0, 26.0, 150.0, 58.0, 44.0  # pixels
LIGHT, DARK = (247, 250, 252), (8, 48, 107)
STYLE = svg.STYLE + ".title{font-size:15px;font-weight:600}.name{font-weight:600}rect{stroke:#d9dee3;stroke-width:.6}"


def draw(space: Space, rows: Sequence[tuple[str, str, Sequence[float]]], title: str) -> str:
    """SVG text. rows: (name, note, weights [bins]) each; colours run from 0 to the largest weight of the row."""
    a, q, l, s = space.shape  # noqa: E741
    panel = s * CELL
    width = LEFT + q * panel + (q - 1) * GAP + 24
    step = l * CELL + GAP
    height = HEAD + len(rows) * a * step + FOOT - GAP
    body = [svg.text(12, 24, title, "title")]
    for k in range(q):
        low, high = space.box(k * l * s)[1]
        said = f"JPEG {low:g} to {high:g}" if space.jpeg_quality else "no JPEG"
        body.append(svg.text(LEFT + k * (panel + GAP), HEAD - 10, said, "small"))
    for at, (name, note, weights) in enumerate(rows):
        top = HEAD + at * a * step
        body.append(svg.text(12, top + 14, name, "name"))
        body.append(svg.text(12, top + 30, note, "small"))
        if space.sharpen_amount:
            for place in range(a):
                low, high = space.box(place * q * l * s)[0]
                body.append(svg.text(12, top + place * step + 52, f"sharpening {low:g} to {high:g}", "small"))
        body += _cells(space, weights, top, step)
    foot = HEAD + len(rows) * a * step - GAP + 18
    body.append(svg.text(LEFT, foot, f"→ blur sigma {_span(space.blur_sigma)} HR pixels", "small"))
    body.append(svg.text(LEFT, foot + 15, f"↓ noise sigma {_span(space.noise_level)} grey levels", "small"))
    return svg.picture(width, height, body, style=STYLE, label=title)


def _cells(space: Space, weights: Sequence[float], top: float, step: float) -> Iterator[str]:
    _, q, l, s = space.shape  # noqa: E741
    largest = max(weights)
    for bin, weight in enumerate(weights):
        block, k, row, column = bin // (q * l * s), bin // (l * s) % q, bin // s % l, bin % s
        x, y = LEFT + k * (s * CELL + GAP) + column * CELL, top + block * step + row * CELL
        yield (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{CELL}" height="{CELL}" '
            f'fill="{_colour(weight / largest)}"><title>{space.words(bin)}: {100 * weight:.2f} %</title></rect>'
        )


def _colour(share: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(LIGHT, DARK, strict=True))


def _span(edges: Sequence[float]) -> str:
    return f"{edges[0]:g} to {edges[-1]:g}" if len(edges) > 1 else f"{edges[0]:g}"
