"""The two short tables of the README: which degrader, and how long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

from .rows import markdown, rows_of

CHOICES = (
    ("references, and a model trained on cameras like yours", "`--model realdgen-small`, one call", "onecall"),
    ("the same", "`--model realdgen-tiny`, fifteen calls", "realdgen"),
    ("the same", "`--model lway-tiny`", "lway"),
    ("references, no model", "`--degrader binned`, [fitted](docs/degraders.md) to your camera", "binned"),
    ("a model of the one camera, no references", "`--model syndiff-canon`", "syndiff"),
    ("nothing but sharp photographs", "`--degrader blur-bicubic`, one fixed blur", "bicubic, Gaussian sigma 0.5"),
    ("", "`--degrader bicubic`", "bicubic"),
    ("", "`--degrader realesrgan`, for photographs of unknown history", "realesrgan"),
    ("", "`--degrader bsrgan`, likewise", "bsrgan"),
)
"""(what one has, what to use, which rows of worth.jsonl)."""

WAYS = (
    ("realdgen-small, FP32", "RealDGen in one call, engine fp32, 4 references"),
    ("realdgen-small, bf16", "RealDGen in one call, engine bf16, 4 references"),
    ("realdgen-tiny, FP32", "RealDGen, engine, recommended"),
    ("realdgen-tiny, bf16", "RealDGen, engine bf16, recommended"),
    ("syndiff-canon, FP32", "SynDiff, engine, recommended"),
    ("`--degrader realesrgan`", "Real-ESRGAN"),
    ("`--degrader bsrgan`", "BSRGAN"),
)
"""(in words, which row of table12.jsonl)."""


def choose(folder: Path) -> str:
    """What an SR network gains by the pairs of each, over bicubic pairs of the same seeds, dB."""
    by_seed = {(row["generator"], row["seed"]): row["psnr_db"] for row in rows_of(folder, "worth")}
    body = []
    for having, use, name in CHOICES:
        gains = [psnr - by_seed["bicubic", seed] for (one, seed), psnr in by_seed.items() if one == name]
        body.append([having, use, f"{fmean(gains):+.2f}"])
    return markdown(["you have", "use", "dB over bicubic pairs"], body)


def time(folder: Path) -> str:
    """Pairs per second with reading and writing, and how long 10,000 take."""
    rows = {row["name"]: row for row in rows_of(folder, "table12")}
    body = []
    for said, name in WAYS:
        row = rows[name]
        minutes = row["mean_s"] * 10_000 / 60
        took = f"{minutes / 60:.1f} hours" if minutes >= 60 else f"{minutes:.0f} minutes"
        body.append([said, row["devices"], f"{1 / row['mean_s']:.1f}", took])
    return markdown(["way", "machine", "pairs per second", "10,000 pairs"], body)


TABLES: dict[str, Callable[[Path], str]] = {"choose": choose, "time": time}
