"""What tiles do to an image: seams, and the difference from an engine that sees it whole. A row a way and subject.

The bundled photographs and one grey image, brought to the larger engine's LR size; the kind's recommended preset, no
filter.

    seam      mean absolute step of (LR - bicubic) over the tiles' edges less that over all other places, grey levels.
              The same places are looked at in the whole image.
    inside    mean and 99th percentile of |LR - whole LR|, grey levels, an eighth of a tile or more from every tile's
              edge: what a network's view of less than the whole changes. edges: nearer than that.

Networks with statistics of their whole view (group normalisation, pooled features) differ inside, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from degrade_engine.engine import backends, images
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import open_engine_part
from degrade_engine.engine.engine_spec import open_engine_spec
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sampling.tiling import Grid, Line, grid

from ..machine import stamp
from ..options import FOLDER, SAMPLES, rows_replaced
from ..rows import read_rows, write_rows
from ..samples import squares

Bytes = NDArray[np.uint8]
GREY = 150


def edges(line: Line) -> list[int]:
    """Where tiles begin or end within the image: an edge at e lies between e - 1 and e."""
    return sorted({at for start in line.starts for at in (start, start + line.tile)} - {0, line.size})


def seam(difference: NDArray[Any], place: Grid) -> float:
    """How much rougher images [..., h, w, 3] are over the tiles' edges than elsewhere: the mean absolute step there
    less the mean of all other steps."""
    over, elsewhere = [], []
    for axis, line in ((-3, place.y), (-2, place.x)):
        steps = np.abs(np.diff(difference.astype(float), axis=axis))
        at = np.isin(np.arange(1, line.size), edges(line))
        over.append(np.compress(at, steps, axis).ravel())
        elsewhere.append(np.compress(~at, steps, axis).ravel())
    return float(np.concatenate(over).mean() - np.concatenate(elsewhere).mean())


def inside(place: Grid) -> NDArray[np.bool_]:
    """bool [h, w]: an eighth of a tile or more from every edge."""
    far = [
        np.all([np.abs(np.arange(line.size) + 0.5 - at) > line.tile // 8 for at in edges(line)], axis=0)
        for line in (place.y, place.x)
    ]
    return np.asarray(far[0][:, None] & far[1])


def side_by_side(size: int, tile: int) -> Grid:
    """Tiles that share nothing."""
    line = Line(size, tile, tuple(range(0, size, tile)))
    return Grid(line, line, 0)


@contextmanager
def opened(folder: Path, place: Grid) -> Iterator[Engine]:
    """`Engine.open`, on any tiles."""
    spec = open_engine_spec(folder)
    device = backends.named(spec.key.backend).device(None)
    try:
        parts = {name: open_engine_part(folder, spec, name, device) for name in spec.parts}
        yield Engine(folder, spec, device, parts, place)
    finally:
        device.close()


def made(engine: Engine, hr: Bytes, reference: Bytes | None, scale: int) -> NDArray[np.int64]:
    """[n, h, w, 3] by the recommended preset."""
    return engine.degrade(hr, reference, scale=scale, candidates=1, filter=False, noise=0).lr.astype(int)


@click.command()
@click.option("--engine", "tiled", type=FOLDER, required=True, help="Folder of the engine that makes the tiles.")
@click.option("--whole", type=FOLDER, required=True,
    help="Folder of the engine that makes whole images. It is built from the same bundle, and its LR size is a "
    "multiple of the LR size of --engine, e.g. 128 and 64.")  # fmt: skip
@SAMPLES
@click.option(
    "--images", "count", type=click.IntRange(1), metavar="N", help="Use only the first N photographs. [default: all]"
)
@rows_replaced("kind of engine")
def main(tiled: Path, whole: Path, samples: Path, count: int | None, out: Path) -> None:
    """Measure seams of images made in tiles, and their difference from whole images.

    \b
    Example:
      degrade-engine bench papers tiles --engine engine-64 --whole engine-128 \\
        -o tiles.jsonl

    The images are made whole, in overlapping tiles as `generate` makes them, and in tiles side by side, with the same
    noise. All figures are grey levels; a seam of 0 means that no edge shows.
    """
    specs = [open_engine_spec(folder) for folder in (tiled, whole)]
    kind, tile, size = specs[0].kind, specs[0].lr_size, specs[1].lr_size
    if specs[0].key.bundle_sha256 != specs[1].key.bundle_sha256 or size % tile or size == tile:
        fact = f"{tiled} is {kind} of {tile} and {whole} is {specs[1].kind} of {size}"
        raise DegradeError(fact, wanted="two engines of one bundle, the second's LR size a multiple of the first's")
    scale = specs[0].hr_scale or 4
    photographs = np.stack([*squares(samples / "hr", scale * size).values()][:count])
    references = None
    if specs[0].model_kind.reads_reference:
        references = np.stack([*squares(samples / "reference", size).values()][: len(photographs)])
    rows = []
    for subject, hr in (("photographs", photographs), ("one grey", np.full_like(photographs[:1], GREY))):
        camera = None if references is None else references[: len(hr)]
        like = np.stack([images.resize_bicubic(image, (size, size)) for image in hr]).astype(int)
        with Engine.open(whole) as engine:
            wanted = made(engine, hr, camera, scale)
        overlapping, boxes = grid(size, size, tile), side_by_side(size, tile)
        for way, place in (("whole", overlapping), ("tiles", overlapping), ("side by side", boxes)):
            lr = wanted
            if way != "whole":
                with opened(tiled, place) as engine:
                    lr = made(engine, hr, camera, scale)
            off, far = np.abs(lr - wanted), inside(place)
            row = {"kind": kind, "subject": subject, "way": way, "images": len(hr), "tile": tile, "lr_size": size,
                   "overlap": tile - int(np.diff(place.y.starts).max()), "seam": seam(lr - like, place),
                   "inside_mean": float(off[:, far].mean()), "inside_p99": float(np.percentile(off[:, far], 99)),
                   "edges_mean": float(off[:, ~far].mean()), "edges_p99": float(np.percentile(off[:, ~far], 99)),
                   "max": int(off.max())}  # fmt: skip
            row |= {"engine": specs[0].key_sha256[:16], "whole_engine": specs[1].key_sha256[:16]} | stamp()
            rows.append({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
            click.echo(f"{kind:9} {subject:12} {way:13} seam {row['seam']:+7.3f}   inside {row['inside_mean']:6.3f} "
                       f"(p99 {row['inside_p99']:.0f})   edges {row['edges_mean']:6.3f}, grey levels")  # fmt: skip
    before = read_rows(out) if out.exists() else []
    write_rows(out, [row for row in before if row["kind"] != kind] + rows)
