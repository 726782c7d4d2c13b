"""The synthetic camera (engine/classical/camera.py) that is nearest to photographs of a real one, without pairs.

Cameras are drawn from the ranges, each takes crops of sharp photographs, and the result is measured as `match` measures
(engine/report/measures.py). Later cameras get their parts from the nearest so far, so that the search draws in. Several
are kept, since photographs alone leave open which it is. Each part is drawn or lies between two drawn ones, so a kept
camera lies within the ranges.

The nearest cameras of one search are relatives, and where chance led it they are all alike in what no measure sees. So
there are several searches, which share the time and nothing else, and each gives its part of the cameras.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.classical import camera
from ..engine.classical.camera import Camera
from ..engine.classical.dice import throw
from ..engine.report.measures import Measured, measure
from .nearness import nearness

Pixels = NDArray[np.uint8]
FIRST, MOST = 24, 600  # cameras that are drawn before any is bred, at least; cameras in all
DRAWN = 0.4  # share of a search for drawing alone
SEARCHES, ENOUGH = 3, 100  # at most so many searches, of at least so many cameras
ELITE, KEPT = 12, 6  # cameras that breed; that are kept
INHERITED, MIXED = 0.55, 0.3  # chances of a part: of one parent; between two parents; else it is drawn anew
Found = tuple[float, int, Camera]  # distance, number, camera
PARTS = ("lens", "shrink", "sensor", "denoise", "sharpening", "jpeg", "messenger", "handling")


@dataclass(frozen=True)
class Sharp:
    """A crop that cameras photograph, uint8 [scale·side, scale·side, 3]. partner: the place of the real crop whose
    content is like its own."""

    pixels: Pixels
    scale: int
    partner: int


@dataclass(frozen=True)
class Fitted:
    """The nearest cameras, best first. distance: of each (nearness.py), on crops that the search did not see; tried:
    how many cameras there were."""

    cameras: tuple[Camera, ...]
    distance: tuple[float, ...]
    tried: int


def fit(
    real: Sequence[Pixels], sharp: Sequence[Sharp], photographs: int, *, seconds: float, seed: int, workers: int = 1,
    most: int | None = None, on_camera: Callable[[int], None] = lambda tried: None,
) -> Fitted:  # fmt: skip
    """The cameras nearest to `real` (crops, uint8 [side, side, 3], of so many photographs) after so many seconds.

    sharp: twelve crops or more; the last half is kept for the choice among the best. most: how many cameras are tried
    (None: MOST). on_camera is called with the number tried so far. The more time, the nearer. The same `most` gives
    the same cameras where time does not end the search: when breeding begins depends on both.
    """
    most = MOST if most is None else most
    searches, wanted = max(1, min(SEARCHES, most // ENOUGH)), [measure(one) for one in real]
    half, dice = len(sharp) // 2, throw(seed, 0xCA3E)
    tried, ends, found = 0, time.monotonic() + 0.95 * seconds, list[list[Found]]()
    with ThreadPoolExecutor(workers, thread_name_prefix="cameras") as pool:

        def apart(one: Camera, crops: Sequence[Sharp]) -> float:
            made = list(pool.map(lambda at: taken(one, crops[at], at), range(len(crops))))
            return nearness(made, [wanted[crop.partner] for crop in crops], photographs)

        for left in range(searches, 0, -1):
            now = time.monotonic()
            if found and now >= ends:
                break
            some = range(tried, tried + (most - tried) // left)
            tries = search(lambda one: apart(one, sharp[:half]), some, (ends - now) / left, dice, seed, on_camera)
            tried += len(tries)
            best = unlike(sorted(tries))[: 2 * KEPT]
            found.append(sorted((apart(one, sharp[half:]), at, one) for _, at, one in best))
    kept = sorted(one for each in found for one in each[: KEPT // len(found)])
    return Fitted(tuple(one for *_, one in kept), tuple(round(far, 4) for far, *_ in kept), tried)


def search(
    apart: Callable[[Camera], float], tries: range, seconds: float, dice: np.random.Generator, seed: int,
    on_camera: Callable[[int], None],
) -> list[Found]:  # fmt: skip
    """Cameras of these numbers: the first are drawn, the later ones are bred. Ends after so many seconds, but not
    before FIRST cameras."""
    began, found = time.monotonic(), list[Found]()
    for number in tries:
        part = (time.monotonic() - began) / max(seconds, 1e-9)
        if len(found) >= FIRST and part >= 1:
            break
        breeds = len(found) >= FIRST and (part > DRAWN or len(found) > DRAWN * len(tries))
        one = bred(sorted(found)[:ELITE], dice, seed, number) if breeds else camera.draw(seed, number)
        found.append((apart(one), number, one))
        on_camera(number + 1)
    return found


def unlike(found: Sequence[Found]) -> list[Found]:
    """Without those that share their lens with a nearer one, so that what is kept differs."""
    kept = list[Found]()
    for one in found:
        if all(one[2].lens != other[2].lens for other in kept):
            kept.append(one)
    return kept


def taken(one: Camera, crop: Sharp, at: int) -> Measured | None:
    """What is measured of the photograph that a camera takes of a crop, each crop with another shot."""
    lr = camera.apply(crop.pixels, camera.shot(one, throw(at, 1)), scale=crop.scale, noise_seed=at)
    return measure(lr)


def bred(elite: Sequence[Found], dice: np.random.Generator, seed: int, index: int) -> Camera:
    """A camera whose parts are those of two near ones, between them, or drawn."""
    (_, _, one), (_, _, two) = (elite[int(dice.integers(len(elite)))] for _ in range(2))
    new = camera.draw(seed, index)
    parts = {}
    for name in PARTS:
        kind, a, b = dice.random(), getattr(one, name), getattr(two, name)
        if kind < INHERITED:
            parts[name] = a
        elif kind < INHERITED + MIXED:
            parts[name] = between(a, b, float(dice.random()))
        else:
            parts[name] = getattr(new, name)
    return replace(new, **parts)


def between(a: Any, b: Any, share: float) -> Any:
    """A part that lies between two, its lengths and strengths alike; of what has no between, a's."""
    if isinstance(a, bool | str) or type(a) is not type(b):
        return a
    if isinstance(a, int | float):
        mixed = (1 - share) * a + share * b
        return round(mixed) if isinstance(a, int) else mixed
    if is_dataclass(a) and not isinstance(a, type):
        values = {one.name: between(getattr(a, one.name), getattr(b, one.name), share) for one in fields(a)}
        return replace(a, **values)
    return a
