"""One pair of the report: its images, its candidates' scores, and the same region of each, enlarged."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classical.degraders import title
from ..errors import DegradeError
from ..images import BadImage, encode_png, read_rgb, resize_bicubic
from ..sinks.pairs import Sample
from .figures import score
from .finished import MOST_SIDE, Row

Pixels = NDArray[np.uint8]
ZOOM = 32  # side of the zoomed region, LR pixels
HR_VIEW = 320  # side of the HR thumbnail; its zoom is at full size
_OWN = {"reconstruction": "Rec_lr"}  # starts that are no degrader's


@dataclass(frozen=True)
class Tile:
    """An image and its enlarged region, as data URIs. box: where the region lies, in percent; kept: a candidate's."""

    title: str
    notes: tuple[str, ...]
    image: str
    zoom: str
    box: dict[str, float] | None = None
    kept: bool = False


@dataclass(frozen=True)
class Card:
    """One pair. said: how it was made; hr, reference: which crops it is of."""

    name: str
    said: str
    tiles: list[Tile]
    hr: str
    reference: str


def card(folder: Path, row: Row, pair: Sample) -> Card:
    """One pair: its images, the candidates with their scores, and the same region of each enlarged. folder: the run's,
    which holds extra/. Raises DegradeError for images that are none, or not of the row's scale."""
    name, scale = row.name, row.scale
    gt, lq = _decoded(name, pair.gt), _decoded(name, pair.lq)
    size = lq.shape[0]
    if lq.shape[:2] != (size, size) or gt.shape[:2] != (size * scale, size * scale):
        fact = f"The GT of pair {name} has {gt.shape[1]} x {gt.shape[0]} pixels, its LQ {lq.shape[1]} x {size}"
        raise DegradeError(fact, wanted=f"squares, {scale} to 1", mend="repeat the generate command")
    extra = {kind: _read(folder / "extra" / kind / f"{name}.png", size)
             for kind in ("start", "reference", *(f"candidate{k}" for k in range(len(row.candidates))))}  # fmt: skip
    reference = f"{row.reference}" if row.reference else ""
    return Card(name, _said(row, extra["start"] is not None), _tiles(row, gt, lq, extra), f"{row.hr}", reference)


def _tiles(row: Row, gt: Pixels, lq: Pixels, extra: Mapping[str, Pixels | None]) -> list[Tile]:
    """extra: of the images of extra/ those that are there."""
    size, scale, start = lq.shape[0], row.scale, extra["start"]
    bicubic = resize_bicubic(gt, (size, size))
    region = top, left, side = textured(bicubic, ZOOM)
    view = resize_bicubic(gt, (HR_VIEW, HR_VIEW)) if gt.shape[0] > HR_VIEW else gt
    zoom = gt[top * scale : (top + side) * scale, left * scale : (left + side) * scale]
    tiles = [Tile("HR", (f"{gt.shape[1]} px",), _jpeg(view), _png(zoom), _box(region, size))]
    if row.kind != "bicubic" or start is None:
        tiles.append(_lr_tile("HR, bicubic", ("no degradation",), bicubic, region))
    if start is not None:
        tiles.append(_lr_tile("Start", (start_name(row.kind),), start, region))
    for k, scores in enumerate(row.candidates):
        pixels = lq if k == row.kept else extra[f"candidate{k}"]
        if pixels is not None:
            notes = ("not scored",) if scores.score is None else (
                f"score {score(scores.score)}", f"deg {score(scores.degradation_error)} ",
                f"cont {score(scores.content_error)}",
            )  # fmt: skip
            tiles.append(_lr_tile(f"Candidate {k + 1}", notes, pixels, region, kept=k == row.kept))
    if (reference := extra["reference"]) is not None:
        own = textured(reference, ZOOM)
        tiles.append(_lr_tile("Reference", ("real LR",), reference, own, _box(own, size)))
    return tiles


def _said(row: Row, saved: bool) -> str:
    """How a pair was made."""
    said = f"τ {row.tau} · {counted(row.steps, 'step')} · {row.solver}"
    if row.reference is None and not row.tau:
        said = start_name(row.kind)
    if row.noise:
        said += f" · noise {row.noise:g}"
    if row.reference is not None and not saved:
        said += " · start, reference and other candidates were not saved (--save-candidates)"
    return said


def start_name(kind: str) -> str:
    """A start or a degrader as the report calls it; a word that is none stands for itself."""
    return _OWN.get(kind) or title(kind)


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


def _lr_tile(
    title: str, notes: tuple[str, ...], pixels: Pixels, region: tuple[int, int, int],
    box: dict[str, float] | None = None, kept: bool = False,
) -> Tile:  # fmt: skip
    top, left, side = region
    return Tile(title, notes, _png(pixels), _png(pixels[top : top + side, left : left + side]), box, kept)


def _box(region: tuple[int, int, int], size: int) -> dict[str, float]:
    top, left, side = (100 * value / size for value in region)
    return {"top": top, "left": left, "width": side, "height": side}


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
