"""The picture beside recipe.json: a line a recipe, by its calls and then by its distance. It loads nothing.

Left the network calls, then each distance with its 95 % interval: by all measures, of fine detail, in F_deg; then the
noise of the LR beside the camera's. The line down each panel is the recipe that is nearest by all measures, or the
camera.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from ..engine import svg
from ..engine.recipe import Recipe
from ..engine.recipe_file import Distance, RecipeFound, Tried
from ..engine.report.figures import figure
from .grid import said

ROW, HEAD, FOOT = 15.0, 152.0, 34.0  # heights, pixels: a line, what is above, below
NAMES, WIDTH = 400.0, 1240.0
LINE = 190  # letters
LEGEND = {"chosen": "chosen", "near": "as near as the nearest", "unsure": "too few photographs to tell",
          "far": "farther", "content": "loses the content"}  # fmt: skip
KINDS = {"chosen": "chosen", "as near": "near", "unsure": "unsure", "farther": "far", "content": "content"}
STYLE = svg.STYLE + (
    ".title{font-size:17px;font-weight:600}.panel{font-weight:600}.grid{stroke:#e4e4e4}.line{stroke:#8a8a8a}"
    "line.near,line.chosen,line.unsure,line.far,line.content{stroke-width:2}.unsure{fill:#9dbbdc;stroke:#9dbbdc}.near{fill:#2f6db3;stroke:#2f6db3}"
    ".chosen{fill:#d4540b;stroke:#d4540b}.far{fill:#8a8a8a;stroke:#b9b9b9}.content{fill:#fff;stroke:#b9b9b9}"
    "rect.row{fill:#fdf0e6;stroke:none}text.near,text.chosen{stroke:none}text.unsure,text.far,text.content{fill:#666;stroke:none}"
)


@dataclass(frozen=True)
class Panel:
    """What it shows of a recipe, (value, low, high), from 0 to `top` over `width` pixels; mark: where its line is."""

    title: str
    of: Callable[[Tried], tuple[float, float, float] | None]
    top: float
    mark: float | None
    left: float
    width: float

    def x(self, value: float) -> float:
        """The place of a value; what lies outside is put at the end."""
        return self.left + self.width * min(1.0, max(0.0, value / self.top))


def draw(found: RecipeFound) -> str:
    """The whole picture as SVG text."""
    rows = sorted(found.tried, key=lambda one: (one.calls, one.measures.value))
    panels = _panels(found, rows)
    bottom, body = HEAD + ROW * len(rows), list[str]()
    for at, one in enumerate(rows):
        body += _row(one, panels, HEAD + ROW * at)
    body = [*_head(found), *_grid(panels, bottom), *body]
    return svg.picture(WIDTH, bottom + FOOT, body, style=STYLE, label="Recipes that were tried")


def _panels(found: RecipeFound, rows: Sequence[Tried]) -> list[Panel]:
    nearest = min((one for one in rows if one.outcome != "content"), key=lambda one: one.measures.value)
    shown: list[tuple[str, Callable[[Tried], tuple[float, float, float] | None], float | None]] = [
        ("calls a pair", lambda one: (one.calls, 0, one.calls), None),
        ("distance by all measures", lambda one: _span(one.measures), nearest.measures.value),
        ("distance of fine detail", lambda one: _span(one.detail), nearest.detail.value),
    ]
    if nearest.e_deg:
        shown.append(("distance in F_deg", lambda one: _span(one.e_deg), nearest.e_deg.value))
    if (own := found.camera["noise"]) is not None:
        shown.append(("noise, grey levels", _noise, own))
    width = (WIDTH - NAMES) / len(shown)
    panels = []
    for at, (title, of, mark) in enumerate(shown):
        values = [value[2] for one in rows if (value := of(one))] + ([mark] if mark else [])
        panels.append(Panel(title, of, max(values) * 1.02 or 1.0, mark, NAMES + at * width + 10, width - 26))
    return panels


def _span(one: Distance | None) -> tuple[float, float, float] | None:
    return None if one is None else (one.value, *one.interval)


def _noise(one: Tried) -> tuple[float, float, float] | None:
    value = one.means["noise"]
    return None if value is None else (value, value, value)


def _head(found: RecipeFound) -> Iterator[str]:
    chosen = said(found.chosen("recipe.json"))
    yield svg.text(12, 26, f"{found.model.name}: {chosen}", "title")
    for at, line in enumerate(wrap(found.why, LINE)):
        yield svg.text(12, 44 + 15 * at, line, "small")
    x, y = 12.0, HEAD - 50
    for kind, title in LEGEND.items():
        yield f'<circle class="{kind}" cx="{x + 4:.1f}" cy="{y - 4:.1f}" r="3.6"/>'
        yield svg.text(x + 13, y, title)
        x += 40 + 6.2 * len(title)
    yield svg.text(x, y, "bars: 95 % over photographs; lines: the nearest by all measures, and the camera's noise")


def _grid(panels: Sequence[Panel], bottom: float) -> Iterator[str]:
    for panel in panels:
        yield svg.text(panel.left, HEAD - 22, panel.title, "panel")
        for share in (0.0, 0.5, 1.0):
            x = panel.left + panel.width * share
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD}" y2="{bottom:.1f}"/>'
            for y in (HEAD - 6, bottom + 16):
                yield svg.text(x, y, figure(panel.top * share), "small", "middle")
        if panel.mark is not None:
            x = panel.x(panel.mark)
            yield f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD}" y2="{bottom:.1f}"/>'


def _row(one: Tried, panels: Sequence[Panel], y: float) -> Iterator[str]:
    kind, name, middle = KINDS[one.outcome], said(Recipe.from_json(one.recipe, "recipe.json")), y + ROW / 2
    yield f"<g><title>{escape(name)}: {LEGEND[kind]}; content off by {one.content:g} grey levels</title>"
    if kind == "chosen":
        yield f'<rect class="row" x="0" y="{y:.1f}" width="{WIDTH:.0f}" height="{ROW}"/>'
    yield svg.text(12, y + 11, name, kind)
    for panel in panels:
        if value := panel.of(one):
            left, right = panel.x(value[1]), panel.x(value[2])
            yield f'<line class="{kind}" x1="{left:.1f}" x2="{right:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
            yield f'<circle class="{kind}" cx="{panel.x(value[0]):.1f}" cy="{middle:.1f}" r="3.2"/>'
    yield "</g>"
