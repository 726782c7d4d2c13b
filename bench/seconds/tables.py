"""The tables of `bench speed` and `bench table12`, of the rows in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..rows import markdown, rows_of


def speed(folder: Path) -> str:
    """Seconds per pair, side by side in one run, and how far the pixels are from those they must be."""
    body = []
    for r in rows_of(folder, "speed"):
        times = [f"{r['p50_s_a_pair']:.2f}", f"{r['p95_s_a_pair']:.2f}", f"{r['times_faster']:.2f} ×"]
        off = f"{r['mean_error_grey']:.4f}", f"{100 * r['values_off_by_more_than_1']:.2f}"
        body.append([r["name"], r["precision"], f"{r['tau']}, {r['steps']}", *times, *off])
    return markdown(
        ["way", "precision", "tau, steps", "p50 s per pair", "p95", "times the original", "mean error", "% off by > 1"],
        body,
    )


def table12(folder: Path) -> str:
    """Seconds per image with I/O and without (p50 and p95 a batch), the paper's own figures in columns of their own.
    PSNR is empty where there was no real LR."""
    body = []
    for r in rows_of(folder, "table12"):
        tau = r.get("tau", "")
        setting = "" if tau == "" else f"{tau[0]}:{tau[1]}" if isinstance(tau, list) else str(tau)
        if setting:
            setting += f", {r['steps'] or 'every step'}, K = {r['candidates']}"
        networks = "" if r["mean_s_without_io"] is None else f"{r['mean_s_without_io']:.3f}"
        if "batch_p50_s_without_io" in r:
            p50, p95 = (r[f"batch_{name}_s_without_io"] for name in ("p50", "p95"))
            networks += f" ({p50:.2f}, {p95:.2f} a batch of {r['batch']})"
        psnr = "" if r["psnr_db"] is None else f"{r['psnr_db']:.2f}"
        ours = [setting, f"{r['mean_s']:.3f}", networks, f"{r['images_a_second']:.2f}", psnr]
        theirs = [r["published_platform"], f"{r['published_s']:.4f}", f"{r['published_psnr_db']:.2f}"]
        body.append([r["name"], *ours, *theirs])
    return markdown(
        ["way", "tau, steps, K", "s per image", "networks alone", "images per second", "PSNR dB",
         "paper: on", "paper: s", "paper: dB"], body
    )  # fmt: skip


TABLES: dict[str, Callable[[Path], str]] = {"speed": speed, "table12": table12}
