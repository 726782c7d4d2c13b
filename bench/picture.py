"""The README's picture: some scenes, as several cameras would have taken them.

First row: a crop of each camera's reference. Below, a row per scene: the HR, the HR at LR size by bicubic, and the LR
that the engine makes for each reference. All are the middle of the photograph, enlarged by repeating pixels.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from degrade_engine.engine.api import Engine
from degrade_engine.engine.images import encode_png, read_rgb, resize_bicubic

CELL, GAP, HEAD, ZOOM = 240, 10, 30, 60  # pixels; ZOOM: LR pixels shown a side
LR_SIZE, SCALE, SEED = 128, 4, 3
SCENES = ("flowers.png", "dog.png")
CAMERAS = {"Ricoh DC-3Z": "ricoh-dc-3z.jpg", "FinePix 1400": "fujifilm-finepix-1400-zoom.jpg",
           "Trust PowerCam 710": "trust-powercam-710.jpg"}  # fmt: skip


def middle(image: np.ndarray, side: int) -> np.ndarray:
    """The square of that side in the middle of an image [h, w, 3]."""
    y, x = ((length - side) // 2 for length in image.shape[:2])
    return image[y : y + side, x : x + side]


def cell(image: np.ndarray, side: int) -> Image.Image:
    """The middle of an image, enlarged."""
    return Image.fromarray(middle(image, side)).resize((CELL, CELL), Image.Resampling.NEAREST)


def rows(samples: Path, engine_folder: Path) -> list[list[Image.Image | None]]:
    """The cells, row by row; None stays empty."""
    references = [middle(read_rgb(samples / "reference" / name), LR_SIZE) for name in CAMERAS.values()]
    found: list[list[Image.Image | None]] = [[None, None, *(cell(one, ZOOM) for one in references)]]
    with Engine.open(engine_folder) as engine:
        for scene in SCENES:
            hr = middle(read_rgb(samples / "hr" / scene), SCALE * LR_SIZE)
            made = engine.degrade(np.stack([hr] * len(references)), np.stack(references), scale=SCALE, seed=SEED)
            small = resize_bicubic(hr, (LR_SIZE, LR_SIZE))
            found.append([cell(hr, SCALE * ZOOM), *(cell(one, ZOOM) for one in (small, *made.lr))])
    return found


@click.command()
@click.argument("engine", type=click.Path(exists=True, path_type=Path))
@click.option("--samples", type=click.Path(exists=True, path_type=Path), default=Path("samples"), show_default=True,
    help="Folder with the photographs: hr/ and reference/.")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True,
    help="File for the picture (PNG). An existing file is overwritten.")  # fmt: skip
def main(engine: Path, samples: Path, out: Path) -> None:
    """Draw a picture of some scenes as several cameras would have taken them.

    \b
    Example:
      python -m degrade_engine.bench.picture engine -o pairs.png

    ENGINE is an engine folder of LR size 128.
    """
    titles = ("HR", "bicubic", *(f"as the {name}" for name in CAMERAS))
    cells = rows(samples, engine)
    sheet = Image.new("RGB", (len(titles) * (CELL + GAP) - GAP, 2 * HEAD + len(cells) * (CELL + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    draw.text((CELL + GAP, HEAD + CELL // 2), "references, real:", fill="#333", font=font)
    for i, name in enumerate(CAMERAS, 2):
        draw.text((i * (CELL + GAP), 5), name, fill="#333", font=font)
    for i, title in enumerate(titles):
        draw.text((i * (CELL + GAP), HEAD + CELL + GAP + 2), title, fill="#333", font=font)
    for j, line in enumerate(cells):
        for i, image in enumerate(line):
            if image is not None:
                sheet.paste(image, (i * (CELL + GAP), HEAD * (1 + (j > 0)) + j * (CELL + GAP)))
    out.write_bytes(encode_png(np.asarray(sheet)))


if __name__ == "__main__":
    main()
