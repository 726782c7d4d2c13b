"""The tables of docs/camera.md."""

from __future__ import annotations

from pathlib import Path

from ..rows import Row, markdown, rows_of

NOISE = {
    "luma_sd": "luma, sd", "cb_share": "Cb by luma", "cr_share": "Cr by luma", "luma_lag1": "luma, next pixel",
    "luma_lag2": "next but one", "cb_lag1": "Cb, next pixel", "cb_lag2": "next but one", "dark": "dark by middle",
    "bright": "bright by middle",
}  # fmt: skip


def transfer(folder: Path) -> str:
    """Amplitude by frequency, a row for each set: median and middle nine tenths."""
    rows = _of(folder, "transfer")
    body = [[_name(row), *map(_span, row["q05"], row["q50"], row["q95"])] for row in rows]
    held = [[f"{name}: share held", *(f"{one:g}" for one in of)] for name, of in rows[-1]["held"].items()]
    return markdown(["cycles per LR pixel", *(f"{band:g}" for band in rows[0]["bands"])], body + held)


def noise(folder: Path) -> str:
    """The noise's figures, a row for each set: median and middle nine tenths."""
    rows = _of(folder, "noise")
    body = [[_name(row), *(_span(*row[name][::2]) if row[name] else "" for name in NOISE)] for row in rows]
    held = ["PolyU: share held", *(f"{rows[-1]['held'][name]:g}" for name in NOISE)]
    return markdown(["", *NOISE.values()], [*body, held])


def _of(folder: Path, measure: str) -> list[Row]:
    return [row for row in rows_of(folder, "camera") if row["measure"] == measure]


def _name(row: Row) -> str:
    if "photographs" in row:
        return f"{row['of']} ({row['photographs']} photographs)"
    return f"{row['of']} ({row.get('noisy', row['cameras'])} cameras)"


def _span(low: float, middle: float, high: float) -> str:
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


TABLES = {"camera_transfer": transfer, "camera_noise": noise}
