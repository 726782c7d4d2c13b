"""How near is one generated LR to the real one? Fidelity (PSNR, SSIM) and realism (sharpness, noise, spectrum), and
how sure the mean over scenes is.

Images are uint8 RGB [h, w, 3]; every figure is in dB or in grey levels of 0..255.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from ..engine.report.frechet import Gaussian, Moments, fit, squared_distance
from ..engine.report.frechet import frechet as frechet
from ..engine.report.measures import bounds as bounds
from ..engine.report.measures import gray as gray
from ..engine.report.measures import spectrum as spectrum

Image = np.ndarray
BANDS = 8  # of the spectrum: the last ends at half a cycle a pixel


def psnr(a: Image, b: Image) -> float:
    """Peak signal to noise ratio over all RGB values, dB."""
    mse = np.square(a.astype(np.float64) - b.astype(np.float64)).mean()
    return float(10 * np.log10(255.0**2 / max(mse, 1e-10)))


def psnr_y(a: Image, b: Image) -> float:
    """The same of luma alone, as papers on SR report it, no border cut off, dB."""
    mse = np.square(studio_luma(a) - studio_luma(b)).mean()
    return float(10 * np.log10(255.0**2 / max(mse, 1e-10)))


def psnr_exposed(a: Image, b: Image) -> float:
    """`psnr` of a after the gain and the offset that bring it nearest to b: the exposure, which no unpaired model can
    know, is left out, dB."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    gain, offset = np.polyfit(x, y, 1) if x.std() > 0 else (0.0, y.mean())
    return float(10 * np.log10(255.0**2 / max(np.square(gain * x + offset - y).mean(), 1e-10)))


def ssim(a: Image, b: Image) -> float:
    """Structural similarity with the 11-tap Gaussian of Wang et al. 2004 (scikit-image), mean over RGB."""
    return _ssim(a, b, channel_axis=2)


def ssim_y(a: Image, b: Image) -> float:
    """The same of luma alone."""
    return _ssim(studio_luma(a), studio_luma(b), channel_axis=None)


def _ssim(a: np.ndarray, b: np.ndarray, channel_axis: int | None) -> float:
    from skimage.metrics import structural_similarity

    return float(structural_similarity(a, b, channel_axis=channel_axis, data_range=255, gaussian_weights=True,
                                       sigma=1.5, use_sample_covariance=False))  # fmt: skip


def studio_luma(a: Image) -> np.ndarray:
    """Y of ITU-R BT.601 in studio range, 16 to 235, not rounded, float64 [h, w]: MATLAB's rgb2ycbcr, which the field's
    Y figures rest on."""
    return np.asarray(16 + a.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255)


def laplacian_std(a: Image) -> float:
    """Standard deviation of the 4-neighbour Laplacian of the gray image: sharpness (and noise), grey levels."""
    return float(cv2.Laplacian(gray(a), cv2.CV_32F, ksize=1).std())


def noise_std(a: Image) -> float:
    """Median absolute deviation of the diagonal Haar detail / 0.6745 (Donoho and Johnstone 1994): noise, grey
    levels."""
    g = gray(a)
    g = g[: g.shape[0] // 2 * 2, : g.shape[1] // 2 * 2]
    diagonal = (g[::2, ::2] - g[::2, 1::2] - g[1::2, ::2] + g[1::2, 1::2]) / 2
    return float(np.median(np.abs(diagonal)) / 0.6745)


def blockiness(a: Image) -> float:
    """Mean step across the borders of 8x8 blocks less that across all other columns and rows, grey levels: JPEG."""
    g = gray(a)
    total = 0.0
    for h in (np.abs(np.diff(g, axis=1)).mean(axis=0), np.abs(np.diff(g, axis=0)).mean(axis=1)):
        border = np.arange(len(h)) % 8 == 7
        total += float(h[border].mean() - h[~border].mean())
    return total / 2


def spectrum_distance(a: Image, b: Image) -> float:
    """Mean absolute difference of the two spectra over their rings, dB: 0 for the same sharpness, noise and texture at
    every frequency."""
    return float(np.abs(spectrum(a) - spectrum(b)).mean())


def spectrum_bias(a: Image, b: Image) -> np.ndarray:
    """By how much a's spectrum lies above b's, dB: the mean over each of BANDS bands of equal width, from low
    frequencies to high ones."""
    rings = spectrum(a) - spectrum(b)
    return np.array([band.mean() for band in np.array_split(rings, BANDS)])


def interval(values: np.ndarray, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, scenes drawn with replacement."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    return bounds(means)


def _gaussians(features: np.ndarray) -> Callable[[np.ndarray], Gaussian]:
    """What gives the Gaussian of some scenes' features. Of thousands of places: from each scene's moments."""
    if features.ndim == 2:
        return lambda scenes: fit(features[scenes])
    return Moments(features).gaussian


def frechet_interval(made: np.ndarray, real: np.ndarray, seed: int = 0, draws: int = 500) -> tuple[float, float]:
    """95 % bootstrap interval of the Fréchet distance of two sets of features, [n, c] or [n, places, c]. Scenes are
    drawn with replacement, both of a pair together."""
    rng = np.random.default_rng(seed)
    a, b = _gaussians(made), _gaussians(real)
    drawn = (rng.integers(0, len(made), len(made)) for _ in range(draws))
    return bounds(np.array([squared_distance(a(rows), b(rows)) for rows in drawn]))


def sr_figures(made: Sequence[Image], hr: Sequence[Image]) -> dict[str, Any]:
    """Of SR images against the HR: PSNR of RGB with its interval, of Y, and without exposure, SSIM, and the detail of
    both (standard deviation of the Laplacian), means."""

    def each(of: Callable[..., float], *images: Sequence[Image]) -> np.ndarray:
        return np.array([of(*one) for one in zip(*images, strict=True)])

    rgb = each(psnr, made, hr)
    means = {"psnr_db": rgb, "psnr_y_db": each(psnr_y, made, hr),
             "psnr_exposed_db": each(psnr_exposed, made, hr), "ssim": each(ssim, made, hr),
             "detail": each(laplacian_std, made), "detail_hr": each(laplacian_std, hr)}  # fmt: skip
    rounded = {name: round(float(values.mean()), 5 if name == "ssim" else 4) for name, values in means.items()}
    return rounded | {"psnr_interval": [round(value, 3) for value in interval(rgb)]}
