"""What the image files of pairs take: bytes, and processor seconds to write, of PNG by level and lossless WebP by
effort.

    degrade-engine bench formats -o bench/results/formats.jsonl

HR are whole tiles of sharp photographs, LR tiles of a camera's, both as `generate` would cut them. Processor seconds of
one thread, the least of a few rounds, since they depend little on what else runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyvips

from degrade_engine.engine.images import Pixels, encode_png, encode_webp, read_rgb, readable_endings

from ..machine import machine
from ..options import FOLDER, ROWS_WRITTEN
from ..rows import write_rows

ROUNDS, A_PHOTOGRAPH = 3, 4  # A_PHOTOGRAPH: tiles of one at most, so that all cameras count
SIDES = {"HR": 512, "LR": 128}


@click.command()
@click.option(
    "--hr",
    type=FOLDER,
    default=Path("samples/hr"),
    show_default=True,
    help="Folder of sharp photographs, from which HR tiles of 512 pixels are cut.",
)
@click.option(
    "--lr",
    type=FOLDER,
    default=Path("samples/reference"),
    show_default=True,
    help="Folder of camera photographs, from which LR tiles of 128 pixels are cut.",
)
@click.option(
    "--conditions", metavar="TEXT", help="Text that is stored in every row, e.g. what else ran on the machine."
)
@ROWS_WRITTEN
def main(hr: Path, lr: Path, conditions: str | None, out: Path) -> None:
    """Measure size and CPU time of PNG and lossless WebP.

    \b
    Example:
      degrade-engine bench formats -o formats.jsonl

    Each PNG level and WebP effort writes the same tiles on one thread. The CPU time is the least of a few rounds.
    """
    rows = []
    for role, folder in (("HR", hr), ("LR", lr)):
        tiles = cut(folder, SIDES[role])
        for way, encode in ways().items():
            row = {"what": f"{role} {SIDES[role]}", "images": len(tiles), "way": way, **measure(tiles, encode)}
            libvips = ".".join(str(pyvips.version(n)) for n in range(3))
            rows.append(row | machine(1) | {"libvips": libvips} | ({"conditions": conditions} if conditions else {}))
            took = row["cpu_ms_a_megapixel"]
            click.echo(f"{row['what']:7} {way:14} {row['share']:.3f} of raw, {took:6.1f} ms of a core a megapixel")
    write_rows(out, rows)


def cut(folder: Path, side: int) -> list[Pixels]:
    """The first tiles of each photograph that has one, row by row."""
    tiles: list[Pixels] = []
    for path in sorted(one for one in folder.iterdir() if one.suffix.lower() in readable_endings()):
        pixels = read_rgb(path)
        corners = [(y, x) for y in range(0, pixels.shape[0] - side + 1, side)
                   for x in range(0, pixels.shape[1] - side + 1, side)]  # fmt: skip
        tiles += [np.ascontiguousarray(pixels[y : y + side, x : x + side]) for y, x in corners[:A_PHOTOGRAPH]]
    return tiles


def ways() -> dict[str, Callable[[Pixels], bytes]]:
    """As `generate` writes them, and what else libwebp's efforts would give."""
    found: dict[str, Callable[[Pixels], bytes]] = {
        f"PNG level {level}": partial(encode_png, level=level) for level in (1, 2, 6)
    }
    found["WebP"] = encode_webp
    for effort in (1, 4):
        found[f"WebP effort {effort}"] = partial(encode_webp, effort=effort)
    return found


def measure(tiles: list[Pixels], encode: Callable[[Pixels], bytes]) -> dict[str, Any]:
    """Bytes in all, their share of the pixels', and milliseconds of a processor a megapixel."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        made = [encode(tile) for tile in tiles]
        seconds.append(time.process_time() - began)
    raw, written = sum(tile.size for tile in tiles), sum(map(len, made))
    milliseconds = 1e9 * min(seconds) / (raw / 3)
    return {"bytes": written, "share": round(written / raw, 4), "cpu_ms_a_megapixel": round(milliseconds, 1)}
