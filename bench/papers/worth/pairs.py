"""Pairs as an SR network is trained and tested on: read from any folder that `check` reads, given noise, measured."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import click
import numpy as np

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import Encoded, read_rgb, resize_bicubic
from degrade_engine.engine.sinks import layouts, pairs
from degrade_engine.engine.sinks.contract import scale_of

from ... import metrics

Image = np.ndarray
LARGEST = 256  # LR pixels a side: of larger images the middle
_ADDED = re.compile(r"(.*), noise ([\d.]+) added")


@dataclass(frozen=True)
class Pair:
    """lr: uint8 [h, w, 3]; hr: uint8 [scale·h, scale·w, 3], RGB."""

    lr: Image
    hr: Image
    name: str = ""

    @property
    def scale(self) -> int:
        """HR size divided by LR size."""
        return int(self.hr.shape[0] // self.lr.shape[0])


@lru_cache(maxsize=1)  # one set is trained on with several noises in turn
def read_pairs(folder: Path, most: int | None = None) -> list[Pair]:
    """The pairs of a folder, by name. most: at most so many of them. Raises DegradeError where there are none, an image
    cannot be read, or an HR is not a whole number of times its LR."""
    found = [_pair(sample) for sample in _samples(folder, most)]
    if not found:
        raise DegradeError(f"{folder} holds no whole pair", wanted="gt/ and lq/ with the same file names")
    return found


def _samples(folder: Path, most: int | None) -> Iterator[pairs.Sample]:
    if not folder.is_dir():
        raise DegradeError(f"The folder {folder} is not there", wanted="a folder of pairs")
    left_out: list[pairs.Problem] = []
    if layouts.foreign(folder):
        found = layouts.find(folder, left_out.append)
        count = min(most or len(found), len(found))
        yield from layouts.stream([found[at * len(found) // count] for at in range(count)])
    else:  # a run's pairs are drawn at random: the first are as good as any
        yield from islice(pairs.stream(folder, pairs.kind_of(folder), left_out.append), most)
    if left_out:
        click.echo(f"{folder.name}: {len(left_out)} files are left out, such as {left_out[0]}", err=True)


def _pair(sample: pairs.Sample) -> Pair:
    hr, lr = (read_rgb(Encoded(sample.stem, data)) for data in (sample.gt, sample.lq))
    scale = scale_of(sample.stem, hr.shape[:2], lr.shape[:2])
    return Pair(_middle(lr, LARGEST), _middle(hr, scale * LARGEST), sample.stem)


def _middle(image: Image, side: int) -> Image:
    (top, height), (left, width) = ((max(0, (n - side) // 2), min(n, side)) for n in image.shape[:2])
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def noisy(pairs: list[Pair], sigma: float) -> list[Pair]:
    """Each LR with white noise of a standard deviation of `sigma` grey levels, always the same."""
    if not sigma:
        return pairs
    found = []
    for at, pair in enumerate(pairs):
        lr = pair.lr + np.random.default_rng((0, at)).normal(0, sigma, pair.lr.shape)
        found.append(replace(pair, lr=np.clip(np.rint(lr), 0, 255).astype(np.uint8)))
    return found


def with_noise(name: str, sigma: float) -> str:
    """What rows call a generator whose LR were given noise."""
    return f"{name}, noise {sigma:g} added" if sigma else name


def without_noise(name: str) -> tuple[str, float]:
    """(generator, added noise in grey levels) of what rows call it."""
    found = _ADDED.fullmatch(name)
    return (found[1], float(found[2])) if found else (name, 0.0)


def digest(pairs: list[Pair]) -> str:
    """Of all pixels, hex SHA-256."""
    found = hashlib.sha256()
    for pair in pairs:
        for image in (pair.lr, pair.hr):
            found.update(repr(image.shape).encode())
            found.update(image.tobytes())
    return found.hexdigest()


def likeness(pairs: list[Pair]) -> dict[str, float]:
    """What the degradation does, with the content divided out: sharpness and noise of the LR as shares of those of the
    HR's bicubic, median over pairs, and the spread of sharpness. Bicubic has 1, 1 and no spread."""
    sharp, noise = [], []
    for pair in pairs:
        plain = resize_bicubic(pair.hr, pair.lr.shape[:2])
        sharp.append(metrics.laplacian_std(pair.lr) / max(metrics.laplacian_std(plain), 1e-3))
        noise.append(metrics.noise_std(pair.lr) / max(metrics.noise_std(plain), 0.1))
    return {"sharpness": round(float(np.median(sharp)), 4), "sharpness_spread": round(float(np.std(sharp)), 4),
            "noise": round(float(np.median(noise)), 4)}  # fmt: skip
