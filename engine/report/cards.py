"""One pair of the report: its images, its candidates' scores, and the same region of each, enlarged."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DegradeError
from ..images import BadImage, encode_png, read_rgb, resize_bicubic
from ..sinks.pairs import Sample
from .figures import score
from .finished import MOST_SIDE, Candidate, Row, Source

Pixels = NDArray[np.uint8]
ZOOM = 32  # side of the zoomed region, LR pixels
HR_VIEW = 320  # side of the HR thumbnail; its zoom is at full size
_NAMES = {"reconstruction": "Rec_lr", "realesrgan": "second-order D", "bsrgan": "BSRGAN", "bsrgan-plus": "BSRGAN+"}


def card(folder: Path, row: Row, pair: Sample) -> str:
    """One pair: its images, the candidates with their scores, and the same region of each enlarged. folder: the run's,
    which holds extra/. Raises DegradeError for images that are none, or not of the row's scale."""
    name, scale, kind = row.name, row.scale, row.kind
    gt, lq = _decoded(name, pair.gt), _decoded(name, pair.lq)
    size = lq.shape[0]
    if lq.shape[:2] != (size, size) or gt.shape[:2] != (size * scale, size * scale):
        fact = f"The GT of pair {name} has {gt.shape[1]} x {gt.shape[0]} pixels, its LQ {lq.shape[1]} x {size}"
        raise DegradeError(fact, wanted=f"squares, {scale} to 1", mend="repeat the generate command")
    bicubic = resize_bicubic(gt, (size, size))
    top, left, side = textured(bicubic, ZOOM)
    region = (top, left, side)

    tiles = [
        _tile(
            "HR",
            f"{gt.shape[1]} px",
            _jpeg(resize_bicubic(gt, (HR_VIEW, HR_VIEW)) if gt.shape[0] > HR_VIEW else gt),
            _png(gt[top * scale : (top + side) * scale, left * scale : (left + side) * scale]),
            _box(region, size),
        )
    ]
    extra = folder / "extra"
    start = _read(extra / "start" / f"{name}.png", size)
    if kind != "bicubic" or start is None:
        tiles.append(_lr_tile("HR, bicubic", "no degradation", bicubic, region))
    if start is not None:
        tiles.append(_lr_tile("Start", start_name(kind), start, region))
    for k, scores in enumerate(row.candidates):
        pixels = lq if k == row.kept else _read(extra / f"candidate{k}" / f"{name}.png", size)
        if pixels is not None:
            tiles.append(_candidate_tile(k, k == row.kept, scores, pixels, region))
    reference = _read(extra / "reference" / f"{name}.png", size)
    if reference is not None:
        own = textured(reference, ZOOM)
        tiles.append(_lr_tile("Reference", "real LR", reference, own, _box(own, size)))
    said = f"τ {row.tau} · {counted(row.steps, 'step')} · {escape(row.solver)}"
    if row.reference is None and not row.tau:
        said = start_name(kind)
    if row.noise:
        said += f" · noise {row.noise:g}"
    if row.reference is not None and start is None:
        said += " · start, reference and other candidates were not saved (--save-candidates)"
    return f"""<article class="pair">
<header><h3>{escape(name)}</h3><span>{said}</span></header>
<div class="tiles" style="--columns:{min(8, max(7, len(tiles)))}">{"".join(tiles)}</div>
<div class="sources"><span>HR <code>{_source(row.hr)}</code></span>
{_reference(row.reference)}</div>
</article>"""


def start_name(kind: str) -> str:
    """A start or a degrader as the report calls it: those that have no other name by their own."""
    return escape(_NAMES.get(kind, kind))


def contact_sheet(files: Mapping[str, bytes], columns: int, side: int = 128) -> str:
    """Images by name as one picture in rows of `columns`, each brought to `side` pixels: a data URI."""
    sheet = np.full((-(-len(files) // columns) * side, columns * side, 3), 128, np.uint8)
    for at, (name, data) in enumerate(files.items()):
        y, x = at // columns * side, at % columns * side
        sheet[y : y + side, x : x + side] = resize_bicubic(_decoded(name, data), (side, side))
    return _jpeg(sheet)


def textured(pixels: Pixels, side: int) -> tuple[int, int, int]:
    """(top, left, side) of the most textured square: the largest sum of squared differences of neighbouring
    gray pixels.
    """
    side = min(side, *pixels.shape[:2])
    gray = pixels.astype(np.float32).mean(axis=2)
    energy = np.zeros_like(gray)
    energy[:, 1:] += np.diff(gray, axis=1) ** 2
    energy[1:, :] += np.diff(gray, axis=0) ** 2
    np.minimum(energy, 60.0**2, out=energy)  # texture, not one hard edge
    total = np.pad(energy, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(top), int(left), side


def counted(number: int, noun: str) -> str:
    """Such as "1 pair" and "2 pairs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _lr_tile(title: str, note: str, pixels: Pixels, region: tuple[int, int, int], box: str = "") -> str:
    top, left, side = region
    return _tile(title, note, _png(pixels), _png(pixels[top : top + side, left : left + side]), box)


def _candidate_tile(k: int, kept: bool, scores: Candidate, pixels: Pixels, region: tuple[int, int, int]) -> str:
    top, left, side = region
    title = f"Candidate {k + 1}" + (' <span class="tag">kept</span>' if kept else "")
    note = "not scored"
    if scores.score is not None:
        parts = f"deg {score(scores.degradation_error)} </span><span>cont {score(scores.content_error)}"
        note = f"score {score(scores.score)}</span><span>{parts}"
    return _tile(title, note, _png(pixels), _png(pixels[top : top + side, left : left + side]), "", kept=kept)


def _tile(title: str, note: str, image: str, zoom: str, box: str, *, kept: bool = False) -> str:
    return (
        f'<figure class="tile{" kept" if kept else ""}">'
        f'<span class="view"><img src="{image}" alt="" loading="lazy">{box}</span>'
        f'<img class="zoom" src="{zoom}" alt="">'
        f"<figcaption><b>{title}</b><span>{note}</span></figcaption></figure>"
    )


def _box(region: tuple[int, int, int], size: int) -> str:
    top, left, side = (100 * value / size for value in region)
    return f'<i class="box" style="top:{top:.2f}%;left:{left:.2f}%;width:{side:.2f}%;height:{side:.2f}%"></i>'


def _read(path: Path, size: int) -> Pixels | None:
    """An image of extra/, where it is there and one of a pair's LRs."""
    try:
        pixels = read_rgb(path) if path.is_file() else None
    except BadImage:
        return None
    return pixels if pixels is not None and pixels.shape == (size, size, 3) else None


def _decoded(name: str, image_file: bytes) -> Pixels:
    """An image of the pair `name`. Raises DegradeError for one that is none, or far too large."""
    try:
        with Image.open(io.BytesIO(image_file), formats=("PNG", "WEBP")) as image:
            if max(image.size) > MOST_SIDE:
                raise ValueError(f"{image.width} x {image.height} pixels")
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        fact = f"An image of pair {name} cannot be read ({str(error)[:80]})"
        raise DegradeError(fact, mend="repeat the generate command, which makes it anew") from error


def _png(pixels: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(np.ascontiguousarray(pixels))).decode()


def _jpeg(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _reference(one: Source | None) -> str:
    return "" if one is None else f"<span>reference <code>{_source(one)}</code></span>"


def _source(one: Source) -> str:
    top, left, height, width = one.crop
    return escape(f"{one.path}  {width}×{height} at {left}, {top}")
