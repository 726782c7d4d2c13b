"""The tables of the README, made from the committed rows, so that no figure stands there without its evidence.

python -m degrade_engine.bench.tables        rewrites the blocks <!-- table NAME --> … <!-- end --> of README.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

RESULTS = Path(__file__).resolve().parent / "results"
Row = dict[str, Any]


def rows(name: str) -> list[Row]:
    """The rows of bench/results/NAME.jsonl."""
    return [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text().splitlines()]


def markdown(header: list[str], body: list[list[str]]) -> str:
    """A table; all columns but the first are right-aligned."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(line) + " |" for line in body])


REFERENCES = {"other": "another scene's real LR", "paired": "the paired real LR", "clean": "a clean image (control)"}


def what(row: Row) -> str:
    """A generator in words."""
    s = row["setting"]
    if not s:
        return str(row["generator"])
    if row["generator"] != "realdgen":
        return f"{row['generator']}: {in_words(s)}"
    return in_words(s)


def in_words(s: dict[str, Any]) -> str:
    """A setting."""
    if s["tau"] == 0:
        return "start alone: " + {"reconstruction": "Rec_lr", "bicubic": "bicubic", "realesrgan": "D(x_hr)"}[s["start"]]
    tau = f"{s['tau'][0]}:{s['tau'][1]}" if isinstance(s["tau"], list) else s["tau"]
    spacing = f" {s['spacing']}" if s["spacing"] != "even" else ""
    steps = "every step" if s["steps"] is None else f"{s['steps']}{spacing} step{'s' if s['steps'] > 1 else ''}"
    start = "" if s["start"] == "reconstruction" else f", start {s['start']}"
    unfiltered = "" if s["filter"] or s["reference"] == "none" else ", no filter"
    return f"tau {tau}, {steps}, {s['solver']}{start}{unfiltered}"


def quality(split: str) -> str:
    """Fidelity and realism on one split."""
    body = []
    for row in rows("quality"):
        if row["split"] == split:
            reference = REFERENCES.get(row["setting"].get("reference", ""), "")
            fidelity = [f"{row['psnr_db']:.2f}", f"{row['ssim']:.3f}"]
            realism = [f"{row['laplacian_gap']:.2f}", f"{row['noise_gap']:.2f}", f"{row['frechet_e_deg']:.3f}"]
            body.append([what(row), reference, *fidelity, *realism])
    return markdown(["generator", "reference", "PSNR dB", "SSIM", "Laplacian gap", "noise gap", "Fréchet E_deg"], body)


def references() -> str:
    """What the reference looks like and what the output then looks like."""
    body = []
    for row in rows("references"):
        r, o = row["reference"], row["output"]
        s = row["setting"]
        body.append([f"{row['kind']}, tau {s['tau']}, {s['steps']} steps"] + [
            f"{r[k]:.1f} → {o[k]:.1f}" for k in ("laplacian", "noise", "blocks")])  # fmt: skip
    return markdown(["reference", "Laplacian std", "noise std", "blockiness"], body)


def speed() -> str:
    """Seconds a pair, side by side in one run, and how far the pixels are from those they must be."""
    body = []
    for r in rows("speed"):
        times = [f"{r['p50_s_a_pair']:.2f}", f"{r['p95_s_a_pair']:.2f}", f"{r['times_faster']:.2f} ×"]
        off = f"{r['mean_error_grey']:.4f}", f"{100 * r['values_off_by_more_than_1']:.2f}"
        body.append([r["name"], r["precision"], f"{r['tau']}, {r['steps']}", *times, *off])
    return markdown(
        ["way", "precision", "tau, steps", "p50 s a pair", "p95", "times the original", "mean error", "% off by > 1"],
        body,
    )


def table12() -> str:
    """Seconds an image with I/O, the paper's own figures in columns of their own."""
    body = []
    for r in rows("table12"):
        tau = r.get("tau", "")
        setting = "" if tau == "" else f"{tau[0]}:{tau[1]}" if isinstance(tau, list) else str(tau)
        if setting:
            setting += f", {r['steps'] or 'every step'}, K = {r['candidates']}"
        networks = "" if r["mean_s_without_io"] is None else f"{r['mean_s_without_io']:.3f}"
        ours = [setting, f"{r['mean_s']:.3f}", networks, f"{r['images_a_second']:.2f}", f"{r['psnr_db']:.2f}"]
        theirs = [r["published_platform"], f"{r['published_s']:.4f}", f"{r['published_psnr_db']:.2f}"]
        body.append([r["name"], *ours, *theirs])
    return markdown(
        ["way", "tau, steps, K", "s an image", "networks alone", "images a second", "PSNR dB",
         "paper: on", "paper: s", "paper: dB"], body
    )  # fmt: skip


TABLES: dict[str, Callable[[], str]] = {
    "quality": lambda: quality("reported"),
    "scale2": lambda: quality("scale2"),
    "references": references,
    "speed": speed,
    "table12": table12,
}


def filled(text: str) -> str:
    """The README with every table block made anew."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- table {match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table (\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


@click.command()
@click.option("--readme", type=click.Path(exists=True, path_type=Path), default=Path("README.md"), show_default=True)
def main(readme: Path) -> None:
    """Write the tables of the README."""
    readme.write_text(filled(readme.read_text()))


if __name__ == "__main__":
    main()
