"""The tables of docs/camera.md."""

from __future__ import annotations

from pathlib import Path

from ..rows import Row, rows_of

NOISE = {
    "luma_sd": "luma, sd", "cb_share": "Cb by luma", "cr_share": "Cr by luma", "luma_lag1": "luma, next pixel",
    "luma_lag2": "next but one", "cb_lag1": "Cb, next pixel", "cb_lag2": "next but one", "dark": "dark by middle",
    "bright": "bright by middle",
}  # fmt: skip


def transfer(folder: Path) -> str:
    """Amplitude by frequency, a row for each set: median and middle nine tenths."""
    rows = _of(folder, "transfer")
    lines = [_line("cycles per LR pixel", [f"{band:g}" for band in rows[0]["bands"]]), _rule(len(rows[0]["bands"]))]
    for row in rows:
        lines.append(_line(_name(row), [_span(*of) for of in zip(row["q05"], row["q50"], row["q95"], strict=True)]))
    held = rows[-1]["held"]
    return "\n".join([*lines, *(_line(f"{name}: share held", [f"{one:g}" for one in held[name]]) for name in held)])


def noise(folder: Path) -> str:
    """The noise's figures, a row for each set: median and middle nine tenths."""
    rows = _of(folder, "noise")
    lines = [_line("", list(NOISE.values())), _rule(len(NOISE))]
    for row in rows:
        spans = [_span(row[name][0], row[name][2], row[name][4]) if row[name] else "" for name in NOISE]
        lines.append(_line(_name(row), spans))
    held = rows[-1]["held"]
    return "\n".join([*lines, _line("PolyU: share held", [f"{held[name]:g}" for name in NOISE])])


def _of(folder: Path, measure: str) -> list[Row]:
    return [row for row in rows_of(folder, "camera") if row["measure"] == measure]


def _name(row: Row) -> str:
    count = (
        f"{row['photographs']} photographs" if "photographs" in row else f"{row.get('noisy', row['cameras'])} cameras"
    )
    return f"{row['of']} ({count})"


def _span(low: float, middle: float, high: float) -> str:
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _line(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def _rule(columns: int) -> str:
    return "|---|" + "---:|" * columns


TABLES = {"camera_transfer": transfer, "camera_noise": noise}
