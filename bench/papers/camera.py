"""Do the cameras that `classical/camera.py` draws hold what real cameras do? Their filter, their noise, their variety.

    transfer    amplitude of the LR over the bicubic's, by frequency: Canon 001 to 020 at x4, City100 Nikon at x2
    noise       PolyU's real shots less their means of many shots: five cameras, at x1
    tone        difference of the channels' means from the bicubic's, which should stay small: drawn cameras alone
    variety     spread of log sharpness over bicubic's from one photograph of a camera to the next: Canon

A row of a drawn figure holds its quantiles over cameras, and which share of the real photographs lies within the
middle nine tenths of them; `nearest` is how far a real photograph's curve lies from the nearest drawn one's, in the
mean square over bands, beside how far from the bicubic's. A last kind of row, seconds, is the time of one LR.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from degrade_engine.engine.classical import camera
from degrade_engine.engine.images import read_rgb, resize_bicubic

from .. import metrics
from ..machine import machine
from ..options import FOLDER, ROWS_WRITTEN, integer
from ..rows import Row, write_rows
from .corpus import CORPUS, TRAINED, canon
from .true_pairs import Image, nikon_at_2

BANDS = np.linspace(0, 0.5, 11)  # cycles per LR pixel
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CAMERAS, SEED = 300, 11
SHOTS = 8  # of a camera, where shots are compared
NOISE = ("luma_sd", "cb_share", "cr_share", "luma_lag1", "luma_lag2", "cb_lag1", "cb_lag2", "dark", "bright")
"""Luma's standard deviation, grey levels; Cb's and Cr's by luma's; correlation with the pixel one and two to the right;
luma's standard deviation below 64 and above 192 by that between."""


@click.command()
@click.option("--data", type=FOLDER, required=True, help=CORPUS)
@integer("--cameras", CAMERAS, "Number of synthetic cameras that are drawn.")
@ROWS_WRITTEN
def main(data: Path, cameras: int, out: Path) -> None:
    """Compare real cameras with the synthetic ones of the degrader camera.

    \b
    Example:
      degrade-engine bench papers camera --data corpus -o camera.jsonl

    Measures the filter between HR and LR, the noise, the variety between photographs of one camera, the change of
    colour (synthetic cameras only), and the seconds per LR.
    """
    rows = [
        *transfers(data, cameras), *noises(data, cameras), *varieties(data, max(1, cameras // SHOTS)),
        *tones(data, cameras), *seconds(data),
    ]  # fmt: skip
    stamp = machine(cv2.getNumThreads())
    write_rows(out, [row | stamp for row in rows])
    for row in rows:
        click.echo("  ".join(f"{key} {value}" for key, value in row.items() if key != "bands"))


# ---- the filter ----


def transfers(data: Path, cameras: int) -> Iterable[Row]:
    """A row for each real set, then the drawn cameras'."""
    files = canon(data, TRAINED)
    hrs = [read_rgb(hr) for hr, _ in files]
    small = [resize_bicubic(hr, (hr.shape[0] // 4, hr.shape[1] // 4)) for hr in hrs]
    real = {
        "Canon 001 to 020, x4": np.array([transfer(b, read_rgb(lr)) for b, (_, lr) in zip(small, files, strict=True)]),
        "City100 Nikon, x2": np.array([transfer(resize_bicubic(hr, lr.shape[:2]), lr) for hr, lr in nikon(data)]),
    }
    drawn = np.array([
        transfer(small[n % len(hrs)], photograph(hrs[n % len(hrs)], n, scale=4)) for n in range(cameras)
    ])  # fmt: skip
    bands = ((BANDS[1:] + BANDS[:-1]) / 2).round(3).tolist()
    for name, values in real.items():
        yield {"measure": "transfer", "of": name, "photographs": len(values), "bands": bands, **quantiles(values)}
    held = {name: covered(values, drawn) for name, values in real.items()}
    near = {name: nearest(values, drawn) for name, values in real.items()}
    yield {"measure": "transfer", "of": "drawn", "cameras": cameras, "bands": bands, **quantiles(drawn), "held": held,
           "nearest": near}  # fmt: skip


def transfer(before: Image, after: Image) -> np.ndarray:
    """Amplitude of `after` over `before` in each band: their cross spectrum by `before`'s power. What has no part in
    `before`, noise above all, is not in it; nor is exposure: the first band has 1. Luma under a Hann window."""
    window = np.outer(*(np.hanning(side) for side in before.shape[:2]))
    a, b = (np.fft.fft2((luma - luma.mean()) * window) for luma in (metrics.gray(before), metrics.gray(after)))
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in before.shape[:2]), indexing="ij"))
    rings = [(f >= low) & (f < high) for low, high in zip(BANDS, BANDS[1:], strict=False)]
    amplitude = np.array([abs((b * a.conj())[ring].sum()) / np.square(np.abs(a[ring])).sum() for ring in rings])
    return np.asarray(amplitude / amplitude[0])


def nearest(real: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Root of the mean square over bands to the nearest drawn curve and to the bicubic's, which is 1; medians."""
    away = np.sqrt(np.square(real[:, None] - drawn[None]).mean(axis=2)).min(axis=1)
    bicubic = np.sqrt(np.square(real - 1).mean(axis=1))
    return {"drawn": round(float(np.median(away)), 3), "bicubic": round(float(np.median(bicubic)), 3)}


def nikon(data: Path) -> list[tuple[Image, Image]]:
    """City100's pairs at x2."""
    return list(zip(*nikon_at_2(data, 256), strict=True))


# ---- noise ----


def noises(data: Path, cameras: int) -> Iterable[Row]:
    """A row for each of PolyU's cameras, one for all, then the drawn ones that have noise."""
    shots = sorted((data / "pairs_polyu_noise").glob("*_real.JPG"))
    means = [read_rgb(path.with_name(path.name.replace("_real", "_mean"))) for path in shots]
    real = np.array([noise(read_rgb(path), mean, mean) for path, mean in zip(shots, means, strict=True)])
    makers = [path.name.split("_")[0] for path in shots]
    for maker in sorted(set(makers)):
        own = real[[name == maker for name in makers]]
        yield {"measure": "noise", "of": f"PolyU {maker}", "photographs": len(own), **named(own)}
    drawn = []
    for n in range(cameras):
        mean = means[n % len(means)][:256, :256]
        drawn.append(noise(photograph(mean, n), photograph(mean, n, without_noise=True), mean))
    noisy = np.array([one for one in drawn if one[0] > 0.7])  # below, rounding is most of it
    yield {"measure": "noise", "of": "PolyU", "photographs": len(real), **named(real)}
    held = dict(zip(NOISE, covered(real, noisy), strict=True))
    yield {"measure": "noise", "of": "drawn", "cameras": cameras, "noisy": len(noisy), **named(noisy), "held": held}


def noise(noisy: Image, still: Image, content: Image) -> np.ndarray:
    """What NOISE names, over the flatter half of `content`; nan where too few pixels are dark or bright."""
    y, cr, cb = (
        plane - cv2.GaussianBlur(plane, (0, 0), 16) for plane in cv2.split(_ycc(noisy) - _ycc(still))
    )  # fmt: skip
    level = metrics.gray(content)
    rough = cv2.GaussianBlur(np.square(level - cv2.GaussianBlur(level, (0, 0), 1.5)), (0, 0), 4)
    flat = rough <= np.median(rough)
    sd = float(y[flat].std())
    by_light = [
        y[flat & part].std() if (flat & part).sum() > 800 else np.nan
        for part in (level < 64, (level >= 64) & (level < 192), level >= 192)
    ]
    share = [float(plane[flat].std()) / max(sd, 1e-6) for plane in (cb, cr)]
    lags = [beside(plane, flat, lag) for plane in (y, cb) for lag in (1, 2)]
    middle = by_light[1] if by_light[1] > 0 else np.nan
    return np.array([sd, *share, *lags, by_light[0] / middle, by_light[2] / middle])


def beside(plane: np.ndarray, flat: np.ndarray, lag: int) -> float:
    """Correlation of a noise with itself `lag` pixels to the right, where both lie in `flat`."""
    both = flat[:, lag:] & flat[:, :-lag]
    here, there = plane[:, lag:][both], plane[:, :-lag][both]
    return float((here * there).mean() / np.sqrt(max((here**2).mean() * (there**2).mean(), 1e-12)))


def _ycc(image: Image) -> np.ndarray:
    return np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2YCrCb))


# ---- variety ----


def varieties(data: Path, cameras: int) -> Iterable[Row]:
    """Standard deviation, over the photographs of one camera, of the log of sharpness over bicubic's."""
    files = canon(data, TRAINED)
    hrs = [read_rgb(hr) for hr, _ in files]
    small = [resize_bicubic(hr, (hr.shape[0] // 4, hr.shape[1] // 4)) for hr in hrs]
    ratio = [sharpness(read_rgb(lr), b) for b, (_, lr) in zip(small, files, strict=True)]
    yield {"measure": "variety", "of": "Canon 001 to 020", "photographs": len(ratio),
           "sd": round(float(np.std(ratio)), 3), "mean": round(float(np.exp(np.mean(ratio))), 3)}  # fmt: skip
    spreads, means = [], []
    for n in range(cameras):
        one, dice, own = camera.draw(SEED, n), np.random.default_rng(n), []
        for k in range(SHOTS):
            lr = camera.apply(hrs[k], camera.shot(one, dice), scale=4, noise_seed=k)
            own.append(sharpness(lr, small[k]))
        spreads.append(np.std(own))
        means.append(np.exp(np.mean(own)))
    yield {"measure": "variety", "of": "drawn", "cameras": cameras, "shots": SHOTS,
           "sd": np.quantile(spreads, QUANTILES).round(3).tolist(),
           "mean": np.quantile(means, QUANTILES).round(3).tolist()}  # fmt: skip


def sharpness(lr: Image, bicubic: Image) -> float:
    """Log of the Laplacian's standard deviation by the bicubic's."""
    return float(np.log(metrics.laplacian_std(lr) / metrics.laplacian_std(bicubic)))


# ---- tone ----


def tones(data: Path, cameras: int) -> Iterable[Row]:
    """The largest absolute difference of a channel's mean from the bicubic's, grey levels, with and without noise."""
    files = canon(data, TRAINED)
    hrs = [read_rgb(hr) for hr, _ in files]
    for without_noise in (True, False):
        away = []
        for n in range(cameras):
            hr = hrs[n % len(hrs)]
            lr = photograph(hr, n, scale=4, without_noise=without_noise)
            small = resize_bicubic(hr, lr.shape[:2])
            away.append(np.abs(lr.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max())
        yield {"measure": "tone", "of": "drawn", "cameras": cameras, "without_noise": without_noise,
               "difference": np.quantile(away, QUANTILES).round(3).tolist()}  # fmt: skip


# ---- time ----


def seconds(data: Path, side: int = 64) -> Iterable[Row]:
    """Milliseconds of drawing and applying a camera, one thread, at each scale."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    whole = read_rgb(canon(data, TRAINED)[0][0])
    for scale in (1, 2, 4):
        hr = resize_bicubic(whole, (128 * scale, 128 * scale))[: side * scale, : side * scale]
        spent = []
        for n in range(CAMERAS):
            began = time.process_time()
            photograph(hr, n, scale=scale)
            spent.append(1000 * (time.process_time() - began))
        p50, p95 = np.quantile(spent, (0.5, 0.95)).round(2).tolist()
        yield {"measure": "seconds", "of": f"LR {side} x {side}, x{scale}", "cameras": CAMERAS, "cpu_ms_p50": p50,
               "cpu_ms_p95": p95}  # fmt: skip
    cv2.setNumThreads(threads)


# ---- figures ----


def photograph(hr: Image, n: int, scale: int = 1, without_noise: bool = False) -> Image:
    """The LR of drawn camera n."""
    one = camera.draw(SEED, n)
    return camera.apply(np.ascontiguousarray(hr), one, scale=scale, noise_seed=n, without_noise=without_noise)


def quantiles(values: np.ndarray) -> dict[str, Any]:
    """By quantile, a figure for each column, nan left out."""
    return {f"q{100 * q:02.0f}": np.nanquantile(values, q, axis=0).round(3).tolist() for q in QUANTILES}


def named(values: np.ndarray) -> dict[str, Any]:
    """By figure of NOISE its quantiles, nan left out; null where nothing else is."""
    known = {name: column[~np.isnan(column)] for name, column in zip(NOISE, values.T, strict=True)}
    return {name: np.quantile(one, QUANTILES).round(3).tolist() if one.size else None for name, one in known.items()}


def covered(real: np.ndarray, drawn: np.ndarray) -> list[float | None]:
    """For each column the share of the real values between the drawn ones' outer quantiles; nan left out."""
    shares: list[float | None] = []
    for here, there in zip(real.T, drawn.T, strict=True):
        known, of = here[~np.isnan(here)], there[~np.isnan(there)]
        low, high = np.quantile(of, (QUANTILES[0], QUANTILES[-1])) if of.size else (np.nan, np.nan)
        shares.append(round(float(((known >= low) & (known <= high)).mean()), 2) if known.size and of.size else None)
    return shares
