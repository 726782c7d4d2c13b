"""What a camera's photographs are like: of each some crops, their F_deg, and a few facts of the whole.

Read once, with what cannot be used named. The same seed and files give the same crops.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..cores import cores
from ..draws import Crop
from ..embedding import Embedding
from ..errors import BadImage, DegradeError
from ..images import Pixels
from ..inputs import reading
from ..inputs.flat import is_flat, relief
from ..inputs.inventory import LONG_HEAD, Inventory
from ..inputs.photographs import Entry
from ..report.gathered import cut, tiles
from ..report.measures import ENDS, REACH, edge_profile, gray, quiet_noise

WINDOW = 512  # pixels of the middle that edges and spectrum are read from, where there are so many
AT_A_TIME = 32  # photographs in memory
MAKE, MODEL = 0x010F, 0x0110  # tags of EXIF
HASH = (9, 8)  # columns, rows: dHash compares neighbours in a row
MIDDLE, TOP = (0.06, 0.12), ((0.36, 0.42), (0.42, 0.47), (0.47, 0.51))  # bands, cycles per pixel


@dataclass(frozen=True)
class Shot:
    """One photograph. features: F_deg of each crop, float32 [n, c]; flat: of each crop; shown: the crop with most
    structure; sharpness: edge slope in % (nan where there are few edges); noise: grey levels; clipped: share of the
    pixels that are black or white; middle, top: power of structure, and of the emptiest of the finest bands, dB of grey
    levels squared; mark: dHash, 64 bits; camera: as EXIF names it, "" where it does not."""

    path: str
    crops: list[Crop]
    features: NDArray[np.float32]
    flat: list[bool]
    shown: Pixels
    sharpness: float
    noise: float
    clipped: float
    middle: float
    top: float
    mark: int
    camera: str = ""


def look(
    there: Inventory, embed: Embedding, count: int, seed: int = 0, on_shots: Callable[[int], None] = lambda _: None
) -> tuple[list[Shot], list[str]]:
    """Every photograph of an inventory, with `count` crops at most of each; and a sentence for each that cannot be
    used. on_shots is told now and then how many were looked at. Raises MachineFault; DegradeError where none is left.
    """
    left_out = [f"{one.path}: {one.detail}" for one in there.rejects]
    shots, entries = list[Shot](), list(enumerate(there.entries))

    def one(task: tuple[int, Entry]) -> tuple[Shot, list[Pixels]] | str:
        at, entry = task
        try:
            image = reading.read(there.place, entry)
        except BadImage as bad:
            return f"{entry.path}: {bad}"
        shot, crops = _shot(entry.path, image, embed.side, count, np.random.default_rng((seed, 1, at)))
        return replace(shot, camera=camera_of(there.place.probe(entry.path, LONG_HEAD).head)), crops

    with ThreadPoolExecutor(cores(), thread_name_prefix="look") as pool:
        for first in range(0, len(entries), AT_A_TIME):
            found = list(pool.map(one, entries[first : first + AT_A_TIME]))
            left_out += [said for said in found if isinstance(said, str)]
            shots += _embedded([both for both in found if not isinstance(both, str)], embed)
            on_shots(min(len(entries), first + AT_A_TIME))
    if not shots:
        said = f" ({'; '.join(left_out[:3])})" if left_out else ""
        fact = f"{there.place.name} holds no photograph of {embed.side} x {embed.side} pixels or more{said}"
        raise DegradeError(fact, mend="give a smaller --lr-size, or other photographs")
    return shots, left_out


def _embedded(found: Sequence[tuple[Shot, list[Pixels]]], embed: Embedding) -> list[Shot]:
    """With the features of their crops, which are all embedded together."""
    if not found:
        return []
    features, shots, at = embed([crop for _, crops in found for crop in crops]), [], 0
    for shot, crops in found:
        shots.append(replace(shot, features=features[at : at + len(crops)]))
        at += len(crops)
    return shots


def _shot(path: str, image: Pixels, side: int, count: int, dice: np.random.Generator) -> tuple[Shot, list[Pixels]]:
    """Without its features."""
    crops = tiles(image.shape[0], image.shape[1], side, count, dice)
    pixels = [cut(image, crop) for crop in crops]
    middle = _middle(image)
    power = bands(gray(middle))
    ends = (image <= ENDS[0]).all(axis=2) | (image >= ENDS[1]).all(axis=2)
    shot = Shot(
        path, crops, np.zeros((0, 0), np.float32), [is_flat(one) for one in pixels], max(pixels, key=relief),
        float(edge_profile(gray(middle))[REACH]), quiet_noise(middle)["noise"], float(ends.mean()), power[0],
        min(power[1:]), mark_of(image),
    )  # fmt: skip
    return shot, pixels


def _middle(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    rows, columns = min(WINDOW, height), min(WINDOW, width)
    return cut(image, ((height - rows) // 2, (width - columns) // 2, rows, columns))


def bands(luma: NDArray[np.float32]) -> list[float]:
    """Mean power of a plane in MIDDLE and in each of TOP, dB of grey levels squared: white noise of 1 has 0 dB,
    rounding to whole levels -10.8. A place of the spectrum is named by the larger of its two frequencies: resizing
    empties squares. A Hann window keeps the borders out."""
    height, width = luma.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.square(np.abs(np.fft.fft2((luma - luma.mean()) * window))) / np.square(window).sum()
    y, x = (np.abs(np.fft.fftfreq(side)) for side in (height, width))
    place = np.maximum(y[:, None], x[None])
    means = [power[(place >= low) & (place < high)].mean() for low, high in (MIDDLE, *TOP)]
    return [float(10 * np.log10(one + 1e-9)) for one in means]


def camera_of(head: bytes) -> str:
    """Make and model, out of a file's first bytes."""
    try:
        tags = Image.open(io.BytesIO(head)).getexif()
    except Exception:  # whatever Pillow makes of a head alone: it is no more than a hint
        return ""
    words = [str(tags.get(tag, "")).strip("\0 ") for tag in (MAKE, MODEL)]
    return " ".join(words).strip()[:60]


def mark_of(image: Pixels) -> int:
    """dHash: of 9 x 8 means of luma, whether each is darker than its right neighbour. 64 bits, which hardly change when
    a photograph is saved again or resized."""
    small = cv2.resize(gray(image), HASH, interpolation=cv2.INTER_AREA)
    bits = (small[:, :-1] < small[:, 1:]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
