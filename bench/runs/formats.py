"""What the image files of pairs take: bytes, and processor seconds to write and to read, of PNG by writer and level and
lossless WebP by effort. Other libraries' PNGs are measured too, where the packages fpng and deflate are installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pyvips

from degrade_engine.engine.images import FAST, Pixels, encode_png, encode_webp, read_rgb, readable_endings
from degrade_engine.kernels import png

from ..machine import machine
from ..options import CONDITIONS, FOLDER, ROWS_WRITTEN
from ..rows import write_rows

ROUNDS, A_PHOTOGRAPH = 3, 4  # A_PHOTOGRAPH: tiles of one at most, so that all cameras count
SIDES = {"HR": 512, "LR": 128}


@click.command()
@click.option("--hr", type=FOLDER, default=Path("samples/hr"), show_default=True,
    help="Folder of sharp photographs, from which HR tiles of 512 pixels are cut.")  # fmt: skip
@click.option("--lr", type=FOLDER, default=Path("samples/reference"), show_default=True,
    help="Folder of camera photographs, from which LR tiles of 128 pixels are cut.")  # fmt: skip
@CONDITIONS
@ROWS_WRITTEN
def main(hr: Path, lr: Path, conditions: str | None, out: Path) -> None:
    """Measure size and CPU time of PNG and lossless WebP.

    \b
    Example:
      degrade-engine bench formats -o formats.jsonl

    Each PNG level and WebP effort writes the same tiles on one thread, and OpenCV reads them back. The CPU time is the
    least of a few rounds.
    """
    rows = []
    for role, folder in (("HR", hr), ("LR", lr)):
        tiles = cut(folder, SIDES[role])
        for way, encode in ways().items():
            row = {"what": f"{role} {SIDES[role]}", "images": len(tiles), "way": way, **measure(tiles, encode)}
            libvips = ".".join(str(pyvips.version(n)) for n in range(3))
            rows.append(row | machine(1) | {"libvips": libvips} | ({"conditions": conditions} if conditions else {}))
            took = row["cpu_ms_a_megapixel"]
            click.echo(f"{row['what']:7} {way:14} {row['share']:.3f} of raw, {took:6.1f} ms of a core a megapixel, "
                       f"{row['read_cpu_ms_a_megapixel']:6.1f} to read")  # fmt: skip
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
    found: dict[str, Callable[[Pixels], bytes]] = {"PNG fast": partial(encode_png, level=FAST)}
    found |= {f"PNG level {level}": partial(encode_png, level=level) for level in (1, 2, 6)}
    if find_spec("fpng"):
        found["PNG of fpng"] = import_module("fpng").from_ndarray
    if find_spec("deflate"):
        found["PNG of libdeflate level 1"] = partial(by_libdeflate, compress=import_module("deflate").zlib_compress)
    found["WebP"] = encode_webp
    for effort in (1, 4):
        found[f"WebP effort {effort}"] = partial(encode_webp, effort=effort)
    return found


def by_libdeflate(image: Pixels, compress: Callable[[bytes, int], bytes]) -> bytes:
    """The rows of our own writer, compressed by libdeflate."""
    head = image.shape[1].to_bytes(4, "big") + image.shape[0].to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    data = bytes(compress(png.filtered_rows(image).tobytes(), 1))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png.chunk(kind, content) for kind, content in ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    )


def measure(tiles: list[Pixels], encode: Callable[[Pixels], bytes]) -> dict[str, Any]:
    """Bytes in all, their share of the pixels', and milliseconds of a processor a megapixel: to write, and to read by
    OpenCV, which has to find the same pixels."""
    writing, reading = list[float](), list[float]()
    for _ in range(ROUNDS):
        began = time.process_time()
        made = [encode(tile) for tile in tiles]
        writing.append(time.process_time() - began)
        began = time.process_time()
        read = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR_RGB) for one in made]
        reading.append(time.process_time() - began)
    if not all(one is not None and np.array_equal(one, tile) for one, tile in zip(read, tiles, strict=True)):
        raise click.ClickException("other pixels came back")
    raw, written = sum(tile.size for tile in tiles), sum(map(len, made))
    took, to_read = (round(1e9 * min(seconds) / (raw / 3), 1) for seconds in (writing, reading))
    return {"bytes": written, "share": round(written / raw, 4), "cpu_ms_a_megapixel": took,
            "read_cpu_ms_a_megapixel": to_read}  # fmt: skip
