"""One pair of the report: its images beside one another, how it was made, its candidates' scores."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..classical.degraders import title
from ..images import resize_bicubic
from .figures import figure, score
from .finished import Row
from .looked import Pair, Pixels, decoded
from .measures import Measured

ZOOM = 32  # side of the region that is zoomed first, LR pixels
HR_VIEW = 512  # side of the HR's view
CARD_BYTES = 72_000  # of a card's images: 24 cards make a page of less than 3 MB
SMALL_VIEW = 4_000  # bytes of a view that is only for orientation
HR_SHARE, BICUBIC_SHARE = 0.3, 0.14  # of a card's bytes; the LR and the reference share the rest
QUALITIES = (97, 94, 90, 85, 78, 70, 60, 45, 30, 15)  # of JPEG, colour not subsampled
DIFFERENCE = 4  # times
_OWN = {"reconstruction": "Rec_lr"}  # starts that are no degrader's


@dataclass(frozen=True)
class View:
    """An image. image: a data URI; alt: what it shows; x, y: what the zoom keeps in place, percent of the side; side:
    of the slider, "left" or "right"; alone: another scene, zoomed by itself; kept: a candidate's."""

    title: str
    notes: tuple[str, ...]
    image: str
    alt: str
    x: float = 50.0
    y: float = 50.0
    side: str = ""
    alone: bool = False
    kept: bool = False
    smooth: bool = False


@dataclass(frozen=True)
class Card:
    """One pair. said: how it was made; hr, reference: which crops it is of; keys: what it is sorted by; more: views of
    start image and candidates."""

    name: str
    said: list[str]
    views: list[View]
    more: list[View]
    hr: str
    reference: str
    keys: dict[str, float]


def card(pair: Pair, second: Pair | None = None) -> Card:
    """A pair's card; second: the same pair of another run, whose LR is shown beside it."""
    row = pair.row
    views, more = _views(pair, second), [] if second else _more(pair)
    said = [_said(row)] if second is None else [f"A: {_said(row)}", f"B: {_said(second.row)}"]
    reference = f"{row.reference}" if row.reference else ""
    return Card(row.name, said, views, more, f"{row.hr}", reference, sort_keys(pair))


def sort_keys(pair: Pair) -> dict[str, float]:
    """What pairs are sorted by, as far as it is known: score, near (PSNR to bicubic), sharpness, noise."""
    keys = {"near": pair.near}
    if pair.score is not None:
        keys["score"] = pair.score
    if pair.of_lq and pair.of_bicubic:
        known = {"sharpness": sharpness(pair), "noise": pair.of_lq.values["noise"]}
        keys |= {key: value for key, value in known.items() if not np.isnan(value)}
    return {key: round(value, 5) for key, value in keys.items()}


def sharpness(pair: Pair) -> float:
    """Of the LR, over the bicubic's; nan where one of them cannot tell."""
    if not pair.of_lq or not pair.of_bicubic or not pair.of_bicubic.values["sharpness"]:
        return float("nan")
    return pair.of_lq.values["sharpness"] / pair.of_bicubic.values["sharpness"]


def _views(pair: Pair, second: Pair | None) -> list[View]:
    """HR, bicubic, LR (or two), reference; a difference where they would be odd."""
    name, size = pair.row.name, pair.lq.shape[0]
    x, y = _centre(textured(pair.bicubic, ZOOM), size)
    reference = pair.reference if pair.reference is not None or second is None else second.reference
    exact = 1 + (second is not None) + (reference is not None)
    share = int(CARD_BYTES * (1 - HR_SHARE - BICUBIC_SHARE)) // exact
    views = [_hr_view(pair, x, y),
             View("Bicubic", ("no degradation",), data_uri(pair.bicubic, int(CARD_BYTES * BICUBIC_SHARE)),
                  f"The HR of pair {name}, made small by bicubic", x, y, "" if second else "left")]  # fmt: skip
    lrs = [("LR", pair)] if second is None else [("LR of A", pair), ("LR of B", second)]
    for at, (named, one) in enumerate(lrs):
        side = "right" if at or second is None else "left"
        views.append(View(named, _notes(one), data_uri(one.lq, share), f"{named}, pair {name}", x, y, side))
    if reference is not None:
        own = _centre(textured(reference, ZOOM), size)
        notes = ("real, another scene", *_measured(pair.of_reference))
        views.append(
            View("Reference", notes, data_uri(reference, share), f"The reference of pair {name}", *own, alone=True)
        )
    if len(views) % 2:
        of, less = ("A", "B") if second else ("LR", "bicubic")
        apart = pair.lq.astype(np.float64) - (second.lq if second else pair.bicubic)
        pixels = np.clip(np.rint(128 + DIFFERENCE * apart), 0, 255).astype(np.uint8)
        views.append(View("Difference", (f"{of} less {less}, × {DIFFERENCE}; gray is none",),
                          data_uri(pixels, 2 * SMALL_VIEW), f"{of} less {less} of pair {name}", x, y))  # fmt: skip
    return views


def _hr_view(pair: Pair, x: float, y: float) -> View:
    gt = decoded(pair.row.name, pair.gt)
    shown = resize_bicubic(gt, (HR_VIEW, HR_VIEW)) if gt.shape[0] > HR_VIEW else gt
    alt = f"The HR of pair {pair.row.name}, {pair.row.hr.path}"
    return View("HR", (f"{gt.shape[1]} px",), data_uri(shown, int(CARD_BYTES * HR_SHARE)), alt, x, y, smooth=True)


def _notes(pair: Pair) -> tuple[str, ...]:
    """Of an LR: its score, and what it is like."""
    notes = () if pair.score is None else (f"score {score(pair.score)}",)
    ratio = sharpness(pair)
    return (*notes, *(() if np.isnan(ratio) else (f"sharpness {ratio:.2f} of bicubic's",)), *_measured(pair.of_lq))


def _measured(measured: Measured | None) -> tuple[str, ...]:
    noise = measured.values["noise"] if measured else float("nan")
    return () if np.isnan(noise) else (f"noise {figure(noise)}",)


def _more(pair: Pair) -> list[View]:
    """Start image and candidates, small."""
    row, views = pair.row, list[View]()
    if row.kind != "bicubic" and (start := pair.extra.get("start")) is not None:
        views.append(
            View("Start", (start_name(row.kind),), data_uri(start, SMALL_VIEW), f"The start image of pair {row.name}")
        )
    if len(row.candidates) < 2:
        return views
    for k, scores in enumerate(row.candidates):
        pixels = pair.lq if k == row.kept else pair.extra.get(f"candidate{k}")
        if pixels is not None:
            notes: tuple[str, ...] = ("not scored",) if scores.score is None else (
                f"score {score(scores.score)}", f"degradation {score(scores.degradation_error)}",
                f"content {score(scores.content_error)}",
            )  # fmt: skip
            views.append(View(f"Candidate {k + 1}", notes, data_uri(pixels, SMALL_VIEW),
                              f"Candidate {k + 1} of pair {row.name}", kept=k == row.kept))  # fmt: skip
    return views


def _said(row: Row) -> str:
    """How a pair was made."""
    said = f"τ {row.tau} · {counted(row.steps, 'step')} · {row.solver}"
    if row.reference is None and not row.tau:
        said = start_name(row.kind)
    return f"{said} · noise {row.noise:g}" if row.noise else said


def start_name(kind: str) -> str:
    """A start or a degrader as the report calls it; a word that is none stands for itself."""
    return _OWN.get(kind) or title(kind)


def contact_sheet(images: Sequence[Pixels], columns: int, side: int = 128) -> str:
    """Images as one picture in rows of `columns`, each brought to `side` pixels: a data URI."""
    sheet = np.full((-(-len(images) // columns) * side, columns * side, 3), 128, np.uint8)
    for at, pixels in enumerate(images):
        y, x = at // columns * side, at % columns * side
        sheet[y : y + side, x : x + side] = resize_bicubic(pixels, (side, side))
    return _encoded(sheet, "jpeg", quality=80)


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


def _centre(region: tuple[int, int, int], size: int, zoom: float = 4.0) -> tuple[float, float]:
    """The point, x and y in percent, that stays where it is while the region's centre moves into the middle."""
    top, left, side = region
    middles = ((edge + side / 2) / size for edge in (left, top))
    x, y = (100 * min(1.0, max(0.0, (middle - 0.5 / zoom) / (1 - 1 / zoom))) for middle in middles)
    return round(x, 1), round(y, 1)


def data_uri(pixels: Pixels, most: int) -> str:
    """A data URI of at most so many bytes before base64: without loss where that is enough, else as a JPEG, of half
    the size where even a poor one is too large."""
    if len(exact := _encoded(pixels, "webp", lossless=True, method=0)) * 3 <= most * 4:
        return exact
    for quality in QUALITIES:
        uri = _encoded(pixels, "jpeg", quality=quality, subsampling=0)
        if len(uri) * 3 <= most * 4:
            return uri
    half = max(1, pixels.shape[0] // 2)
    return uri if pixels.shape[0] <= ZOOM else data_uri(resize_bicubic(pixels, (half, half)), most)


def _encoded(pixels: Pixels, form: str, **options: int) -> str:
    """A data URI. form: webp or jpeg."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return f"data:image/{form};base64," + base64.b64encode(file.getvalue()).decode()
