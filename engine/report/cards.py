"""One pair of the report: its images, its candidates' scores, and the same region of each, enlarged."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..images import encode_png, read_rgb, resize_bicubic
from ..sinks.pairs import Sample
from .figures import score

Pixels = NDArray[np.uint8]
ZOOM = 32  # side of the zoomed region, LR pixels
HR_VIEW = 320  # side of the HR thumbnail; its zoom is at full size
_NAMES = {"reconstruction": "Rec_lr", "realesrgan": "second-order D", "bsrgan": "BSRGAN", "bsrgan-plus": "BSRGAN+"}


def card(folder: Path, row: dict[str, Any], pair: Sample) -> str:
    """One pair: its images, the candidates with their scores, and the same region of each enlarged. folder: the run's,
    which holds extra/."""
    name, scale, kind = row["name"], row["scale"], row["start"]["kind"]
    gt = _decoded(pair.gt)
    size = gt.shape[0] // scale
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
    start = _read(extra / "start" / f"{name}.png")
    if kind != "bicubic" or start is None:
        tiles.append(_lr_tile("HR, bicubic", "no degradation", bicubic, region))
    if start is not None:
        tiles.append(_lr_tile("Start", start_name(kind), start, region))
    for k, scores in enumerate(row["candidates"]):
        pixels = _read(extra / f"candidate{k}" / f"{name}.png")
        if k == row["kept"]:
            pixels = _decoded(pair.lq)
        if pixels is not None:
            tiles.append(_candidate_tile(k, k == row["kept"], scores, pixels, region))
    reference = _read(extra / "reference" / f"{name}.png")
    if reference is not None:
        own = textured(reference, ZOOM)
        tiles.append(_lr_tile("Reference", "real LR", reference, own, _box(own, size)))
    said = f"τ {row['tau']} · {counted(row['steps'], 'step')} · {escape(row['solver'])}"
    if row["reference"] is None and not row["tau"]:
        said = start_name(kind)
    if row.get("noise"):
        said += f" · noise {row['noise']:g}"
    if row["reference"] is not None and start is None:
        said += " · start, reference and other candidates were not saved (--save-candidates)"
    return f"""<article class="pair">
<header><h3>{escape(name)}</h3><span>{said}</span></header>
<div class="tiles" style="--columns:{min(8, max(7, len(tiles)))}">{"".join(tiles)}</div>
<div class="sources"><span>HR <code>{_source(row["hr"])}</code></span>
{_reference(row["reference"])}</div>
</article>"""


def start_name(kind: str) -> str:
    """A start or a degrader as the report calls it: those that have no other name by their own."""
    return escape(_NAMES.get(kind, kind))


def contact_sheet(pngs: Sequence[bytes], columns: int, side: int = 128) -> str:
    """Images as one picture in rows of `columns`, each brought to `side` pixels: a data URI."""
    sheet = np.full((-(-len(pngs) // columns) * side, columns * side, 3), 128, np.uint8)
    for at, png in enumerate(pngs):
        y, x = at // columns * side, at % columns * side
        sheet[y : y + side, x : x + side] = resize_bicubic(_decoded(png), (side, side))
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
    """ "1 pair", "2 pairs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _lr_tile(title: str, note: str, pixels: Pixels, region: tuple[int, int, int], box: str = "") -> str:
    top, left, side = region
    return _tile(title, note, _png(pixels), _png(pixels[top : top + side, left : left + side]), box)


def _candidate_tile(
    k: int, kept: bool, scores: dict[str, Any], pixels: Pixels, region: tuple[int, int, int]
) -> str:
    top, left, side = region
    title = f"Candidate {k + 1}" + (' <span class="tag">kept</span>' if kept else "")
    note = "not scored"
    if scores["score"] is not None:
        parts = f"deg {score(scores['degradation_error'])} </span><span>cont {score(scores['content_error'])}"
        note = f"score {score(scores['score'])}</span><span>{parts}"
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


def _read(path: Path) -> Pixels | None:
    return read_rgb(path) if path.is_file() else None


def _decoded(image_file: bytes) -> Pixels:
    with Image.open(io.BytesIO(image_file), formats=("PNG", "WEBP")) as image:
        return np.asarray(image.convert("RGB"))


def _png(pixels: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(np.ascontiguousarray(pixels))).decode()


def _jpeg(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _reference(one: dict[str, Any] | None) -> str:
    return "" if one is None else f"<span>reference <code>{_source(one)}</code></span>"


def _source(one: dict[str, Any]) -> str:
    top, left, height, width = one["crop"]
    return escape(f"{one['path']}  {width}×{height} at {left}, {top}")
