"""The picture beside calibration.json: one self-contained SVG, a line a layer, nothing loaded from elsewhere.

Left the range of the layer's values against FP16's largest, then its own error in FP16, then, where a search ranked the
layers, what each alone does to the pixels. All axes are logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby

from ..engine import svg
from ..engine.calibration_spec import Layer, PixelError, PrecisionCalibration

HALF_MAX = 65504.0
ROW, HEAD, FOOT, GAP = 14.0, 134.0, 34.0, 22.0  # heights, pixels: a line, what is above, below, between two networks
NAMES, WIDTH = 262.0, 1180.0
NETWORKS = {"vqvae": "content: E_cont", "degradation": "degradation: E_deg", "modulation": "modulation: M, Rec_lr",
            "unet": "denoiser: U-Net", "noise": "noise gate"}  # fmt: skip
STYLE = svg.STYLE + (
    ".title{font-size:17px;font-weight:600}.network{font-weight:600}.grid{stroke:#e4e4e4}.limit{stroke:#c62828;stroke-width:1.5}"
    "rect.half{fill:#9dbbdc}circle.half{fill:#2f6db3}rect.policy{fill:#d2d2d2}circle.policy{fill:#8a8a8a}"
    "rect.island{fill:#f3b183}circle.island{fill:#d4540b}.island-row{fill:#fdf0e6}text.island{fill:#a83f00;font-weight:600}"
)


@dataclass(frozen=True)
class Axis:
    """A panel: what it shows of a layer, exponents low..high of ten, drawn from `left` over `width` pixels."""

    title: str
    value: Callable[[Layer], float | None]
    low: int
    high: int
    left: float
    width: float

    def x(self, value: float) -> float:
        """The place of a value; what lies outside is put at the end."""
        share = (math.log10(value) - self.low) / (self.high - self.low) if value > 0 else 0.0
        return self.left + self.width * min(1.0, max(0.0, share))


def draw(found: PrecisionCalibration) -> str:
    """The whole picture as SVG text."""
    axes = _axes(found)
    islands = {island.layer: island.reason for island in found.islands}
    body, y = [], HEAD
    for network, layers in groupby(found.layers, key=lambda layer: layer.name.split(".")[0]):
        y += GAP
        body.append(svg.text(12, y - 5, NETWORKS.get(network, network), "network"))
        for layer in layers:
            body += _row(layer, islands.get(layer.name), axes, y)
            y += ROW
    body = [*_head(found, axes), *_grid(axes, y), *body]
    return svg.picture(WIDTH, y + FOOT, body, style=STYLE, label="Precision calibration")


def _axes(found: PrecisionCalibration) -> list[Axis]:
    """Two panels, or three where a search ranked the layers. The first always reaches beyond 65504."""
    spread = [HALF_MAX * 10, *(layer.output_rms for layer in found.layers)]
    panels = [
        ("largest value (bar: from the output's RMS)", _largest, spread),
        ("error of the layer in FP16, relative", lambda layer: layer.fp16_error, [1e-3]),
        ("pixels off with it alone in FP16, grey levels", lambda layer: layer.own_grey, []),
    ]
    shown = []
    for title, value, more in panels:
        if values := [v for v in [*map(value, found.layers), *more] if v]:
            shown.append((title, value, math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))))
    width = (WIDTH - NAMES) / len(shown)
    return [
        Axis(title, value, low, max(high, low + 1), NAMES + i * width + 14, width - 44)
        for i, (title, value, low, high) in enumerate(shown)
    ]


def _largest(layer: Layer) -> float:
    return max(layer.input_max, layer.output_max)


def _head(found: PrecisionCalibration, axes: list[Axis]) -> Iterator[str]:
    count, free = len(found.islands), sum(layer.typed in ("half", "enter") for layer in found.layers)
    islands = "1 FP32 island" if count == 1 else f"{count or 'No'} FP32 islands"
    yield svg.text(12, 26, f"{islands} beyond policy, among {free} layers", "title")
    worst = {name: max(errors, key=_severity) for name, errors in vars(found.errors).items()}
    said = ", ".join(f"{name.replace('_', ' ')} {grey(error)}" for name, error in worst.items())
    options, t, side = found.options, found.timesteps, found.options.lr_size
    yield svg.text(12, 46, f"Mean pixel error, worst trajectory, in grey levels (bound {options.bound_grey:g}): {said}")
    ways = ", ".join(f"{w.solver} from tau {w.tau} in {w.steps or w.tau}" for w in options.trajectories)
    how = f"pairs: {options.pairs}, {side} x {side}; {ways}; {len(t)} timesteps, {t[0]} to {t[-1]}"
    yield svg.text(12, 63, how, "small")
    x = 12.0
    for kind, title in (("half", "FP16"), ("policy", "FP32 by policy"), ("island", "FP32 by this calibration")):
        yield f'<rect class="{kind}" x="{x}" y="74" width="18" height="9"/>'
        yield svg.text(x + 24, 83, title)
        x += 50 + 6.4 * len(title)
    for axis in axes:
        yield svg.text(axis.left, HEAD - 26, axis.title, "network")


def _grid(axes: list[Axis], bottom: float) -> Iterator[str]:
    for axis in axes:
        every = max(1, math.ceil((axis.high - axis.low) / (axis.width / 42)))
        for power in range(axis.low, axis.high + 1, every):
            x = axis.x(10.0**power)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD}" y2="{bottom:.1f}"/>'
            for y in (HEAD - 6, bottom + 16):
                yield svg.text(x, y, _power(power), "small", "middle")
    x = axes[0].x(HALF_MAX)
    yield f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD}" y2="{bottom:.1f}"/>'
    yield svg.text(x + 4, HEAD + 10, "65504", "island")


def _row(layer: Layer, reason: str | None, axes: list[Axis], y: float) -> Iterator[str]:
    kind = "island" if reason else "half" if layer.typed == "half" else "policy"
    most, middle = _largest(layer), y + ROW / 2
    at = "" if layer.largest_at_t is None else f", at t = {layer.largest_at_t}"
    error = "overflows" if layer.fp16_error is None else f"{layer.fp16_error:.2g}"
    yield f"<g><title>{escape(layer.name)}: largest {most:.4g}{at}; in FP16 {error}</title>"
    if reason:
        yield f'<rect class="island-row" x="0" y="{y:.1f}" width="{WIDTH:.0f}" height="{ROW}"/>'
    name = layer.name + (f"  ({reason})" if reason else f"  ({layer.typed})" if kind == "policy" else "")
    yield svg.text(20, y + 10.5, name, "island" if reason else "small" if kind == "policy" else "")
    start, end = axes[0].x(layer.output_rms), axes[0].x(most)
    yield (
        f'<rect class="{kind}" x="{min(start, end):.1f}" y="{y + 3:.1f}" width="{abs(end - start):.1f}" '
        f'height="{ROW - 6}"/><circle class="{kind}" cx="{end:.1f}" cy="{middle:.1f}" r="3.4"/>'
    )
    for axis in axes[1:]:
        if value := axis.value(layer):
            yield f'<circle class="{kind}" cx="{axis.x(value):.1f}" cy="{middle:.1f}" r="3.4"/>'
    yield "</g>"


def grey(error: PixelError) -> str:
    """A trajectory's mean error in words."""
    return "not finite" if error.not_finite else f"{error.mean:.3g}"


def _severity(error: PixelError) -> tuple[bool, float]:
    return error.not_finite > 0, error.mean


def _power(exponent: int) -> str:
    return f"{10.0**exponent:g}" if -4 <= exponent <= 5 else f"1e{exponent}"
