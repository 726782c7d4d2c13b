"""The tables and pictures of README.md and docs/, made from the committed rows, so that no figure stands there without
its evidence; and the same tables of one's own rows, on a page.

make tables                                               rewrites the blocks <!-- table NAME --> … <!-- end --> of
                                                          PAGES, and PICTURES
degrade-engine bench tables --rows FOLDER -o FILE.md      writes SECTIONS of the rows that lie in FOLDER
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from degrade_engine.calib import heatmap
from degrade_engine.engine.classical.binned import read_weights
from degrade_engine.engine.errors import DegradeError

from . import front_page
from .latency import page as latency_page
from .options import FOLDER, OUT
from .papers import camera_tables, embedding, match, noise, recipe_tables, settings
from .papers import tables as quality_tables
from .papers.curve import draw
from .papers.worth import picture as worth_picture
from .papers.worth import table as worth_table
from .rows import RESULTS, Row, rows_of, same
from .runs import check, host, scale
from .seconds import tables as seconds_tables

Make = Callable[[Path], str]  # a folder of rows -> what is made of them

TABLES: dict[str, Make] = {
    **front_page.TABLES,
    **quality_tables.TABLES,
    **camera_tables.TABLES,
    **recipe_tables.TABLES,
    **embedding.TABLES,
    **seconds_tables.TABLES,
    **latency_page.TABLES,
    "check": check.table,
    "host": host.table,
    **scale.TABLES,
    "match": match.table,
    "noise": noise.table,
    "match_ranks": match.ranks,
    "worth": lambda folder: worth_table.worth(rows_of(folder, "worth")),
    "worth_noise": lambda folder: worth_table.noise(rows_of(folder, "worth"), rows_of(folder, "noise_choice")),
    "worth_tuned": lambda folder: worth_table.without_shares(rows_of(folder, "worth_tuned")),
    "worth_unseen": lambda folder: worth_table.leaderboard(rows_of(folder, "worth_unseen")),
    "worth_why": lambda folder: worth_table.why(rows_of(folder, "worth")),
}


def curve(folder: Path) -> str:
    """docs/curve.svg."""
    no_call = {"setting": settings.made(start="bicubic", tau=0).to_json()}
    start = (row for row in quality_tables.of_split(folder, "reported") if same(row, no_call, only=("setting",)))
    return draw(quality_tables.of_set(folder, "curve", alone=True), next(start, None))


def weights(folder: Path) -> str:
    """docs/binned-canon.svg: the calibrated bins."""
    found = read_weights(folder / "binned-canon.json")
    said = found.extractor["name"], f"alpha {found.alpha:g}", found.weights
    return heatmap.draw(found.space, [said], f"The camera of RealSR Canon: weights of {found.space.bins} bins")


PAGES = ("README.md", "docs/results.md", "docs/quality.md", "docs/worth.md", "docs/one-call.md", "docs/tune.md",
         "docs/latency.md", "docs/camera.md", "docs/check.md", "docs/is-it-good.md", "docs/references.md",
         "docs/recipes.md", "docs/scale.md", "docs/degraders.md", "docs/other-checkpoints.md")  # fmt: skip
PICTURES: dict[str, Make] = {
    "docs/binned-canon.svg": weights,
    "docs/curve.svg": curve,
    "docs/latency.svg": latency_page.picture_of_rows,
    "docs/worth.svg": lambda folder: worth_picture.draw(rows_of(folder, "worth_unseen")),
}


def filled(text: str) -> str:
    """A page with every table block made anew."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- table {match[1]} -->\n{TABLES[match[1]](RESULTS)}\n<!-- end -->"

    return re.sub(r"<!-- table (\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


# ------------------------------------------------------------------------------------------ one's own rows


@dataclass(frozen=True)
class Section:
    """A table of a page of one's own rows. file: which rows it needs; said: what it is, in a sentence."""

    file: str
    heading: str
    said: str
    make: Make


SECTIONS = (
    Section("latency", "The machine", "What the networks and kernels below are held against.", latency_page.machine),
    Section("speed", "The engine beside PyTorch", "Seconds per pair without reading and writing, all ways in turn in "
            "one run; the error is the mean absolute difference to the original's candidates in grey levels (for few "
            "steps, to PyTorch's at the same steps).", seconds_tables.speed),
    Section("table12", "RealDGen's Table 12", "Seconds per image with reading and writing, and PSNR against the real "
            "LR where the pairs have one; the paper's columns are of other machines, another model and an image size "
            "that it does not state.", seconds_tables.table12),
    Section("latency", "A pair, stage by stage", "One batch from decoding to written files, one stage after another; "
            "in a run, reading and writing overlap the networks.", TABLES["latency_stages"]),
    Section("latency", "A batch", "Whole batches without reading and writing.", TABLES["latency_batches"]),
    Section("latency", "Networks", "Each at the engine's batch, beside a large matrix product on the same threads.",
            TABLES["latency_parts"]),
    Section("latency", "The denoiser's operators", "On one thread, one row at a time.", TABLES["latency_operators"]),
    Section("latency", "Kernels", "Bytes as the kernels' sources count them, beside a copy of a large array.",
            TABLES["latency_kernels"]),
    Section("latency", "Scaling", "Milliseconds per batch, one size changed at a time.", TABLES["latency_scaling"]),
    Section("quality", "Quality on true pairs", "Every row: the pairs, the generator, its setting; PSNR and SSIM are "
            "against the real LR, gaps are absolute differences to it.", quality_tables.whole),
    Section("references", "What the output takes over", "Of the reference's sharpness, noise and blocks: reference → "
            "output.", quality_tables.references),
    Section("worth", "What the pairs are worth", "The same SR network trained on each set of pairs and tested on true "
            "ones, means over seeds; sharpness and noise of the LR are shares of bicubic's.",
            lambda folder: worth_table.leaderboard(rows_of(folder, "worth"))),
)  # fmt: skip


def where(rows: list[Row]) -> str:
    """On what, when, and of which code the rows were made."""
    said = (f"{row.get('devices', row['machine'])}, {row['date']}, commit {row['commit']}" for row in rows)
    return "; ".join(dict.fromkeys(said)) + "."


def page(folder: Path) -> str:
    """Every section whose rows are in the folder. DegradeError where there is none."""
    names = dict.fromkeys(section.file for section in SECTIONS)
    found = {name: rows for name in names if (folder / f"{name}.jsonl").is_file() and (rows := rows_of(folder, name))}
    if not found:
        wanted = ", ".join(f"{name}.jsonl" for name in names)
        raise DegradeError(f"{folder} holds no rows", wanted=f"one or more of {wanted}", mend="make bench")
    files = ", ".join(f"`{name}.jsonl`" for name in found)
    text = [f"# Measured\n\nThe rows of {files} as tables, by `degrade-engine bench tables --rows`."]
    for section in SECTIONS:
        if section.file in found:
            place = "" if section.file == "latency" else f" Measured on {where(found[section.file])}"
            text.append(f"## {section.heading}\n\n{section.said}{place}\n\n{section.make(folder)}")
    return "\n\n".join(text) + "\n"


@click.command()
@click.option("--root", type=FOLDER, default=Path(),
    help="Folder of the project, whose README.md and docs/ are rewritten. [default: the current folder]")  # fmt: skip
@click.option("--rows", "folder", type=FOLDER,
    help="Folder of your own rows (.jsonl files). Write one page of their tables to --out, and leave README.md and "
    "docs/ as they are.")  # fmt: skip
@click.option(
    "-o", "--out", type=OUT, help="File for the page of --rows, in Markdown. An existing file is overwritten."
)
def main(root: Path, folder: Path | None, out: Path | None) -> None:
    """Write the tables of README.md and docs/, or a page of your own rows.

    \b
    Examples:
      degrade-engine bench tables
      degrade-engine bench tables --rows out/bench -o tables.md

    Without options, the tables and pictures are made from the rows in bench/results. --rows and --out go together.
    """
    if (folder is None) != (out is None):
        raise click.UsageError("--rows FOLDER and -o FILE.md go together")
    if folder is not None and out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page(folder))
        return
    for name in PAGES:
        (root / name).write_text(filled((root / name).read_text()))
    for picture, made in PICTURES.items():
        (root / picture).write_text(made(RESULTS))
