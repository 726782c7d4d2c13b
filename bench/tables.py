"""The tables and pictures of README.md and docs/, made from the committed rows, so that no figure stands there without
its evidence.

make tables        rewrites the blocks <!-- table NAME --> … <!-- end --> of PAGES, and PICTURES
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click

from .latency import page as latency_page
from .quality import tables as quality_tables
from .quality.curve import draw
from .quality.settings import Setting
from .quality.tables import markdown
from .rows import RESULTS, Row, read_rows, same
from .worth import table as worth_table


def rows(name: str) -> list[Row]:
    """The rows of bench/results/NAME.jsonl."""
    return read_rows(RESULTS / f"{name}.jsonl")


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
    """Seconds an image with I/O and without (p50 and p95 a batch), the paper's own figures in columns of their own."""
    body = []
    for r in rows("table12"):
        tau = r.get("tau", "")
        setting = "" if tau == "" else f"{tau[0]}:{tau[1]}" if isinstance(tau, list) else str(tau)
        if setting:
            setting += f", {r['steps'] or 'every step'}, K = {r['candidates']}"
        networks = "" if r["mean_s_without_io"] is None else f"{r['mean_s_without_io']:.3f}"
        if "batch_p50_s_without_io" in r:
            p50, p95 = (r[f"batch_{name}_s_without_io"] for name in ("p50", "p95"))
            networks += f" ({p50:.2f}, {p95:.2f} a batch of {r['batch']})"
        ours = [setting, f"{r['mean_s']:.3f}", networks, f"{r['images_a_second']:.2f}", f"{r['psnr_db']:.2f}"]
        theirs = [r["published_platform"], f"{r['published_s']:.4f}", f"{r['published_psnr_db']:.2f}"]
        body.append([r["name"], *ours, *theirs])
    return markdown(
        ["way", "tau, steps, K", "s an image", "networks alone", "images a second", "PSNR dB",
         "paper: on", "paper: s", "paper: dB"], body
    )  # fmt: skip


TABLES: dict[str, Callable[[], str]] = {
    **quality_tables.TABLES,
    "references": references,
    "speed": speed,
    "table12": table12,
    **latency_page.TABLES,
    "worth": lambda: worth_table.worth(rows("worth")),
    "worth_noise": lambda: worth_table.noise(rows("worth"), rows("noise_choice")),
    "worth_why": lambda: worth_table.why(rows("worth")),
}


def curve() -> str:
    """docs/curve.svg."""
    no_call = {"setting": Setting(start="bicubic", tau=0).to_json()}
    start = (row for row in quality_tables.of_split("reported") if same(row, no_call, only=("setting",)))
    return draw(quality_tables.of_set("curve", alone=True), next(start, None))


PAGES = ("README.md", "docs/quality.md", "docs/worth.md", "docs/latency.md")
PICTURES: dict[str, Callable[[], str]] = {"docs/curve.svg": curve, "docs/latency.svg": latency_page.picture_of_rows}


def filled(text: str) -> str:
    """A page with every table block made anew."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- table {match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table (\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


@click.command()
@click.option("--root", type=click.Path(exists=True, path_type=Path), default=Path(), help="[default: where one is]")
def main(root: Path) -> None:
    """Write the tables and pictures of README.md and docs/."""
    for page in PAGES:
        (root / page).write_text(filled((root / page).read_text()))
    for picture, made in PICTURES.items():
        (root / picture).write_text(made())


if __name__ == "__main__":
    main()
