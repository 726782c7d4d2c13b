"""The README's picture: a few pairs of a run, enlarged, side by side.

    python -m degrade_engine.bench.picture PAIRS --pairs 2,7,11 -o docs/pairs.png

Columns: HR crop, the HR at LR size by bicubic, the LR that the engine made, the reference whose degradation it took.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from degrade_engine.engine.images import encode_png, read_rgb, resize_bicubic
from degrade_engine.engine.report.cards import textured

CELL, GAP, HEAD, ZOOM = 256, 12, 34, 48  # pixels; ZOOM: LR pixels shown a side
COLUMNS = ("HR", "HR at LR size, bicubic", "generated LR", "reference (real)")


def cell(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image).resize((CELL, CELL), Image.Resampling.NEAREST)


def row(pairs: Path, record: dict[str, Any]) -> list[Image.Image]:
    """The four cells of one pair, all of the same region of the scene, the reference of its own most textured one."""
    name = record["name"].removesuffix(".png")
    gt, lq = read_rgb(pairs / "gt" / f"{name}.png"), read_rgb(pairs / "lq" / f"{name}.png")
    reference = read_rgb(pairs / "extra" / "reference" / f"{name}.png")
    bicubic, scale = resize_bicubic(gt, lq.shape[:2]), gt.shape[0] // lq.shape[0]
    y, x, _ = textured(bicubic, ZOOM)
    v, u, _ = textured(reference, ZOOM)
    return [
        cell(gt[scale * y : scale * (y + ZOOM), scale * x : scale * (x + ZOOM)]),
        cell(bicubic[y : y + ZOOM, x : x + ZOOM]),
        cell(lq[y : y + ZOOM, x : x + ZOOM]),
        cell(reference[v : v + ZOOM, u : u + ZOOM]),
    ]


@click.command()
@click.argument("pairs", type=click.Path(exists=True, path_type=Path))
@click.option("--pairs", "chosen", default="0,1,2", show_default=True, help="Numbers of the pairs to show.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True)
def main(pairs: Path, chosen: str, out: Path) -> None:
    """Draw the picture."""
    records = [json.loads(line) for line in (pairs / "manifest.jsonl").read_text().splitlines()]
    shown = [records[int(i)] for i in chosen.split(",")]
    width = len(COLUMNS) * (CELL + GAP) - GAP
    sheet = Image.new("RGB", (width, HEAD + len(shown) * (CELL + GAP) - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, title in enumerate(COLUMNS):
        draw.text((i * (CELL + GAP), 6), title, fill="#333", font=ImageFont.load_default(17))
    for j, record in enumerate(shown):
        for i, image in enumerate(row(pairs, record)):
            sheet.paste(image, (i * (CELL + GAP), HEAD + j * (CELL + GAP)))
    out.write_bytes(encode_png(np.asarray(sheet)))


if __name__ == "__main__":
    main()
