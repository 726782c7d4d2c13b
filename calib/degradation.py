"""`calibrate degradation`: how often each bin of a degradation space should be sampled, from a few real photographs.

"Crafting Training Degradation Distribution" (ICML 2023), section 3.4. X_ref are crops of the references, Y_w crops of
sharp photographs. For each bin b, X_w^b = D(Y_w, p(d|b)): every crop of Y_w by a degradation of its own within the bin.

    D_b = D_F(phi(X_w^b), phi(X_ref))²                               (eq. 3, frechet.py)
    w_b = [exp((1 - D_norm,b)^alpha) - 1] / sum of the same          (eq. 4), D_norm: D brought linearly to 0..1

Extractors that say so are measured in discriminant axes, found on the X_w^b (discriminant.py); phi is then the two
together. What the paper leaves open: a crop of Y_w gets the same place within every bin, so that bins differ by their
bounds and not by luck; where all distances are equal, all weights are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.artefact import tool_versions
from ..engine.classical import pipeline
from ..engine.classical.binned import Calibrated, Space
from ..engine.errors import DegradeError
from ..engine.images import BadImage, read_rgb
from ..engine.inputs import inventory
from ..engine.inputs.photographs import Entry
from ..engine.plan_page import summary
from ..engine.report.frechet import Gaussian, fit, squared_distance
from .discriminant import axes
from .features import Features, Pixels, Vectors

ALPHA = 25.0
ENOUGH = 100  # reference crops: "100 - 150 images can already give good estimation results" (section 3.5)
TIMES = 25  # how often the references are drawn anew for the spread; the paper's number of tests

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Crops:
    """pixels: uint8 [n, side, side, 3]; page: what weights.json says of them; photographs: the one of each crop."""

    pixels: Pixels
    page: dict[str, Any]
    photographs: tuple[str, ...] = ()


def calibrate(
    reference: Crops,
    hr: Crops,
    features: Features,
    space: Space,
    *,
    scale: int,
    alpha: float = ALPHA,
    seed: int = 0,
    workers: int | None = None,
    on_bin: Callable[[int], None] | None = None,
) -> Calibrated:
    """Distances and weights of all bins. reference: [n, s, s, 3]; hr: [m, scale*s, scale*s, 3], n and m at least 2.

    workers: threads that degrade (None: one a core); on_bin is called with each bin's number when it is done. The same
    arguments give the same result on the same libraries, whatever the workers.
    """
    vectors = []
    for bin, pixels in enumerate(degraded_bins(space, hr.pixels, scale=scale, seed=seed, workers=workers)):
        vectors.append(features(pixels))
        if on_bin:
            on_bin(bin)
    made, (real,) = measured(vectors, [features(reference.pixels)], features)
    distances = distances_of(made, fit(real))
    return Calibrated(
        space=space,
        weights=tuple(weights_of(distances, alpha).tolist()),
        distances=tuple(distances.tolist()),
        alpha=alpha,
        extractor=features.page,
        reference=reference.page,
        hr=hr.page,
        crop=reference.pixels.shape[1],
        scale=scale,
        seed=seed,
        spread=spread(made, real, alpha, seed),
        tools=tool_versions(),
    )


def degraded_bins(space: Space, hr: Pixels, *, scale: int, seed: int, workers: int | None = None) -> Iterator[Pixels]:
    """X_w^b of each bin in turn, uint8 [m, s, s, 3], of hr [m, scale*s, scale*s, 3]."""
    dice = np.random.Generator(np.random.Philox(seed))
    places = np.hstack([dice.random((len(hr), axes)) for axes in (3, 1)]).tolist()  # the paper's three, then ours
    with ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="bins") as pool:
        for bin in range(space.bins):

            def degrade(at: int, bin: int = bin) -> Pixels:
                return pipeline.apply(hr[at], space.at(bin, places[at]), scale=scale, noise_seed=at)

            yield np.stack(list(pool.map(degrade, range(len(hr)))))


def measured(
    made: Sequence[Vectors], real: Sequence[Vectors], features: Features
) -> tuple[list[Gaussian], list[NDArray[Any]]]:
    """(fits to the X_w^b, real): the features in which distances are taken, [n, k]. made: phi(X_w^b) of each bin; real:
    phi of sets to be compared with them."""
    if not features.discriminant:
        return [fit(one) for one in made], list(real)
    turn = axes(made)
    return [fit(one @ turn) for one in made], [one @ turn for one in real]


def distances_of(made: Sequence[Gaussian], real: Gaussian) -> Floats:
    """Eq. 3 for each bin: [bins], squared. made: fits to the features of X_w^b; real: that to those of X_ref."""
    return np.array([squared_distance(one, real) for one in made])


def weights_of(distances: Floats | Sequence[float], alpha: float = ALPHA) -> Floats:
    """Eq. 4: [bins], the sum is 1. alpha 0 gives all the same, a large one all to the nearest bin."""
    found = np.asarray(distances, np.float64)
    if not np.isfinite(found).all() or not 0 <= alpha < np.inf:
        fact = f"alpha is {alpha:g}, and the distances are {found}"
        raise DegradeError(fact, wanted="finite numbers, alpha not below 0")
    width = np.ptp(found)
    nearness = 1 - (found - found.min()) / width if width > 0 else np.ones_like(found)
    weights = np.expm1(nearness**alpha)  # 0 ** 0 is 1, as alpha = 0 wants it
    return np.asarray(weights / weights.sum())


def spread(made: Sequence[Gaussian], real: NDArray[Any], alpha: float, seed: int) -> float:
    """The share of the weight, 0..1, that moves to other bins when X_ref is drawn anew from itself (bootstrap), mean of
    TIMES draws: how much chance there is in the weights."""
    dice = np.random.Generator(np.random.Philox(seed + 1))
    kept = weights_of(distances_of(made, fit(real)), alpha)
    moved = []
    for _ in range(TIMES):
        again = fit(real[dice.integers(0, len(real), len(real))])
        weights = weights_of(distances_of(made, again), alpha)
        moved.append(np.abs(weights - kept).sum() / 2)
    return float(np.mean(moved))


def read_crops(folder: Path, role: str, *, most: int, side: int, seed: int = 0) -> Crops:
    """At most `most` crops of side x side pixels that do not overlap, as evenly as can be from a folder's photographs.

    Which tiles of a photograph are taken depends on the seed and the photographs' paths, not on where the folder is.
    One that does not decode is left out. Raises DegradeError where there are fewer than two crops.
    """
    entries = inventory.scan(folder, (side, side)).entries
    tiles = [(one.height // side) * (one.width // side) for one in entries]
    shares = _shares(tiles, most)
    crops, photographs = list[Pixels](), list[str]()
    for entry, share in zip(entries, shares, strict=True):
        if share:
            found = _tiles(folder, entry, share, side, seed)
            crops += found
            photographs += [entry.path] * len(found)
    if len(crops) < 2:
        raise DegradeError(
            f"{folder} gives {len(crops)} {role} crops",
            wanted=f"at least 2, better {ENOUGH}, from photographs of {side} x {side} pixels or more",
        )
    return Crops(np.stack(crops), {**summary(entries), "crops": len(crops)}, tuple(photographs))


def _shares(tiles: Sequence[int], most: int) -> list[int]:
    """How many tiles each photograph gives: one more for each in turn, until there are `most` or no more."""
    shares = [0] * len(tiles)
    while sum(shares) < min(most, sum(tiles)):
        for at, there in enumerate(tiles):
            if shares[at] < there and sum(shares) < most:
                shares[at] += 1
    return shares


def _tiles(folder: Path, entry: Entry, count: int, side: int, seed: int) -> list[Pixels]:
    try:
        pixels = read_rgb(folder / entry.path)
    except BadImage:
        return []
    down, across = (length // side for length in pixels.shape[:2])
    of_path = int.from_bytes(hashlib.sha256(os.fsencode(entry.path)).digest()[:8], "little")
    order = np.random.Generator(np.random.Philox(key=np.array([seed, of_path], np.uint64))).permutation(down * across)
    corners = (divmod(int(tile), across) for tile in order[:count])
    return [np.ascontiguousarray(pixels[y * side : (y + 1) * side, x * side : (x + 1) * side]) for y, x in corners]
