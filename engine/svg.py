"""Pictures as SVG text that loads nothing from elsewhere: what those of the report, of calibrations and of benchmarks
share."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

STYLE = "svg{font:11px system-ui,sans-serif;background:#fff}text{fill:#222}.small{fill:#666}"


def picture(width: float, height: float, body: Iterable[str], *, style: str, label: str = "") -> str:
    """A whole file. label: what it shows, for who cannot see it; without one it takes the width that there is."""
    said = f' width="{width:.0f}" height="{height:.0f}"' if label else ""
    named = f' aria-label="{escape(label)}"' if label else ""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"{said} role="img"{named}>'
    return f"{head}<style>{style}</style>{''.join(body)}</svg>\n"


def text(x: float, y: float, said: str, kind: str | None = "", anchor: str = "") -> str:
    """Words whose line begins, ends or has its middle (anchor) there. kind: a class of the style; None: none."""
    of = "" if kind is None else f'class="{kind}" '
    at = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text {of}x="{x:.1f}" y="{y:.1f}"{at}>{escape(said)}</text>'
